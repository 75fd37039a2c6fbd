"""Where atlases and runs are found: the user's own folder first, then what ships with the project. No torch."""

import re
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from core import settings
from core.errors import CalibrationError
from core.pruning.atlas import SimilarityAtlas
from core.runs.records import ItemSet, RunRecord


def model_slug(model_id: str) -> str:
    """A model id as a file name: "Qwen/Qwen3-VL-4B" becomes "Qwen--Qwen3-VL-4B"."""
    return re.sub(r"[^\w.-]+", "-", model_id.strip("/").replace("/", "--"))


def user_atlas_path(model_id: str) -> Path:
    return settings.data_dir() / "atlases" / f"{model_slug(model_id)}.npz"


def recorded_atlas_path(model_id: str) -> Path:
    return settings.RECORDED_DIR / f"{model_slug(model_id)}.atlas.npz"


def recorded_runs_path(model_id: str) -> Path:
    return settings.RECORDED_DIR / f"{model_slug(model_id)}.runs.parquet"


def user_runs_path() -> Path:
    return settings.data_dir() / "runs"


def all_runs() -> tuple[list[RunRecord], dict[str, ItemSet]]:
    """Recorded runs and the user's own, and items by data hash; a run repeated here replaces the recorded one."""
    from cache import RunStore, load_recorded

    records: dict[str, RunRecord] = {}
    items: dict[str, ItemSet] = {}
    for path in sorted(settings.RECORDED_DIR.glob("*.runs.parquet")):
        found, sets = load_recorded(path)
        records |= {r.run_id: r for r in found}
        items |= sets
    if user_runs_path().exists():
        with RunStore(user_runs_path()) as runs:
            records |= {r.run_id: r for r in runs.records()}
            items |= {s.data_hash: s for s in runs.item_sets()}
    return [r for r in records.values() if r.n_scored], items


def one_setting(records: Iterable[RunRecord]) -> list[RunRecord]:
    """The records of one model revision, dtype, device and origin: those with the most scored items."""
    return _largest(records, lambda r: (r.model.model_id, r.model.revision, r.model.dtype, r.device, r.origin))


def comparable(records: Iterable[RunRecord]) -> list[RunRecord]:
    """The records that may stand in one chart: one setting, and one item set for each benchmark."""
    same = one_setting(records)
    benchmarks = dict.fromkeys(r.benchmark for r in same)
    return [r for b in benchmarks for r in _largest((r for r in same if r.benchmark == b), lambda r: r.data_hash)]


def _largest(records: Iterable[RunRecord], key: Callable[[RunRecord], Hashable]) -> list[RunRecord]:
    """The group of records with the most scored items; ties go to the group that comes first."""
    groups: dict[Hashable, list[RunRecord]] = {}
    for r in records:
        groups.setdefault(key(r), []).append(r)
    return max(groups.values(), key=lambda group: sum(r.n_scored for r in group), default=[])


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
