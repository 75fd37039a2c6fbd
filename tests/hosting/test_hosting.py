"""What hosts do: install the viewer alone, start the Procfile, follow the Dockerfile as a user who owns a home only."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from core import settings
from tests.browser.serve import free_port

pytestmark = pytest.mark.slow
ROOT = settings.ROOT
LIMIT_MB = 500


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with requirements-viewer.txt and nothing else."""
    folder = tmp_path_factory.mktemp("viewer") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-compile", "-r", ROOT / "requirements-viewer.txt"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the registry cannot be reached: {done.stderr.strip().splitlines()[-1:]}")
    return python


@contextmanager
def served(command: Sequence[str], port: int, timeout: float = 120.0, **options: object) -> Iterator[None]:
    """Start a command, wait until Streamlit says that it is healthy, and stop it with all that it started."""
    process = subprocess.Popen(command, start_new_session=True, **options)  # type: ignore[call-overload]
    until = time.monotonic() + timeout
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
                    assert answer.read() == b"ok"
                    break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.3)
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def ready(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=60) as answer:
        return str(answer.read().decode())


def test_the_viewer_is_small_and_has_no_torch(viewer: Path) -> None:
    packages = next(viewer.parents[1].glob("lib/python*/site-packages"))
    found = [
        p for p in packages.rglob("*") if p.is_file() and p.relative_to(packages).parts[0] not in ("pip", "setuptools")
    ]
    size = sum(p.stat().st_size for p in found) / 1e6
    assert size < LIMIT_MB, f"{size:.0f} MB"
    assert not {"torch", "transformers"} & {p.name for p in packages.iterdir()}


def test_every_page_renders_without_torch_and_answers_are_replayed(viewer: Path, strata_home: Path) -> None:
    run = [viewer, "-m", "tests.hosting.every_page"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "every page" in done.stdout


@pytest.mark.parametrize("package", ["core", "cache"])
def test_imports_are_light(viewer: Path, package: str) -> None:
    code = f"import time; t = time.process_time(); import {package}; print(time.process_time() - t)"
    took = min(
        float(subprocess.run([viewer, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        for _ in range(5)
    )
    most = {"core": 0.1, "cache": 0.3}  # seconds of the processor, so that a busy machine does not count
    assert took < most[package]


def test_pip_installs_the_command_for_every_folder(viewer: Path, tmp_path: Path) -> None:
    """`pip install -e .` failed: three packages side by side, and none named."""
    subprocess.run([viewer, "-m", "pip", "install", "--quiet", "--no-deps", "-e", ROOT], check=True)
    run = [viewer.parent / "strata", "plan", "--criterion", "math_aware", "--budget", "4", "--json"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dropped"] == [4, 8, 11, 13]


def test_the_doctor_says_what_is_missing(viewer: Path) -> None:
    run = [viewer, "-m", "core", "doctor"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "replay mode" in done.stdout and "pip install -r requirements.txt" in done.stdout


def test_the_procfile_serves_on_the_port_it_is_given(viewer: Path) -> None:
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "PATH": f"{viewer.parent}:{os.environ['PATH']}"}
    with served([sys.executable, "-m", "honcho", "start", "web"], port, cwd=ROOT, env=environment):
        assert '"mode":"replay"' in ready(port)


def test_the_hook_installs_the_viewer_in_place_of_everything(tmp_path: Path) -> None:
    for name in ("requirements.txt", "requirements-viewer.txt"):
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run([ROOT / "bin" / "pre_compile"], cwd=tmp_path, check=True)
    installed = (tmp_path / "requirements.txt").read_text()
    assert "streamlit~=" in installed and not re.search("^(-r|torch)", installed, re.MULTILINE)


def test_uploads_work_over_plain_http_however_it_is_started() -> None:
    """The cookie was Secure unless a flag said otherwise: each upload over http://LAN-address answered 403."""
    settings_of_pages = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert settings_of_pages["server"]["xsrfCookieSameSite"] == "lax"
    assert "${SPACE_ID:+--server.xsrfCookieSameSite=none}" in (ROOT / "Dockerfile").read_text()
    for way in ("Makefile", "Procfile", "docker-compose.yml"):
        assert "SameSite" not in (ROOT / way).read_text()


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="becoming user 1000 needs root and setpriv")
def test_the_dockerfiles_steps_serve_as_user_1000_where_only_home_can_be_written(tmp_path: Path) -> None:
    """ENV, COPY and CMD of the Dockerfile, with this environment's packages in place of its pip install."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    assert "USER 1000" in text and "EXPOSE 8501" in text and "HEALTHCHECK" in text
    port = free_port()
    base = Path("/tmp") / f"strata-image-{port}"  # pytest's own folders cannot be entered by others
    home, app, data = base / "home", base / "home" / "app", base / "data"
    home.mkdir(parents=True)
    data.mkdir(mode=0o755)  # mounted storage of root
    try:
        for name in subprocess.check_output(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True
        ).split():
            if not name.startswith(("tests/", ".git")) and (ROOT / name).is_file():
                (app / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, app / name)
        subprocess.run(["chown", "-R", "1000:1000", home], check=True)
        variables = dict(re.findall(r"(STRATA_\w+|HF_HOME)=(\S+)", text.split("ENV", 1)[1].split("WORKDIR")[0]))
        variables = {k: v.replace("/home/strata", str(home)).replace("/data", str(data)) for k, v in variables.items()}
        assert variables["STRATA_HOME"].startswith(str(data))
        environment = {"HOME": str(home), "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "SPACE_ID": "org/space"}
        environment |= variables
        command = re.findall(r'"([^"]+)"', text.rsplit("CMD [", 1)[1])
        assert command[:2] == ["sh", "-c"]  # what the shell does with it is done here: it may not enter every folder
        written = re.sub(r"\$\{SPACE_ID:\+(.*?)\}", r"\1", command[2].removeprefix("exec python "))
        command = [sys.executable, *written.replace("8501", str(port)).split()]
        user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
        with served([*user, *command], port, cwd=app, env=environment):
            assert '"mode":"demo"' in ready(port)
            code = "from core import settings; print(settings.data_dir())"
            run = [*user, sys.executable, "-c", code]
            found = subprocess.check_output(run, cwd=app, env=environment, text=True).strip()
            assert found == str(home / ".cache" / "strata")
        assert not any(data.iterdir())
    finally:
        shutil.rmtree(base)
