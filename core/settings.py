"""Where things are: folders of the project and of the user, each overridable by an environment variable."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / "assets"
TINY_DIR = ASSETS / "strata-tiny"
RECORDED_DIR = Path(
    os.environ.get("STRATA_RECORDED") or ROOT / "cache" / "recorded"
)  # runs that ship with the project; read only


def data_dir() -> Path:
    """The user's folder for run stores, atlases and checkpoints: `STRATA_HOME`, or ~/.cache/strata."""
    return Path(os.environ.get("STRATA_HOME") or Path.home() / ".cache" / "strata")
