"""Where atlases and runs are found: the user's own folder first, then what ships with the project. No torch."""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from core import settings
from core.errors import CalibrationError
from core.pruning.atlas import SimilarityAtlas
from core.records.items import ItemSet
from core.scenes.samples import alternate

if TYPE_CHECKING:
    from cache import RunStore


def model_slug(model_id: str) -> str:
    """A model id as a file name: "Qwen/Qwen3-VL-4B" becomes "Qwen--Qwen3-VL-4B"."""
    return re.sub(r"[^\w.-]+", "-", model_id.strip("/").replace("/", "--"))


def user_atlas_path(model_id: str) -> Path:
    return settings.data_dir() / "atlases" / f"{model_slug(model_id)}.npz"


def recorded_atlas_path(model_id: str) -> Path:
    return settings.RECORDED_DIR / f"{model_slug(model_id)}.atlas.npz"


def recorded_runs_path(model_id: str) -> Path:
    return settings.RECORDED_DIR / f"{model_slug(model_id)}.runs.parquet"


def recorded_anatomy_path(model_id: str) -> Path:
    """Parts and FLOPs of a model (`ModelAnatomy`), as `read_anatomy` counts them: costs without torch."""
    return settings.RECORDED_DIR / f"{model_slug(model_id)}.anatomy.json"


def recorded_regimes_path(model_id: str) -> Path:
    """Regime maps of the recorded runs, by domain: `regimes` takes them from here instead of testing again."""
    return settings.RECORDED_DIR / f"{model_slug(model_id)}.regimes.json"


def user_runs_path() -> Path:
    return settings.data_dir() / "runs"


def user_trials_path() -> Path:
    """Validation runs of searches, which no chart shows."""
    return settings.data_dir() / "trials"


def open_runs(path: Path | str | None = None) -> "RunStore":
    """A run store, by default the user's own; made if there is none. Close it, or use it in a `with`.

    Raises:
        StoreError: the folder cannot be written, or holds something else.
    """
    from cache import RunStore

    return RunStore(path or user_runs_path())


def known_depth(model_id: str) -> int:
    """Decoder layers of a model, as far as something here knows: its atlas, or its counted parts; else 0."""
    with suppress(CalibrationError):
        return load_atlas(model_id).n_layers
    path = recorded_anatomy_path(model_id)
    return len(json.loads(path.read_text())["layers"]) if path.exists() else 0


def load_atlas(model_id: str, revision: str | None = None) -> SimilarityAtlas:
    """The atlas of a model: calibrated here if there is one, else the recorded one.

    Args:
        revision: if given, an atlas of another revision of the model does not count.
    Raises:
        CalibrationError: none fits.
    """
    stale = ""
    for path in (user_atlas_path(model_id), recorded_atlas_path(model_id)):
        if path.exists():
            atlas = SimilarityAtlas.load(path)
            if revision in (None, atlas.revision):
                return atlas
            stale = f" (there is one of revision {atlas.revision}, the model is {revision})"
    raise CalibrationError(f"no similarity atlas of {model_id}{stale}: run python -m core calibrate --model {model_id}")


GALLERY_SIZE = 12


def gallery_sources(items: Iterable[ItemSet], task: str | None = None) -> list[str]:
    """Drawn items to show, as `draw_from_source` takes them: math and general in turn, one of each task."""
    order = {"math": 0, "general": 1}
    sources = []
    for found in sorted(items, key=lambda s: (order.get(s.domain, 2), s.domain)):
        drawn = [i for i in found.items if i.source.startswith("drawn:") and task in (None, i.task)]
        if task is None:
            drawn = list({i.task: i for i in reversed(drawn)}.values())[: GALLERY_SIZE // 2]
        sources.append([i.source for i in drawn[:GALLERY_SIZE]])
    kept = [s for s in sources if s]
    return list(dict.fromkeys(alternate(*kept)))[:GALLERY_SIZE] if kept else []
