"""Where things are and how this instance runs: folders and modes, each set by an environment variable.

STRATA_HOME       the user's folder; by default ~/.cache/strata
STRATA_RECORDED   runs and answers that ship with the project; read only
STRATA_DATASETS   mirrors of benchmarks, for machines without network (core/benchmarks/sources.py)
STRATA_REPLAY=1   show recorded runs and answers only, even where a model could run
STRATA_DEMO=1     a public instance (core/limits.py); the default on Hugging Face Spaces
"""

import importlib.util
import os
import tempfile
from functools import lru_cache
from pathlib import Path

from core.errors import LimitError

ON, OFF = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")
ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "assets"
TINY_DIR = ASSETS / "strata-tiny"
SMOL_EYES = ASSETS / "strata-smol"  # what is trained here of the model that `models fetch smol` makes
RECORDED_DIR = Path(
    os.environ.get("STRATA_RECORDED") or ROOT / "cache" / "recorded"
)  # runs that ship with the project; read only


def data_dir() -> Path:
    """The user's folder for run stores, atlases and checkpoints: `STRATA_HOME`, or ~/.cache/strata.

    A container's mounted storage may not be writable by its user: then it is ~/.cache/strata instead.
    """
    usual = Path.home() / ".cache" / "strata"
    wanted = os.environ.get("STRATA_HOME")
    return usual if not wanted or (_in_container() and not writable(wanted)) else Path(wanted)


def smol_dir() -> Path:
    """The folder of the model that `python -m core models fetch smol` makes, there or not."""
    return data_dir() / "models" / "smol"


def named_folder(model_id: str) -> Path | None:
    """The folder of a model that goes by a short name, there or not; None for Hub ids and paths."""
    return {"tiny": TINY_DIR, "smol": smol_dir()}.get(model_id)


def _in_container() -> bool:
    return on("STRATA_CONTAINER") or bool(os.environ.get("SPACE_ID"))


@lru_cache(maxsize=8)
def writable(folder: str) -> bool:
    """Can files be made in a folder? Tried once, since permissions do not tell it of a mount."""
    try:
        Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"1")
    except OSError:
        return False
    return True


def on(variable: str, otherwise: bool = False) -> bool:
    """Is a switch in the environment on?

    Raises:
        LimitError: it is neither on nor off.
    """
    value = os.environ.get(variable)
    if value is None:
        return otherwise
    if value.strip().lower() not in (*ON, *OFF):
        raise LimitError(f"{variable} is '{value[:40]}': give 1 for on, or 0 for off")
    return value.strip().lower() in ON


def shown(path: Path) -> str:
    """A path as pages and messages show it: from the project's folder or from the home, so that it tells no secrets."""
    for base, prefix in ((ROOT, ""), (Path.home(), "~/")):
        if path.is_relative_to(base):
            return prefix + path.relative_to(base).as_posix()
    return str(path)


def replay() -> bool:
    """Are only recorded runs and answers shown: by choice, or because no model can run without torch?"""
    return on("STRATA_REPLAY") or any(importlib.util.find_spec(name) is None for name in ("torch", "transformers"))


def demo() -> bool:
    """Is this a public instance, where visitors are bounded (core/limits.py)?"""
    return on("STRATA_DEMO", otherwise=bool(os.environ.get("SPACE_ID")))
