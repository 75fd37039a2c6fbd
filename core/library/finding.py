"""Where atlases and runs are found: the user's own folder first, then what ships with the project. No torch."""

import hashlib
import json
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import settings
from core.errors import CalibrationError
from core.library.published import published_scores
from core.pruning.atlas import SimilarityAtlas
from core.records.items import ItemSet
from core.records.plan import PruningPlan, model_name
from core.records.references import ReferenceScore
from core.records.runs import RunRecord, outcomes_frame
from core.scenes.samples import alternate

if TYPE_CHECKING:
    import pandas as pd

    from core.analysis import RegimeMap


def model_slug(model_id: str) -> str:
    """A model id as a file name: "Qwen/Qwen3-VL-4B" becomes "Qwen--Qwen3-VL-4B"; a folder's ends with a hash of its
    path, since names of other folders, and ids of the Hub, may come out the same."""
    name = model_name(model_id)
    slug = _plain_slug(name)
    return f"{slug[-80:]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}" if name.startswith("/") else slug


def _plain_slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name.strip("/").replace("/", "--"))


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


def all_runs(model_id: str | None = None) -> tuple[list[RunRecord], dict[str, ItemSet]]:
    """Recorded runs and the user's own (`with_own`), and items by data hash.

    Args:
        model_id: only this model's (of a large store, the rest is then not read).
    """
    from cache import RunStore, load_recorded

    model_id = model_id and model_name(model_id)
    recorded: list[RunRecord] = []
    own: list[RunRecord] = []
    items: dict[str, ItemSet] = {}
    for path in sorted(settings.RECORDED_DIR.glob("*.runs.parquet")):
        found, sets = load_recorded(path)
        recorded += found
        items |= sets
    if user_runs_path().exists():
        with RunStore(user_runs_path()) as runs:
            own = runs.records(model_id)
            items |= {s.data_hash: s for s in runs.item_sets()}
    return [r for r in with_own(recorded, own) if r.n_scored and model_id in (None, r.model.model_id)], items


def with_own(recorded: Iterable[RunRecord], own: Iterable[RunRecord]) -> list[RunRecord]:
    """Recorded runs and the user's own; one that was repeated counts as soon as it has come as far as the recorded."""
    records = {r.run_id: r for r in recorded}
    for r in own:
        if r.run_id not in records or r.n_scored >= records[r.run_id].n_scored:
            records[r.run_id] = r
    return list(records.values())


def references(model_id: str | None = None) -> list[ReferenceScore]:
    """Figures without outcomes item by item: published ones and the user's imports; of one model, or of all."""
    from cache import RunStore

    model_id = model_id and model_name(model_id)
    found = list(published_scores())
    if user_runs_path().exists():
        with RunStore(user_runs_path()) as runs:
            found += runs.references()
    return [r for r in found if model_id in (None, r.model_id)]


def with_answers(record: RunRecord) -> RunRecord:
    """A listed record with what was written, from the user's store or the recorded file that it is in."""
    from cache import RunStore, load_recorded

    if record.answers or (record.origin == "measured" and not record.max_new_tokens):  # teacher-forced
        return record
    if user_runs_path().exists():
        with RunStore(user_runs_path()) as runs:
            if held := runs.get(record.run_id):
                return held
    path = recorded_runs_path(record.model.model_id)
    shipped = load_recorded(path)[0] if path.exists() else []
    return next((r for r in shipped if r.run_id == record.run_id), record)


def known_depth(model_id: str) -> int:
    """Decoder layers of a model, as far as something here knows: its atlas, its counted parts, its folder; else 0."""
    with suppress(CalibrationError):
        return load_atlas(model_id).n_layers
    path = recorded_anatomy_path(model_id)
    if path.exists():
        return len(json.loads(path.read_text())["layers"])
    with suppress(OSError, ValueError):
        folder = Path(model_name(model_id))
        config = json.loads((folder / "config.json").read_text()) if folder.is_absolute() else {}
        depth = (config.get("text_config") or config).get("num_hidden_layers")
        return depth if type(depth) is int else 0
    return 0


def one_setting(records: Iterable[RunRecord]) -> list[RunRecord]:
    """The records of one model revision, dtype, device and origin: those with the most scored items.

    What was measured goes before what was imported, however much that is.
    """
    records = list(records)
    measured = [r for r in records if r.origin == "measured"]
    setting = ("model_id", "revision", "dtype")
    return _largest(measured or records, lambda r: (*(getattr(r.model, s) for s in setting), r.device, r.origin))


def comparable(records: Iterable[RunRecord]) -> list[RunRecord]:
    """The records that may stand in one chart: one setting, and one item set, asked and judged in one way, for each
    benchmark."""
    same = one_setting(records)
    groups = ([r for r in same if r.benchmark == b] for b in dict.fromkeys(r.benchmark for r in same))
    return [r for group in groups for r in _largest(group, _asked)]


def _asked(r: RunRecord) -> tuple[str, str, int]:
    """The items, how they were judged, and how long an answer could be."""
    return r.data_hash, r.metric, r.max_new_tokens


def _largest(records: Iterable[RunRecord], key: Callable[[RunRecord], Hashable]) -> list[RunRecord]:
    """The group of records with the most scored items; ties go to the group that comes first."""
    groups: dict[Hashable, list[RunRecord]] = {}
    for r in records:
        groups.setdefault(key(r), []).append(r)
    return max(groups.values(), key=lambda group: sum(r.n_scored for r in group), default=[])


def measured_scores(plan: PruningPlan, revision: str) -> dict[str, dict[str, Any]]:
    """What was measured of exactly these layers of exactly these weights, as an export's passport holds it.

    Returns:
        benchmark -> score, full_model (the unpruned model's score on the same items, if that was measured), n, metric,
        data (hash of the items), device, origin, created. Where a benchmark was run more than once, the run with the
        most scored items counts.
    """
    runs = [r for r in all_runs(plan.model_id)[0] if r.model.revision == revision]
    full = {_setting(r): r.graded_score for r in runs if not r.plan.n_drop}
    ours = (r for r in runs if r.plan.plan_id == plan.plan_id)
    return {  # the last run of a benchmark stays
        r.benchmark: {
            "score": r.graded_score,
            **({"full_model": full[_setting(r)]} if _setting(r) in full else {}),
            "n": r.n_scored,
            "metric": r.metric,
            "data": r.data_hash,
            "device": r.device,
            "origin": r.origin,
            "created": r.created[:10],
        }
        for r in sorted(ours, key=lambda r: (r.benchmark, r.n_scored, r.created))
    }


def _setting(r: RunRecord) -> Hashable:
    """What two runs of one model revision share if their scores may be compared, down to the items scored."""
    scored = tuple(c is not None for c in r.correct)
    return r.benchmark, _asked(r), r.model.dtype, r.device, r.origin, scored


def load_atlas(model_id: str, revision: str | None = None) -> SimilarityAtlas:
    """The atlas of a model: calibrated here if there is one, else the recorded one.

    Args:
        revision: if given, an atlas of another revision of the model does not count.
    Raises:
        CalibrationError: none fits.
    """
    stale, model_id = "", model_name(model_id)
    before = settings.data_dir() / "atlases" / f"{_plain_slug(model_id)}.npz"  # where a folder's was kept once
    for path in dict.fromkeys((user_atlas_path(model_id), before, recorded_atlas_path(model_id))):
        if path.exists():
            atlas = SimilarityAtlas.load(path)
            if atlas.model_id != model_id:
                continue
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


def regimes(
    records: Sequence[RunRecord], items: Mapping[str, ItemSet], outcomes: "pd.DataFrame | None" = None
) -> "RegimeMap":
    """The regimes of one domain's runs of one model: the recorded map if these are the recorded runs, else tested now.

    Args:
        items: item sets by data hash, for the floor (the score of giving each task's commonest answer).
        outcomes: `outcomes_frame(records)`, if it is at hand.
    """
    from core.analysis import RegimeMap, chance_score, detect_regimes

    path = recorded_regimes_path(records[0].model.model_id)
    if path.exists():
        held = json.loads(path.read_text()).get(records[0].domain, {})
        if held.pop("runs", "") == runs_key(records):
            return RegimeMap.from_dict(held)
    sets = [items[data_hash] for data_hash in {r.data_hash for r in records} if data_hash in items]
    n = sum(len(s.items) for s in sets)  # the items of all benchmarks are pooled, so the floors are as well
    floor = sum(chance_score(s) * len(s.items) for s in sets) / n if n else 0.0
    return detect_regimes(outcomes_frame(records) if outcomes is None else outcomes, floor=floor)


def runs_key(records: Iterable[RunRecord]) -> str:
    """Content key of a set of runs and of how far they have come."""
    content = sorted((r.run_id, r.n_scored, r.n_correct) for r in records)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
