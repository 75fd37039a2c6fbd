"""The one object that pages talk to: cached models, atlases, runs, regimes and the engine.

Pages call these functions and never open a file, load a model or compute a statistic themselves. Cache keys hold the
files' modification times, so that a new recording or a finished sweep shows at once. torch is imported where a model is
really needed, so that the viewer runs without it.
"""

import importlib.util
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st
from PIL import Image

from core import settings
from core.data.images import open_image
from core.data.samples import DOMAINS, Sample, alternate, domain_tasks, draw_from_source, draw_samples
from core.errors import CalibrationError, ModelError, StrataError
from core.pruning import ModelSpec, PruningPlan, SimilarityAtlas, build_plan, protected_layers
from core.runs.library import (
    one_setting,
    recorded_atlas_path,
    recorded_runs_path,
    user_atlas_path,
    user_runs_path,
)
from core.runs.records import ItemSet, RunRecord, outcomes_frame
from dashboard import results

if TYPE_CHECKING:
    from core.analysis.regimes import RegimeMap
    from core.runs.sweep import SweepReport
    from core.vlm.engine import Engine

DEFAULT_MODEL = "tiny"
GALLERY_SEED, GALLERY_SIZE = 7, 12
BYTES = {"float32": 4, "float": 4, "float16": 2, "bfloat16": 2, "int8": 1}
Progress = Callable[[int, int], None]
SweepProgress = Callable[[int, int, str], None]


def _mtime(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


# ------------------------------------------------------------------------------------------------ what can run here


def live(model_id: str = DEFAULT_MODEL) -> bool:
    """Can this machine run the model (torch installed and the weights at hand)?"""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        return False
    return model_id != DEFAULT_MODEL or any(settings.TINY_DIR.glob("*.safetensors"))


def device() -> str:
    """Where live answers are computed, in a word."""
    if not live():
        return "none"
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"


@st.cache_resource(max_entries=1, show_spinner=False)
def engine() -> "Engine":
    """The one engine of this process; it loads a model when the first question for it arrives."""
    from core.vlm.engine import Engine
    from core.vlm.loading import load_vlm

    return Engine(load_vlm)


def models() -> list[str]:
    """Models that a page can show: the embedded one, and every model with runs or an atlas here."""
    found = {DEFAULT_MODEL, *(r.model.model_id for r in (*_recorded(DEFAULT_MODEL)[0], *_own_runs()[0]))}
    return sorted(found, key=lambda m: (m != DEFAULT_MODEL, m))


def spec(model_id: str) -> ModelSpec:
    """What the model is: from its runs if there are any (no torch needed), else from its configuration."""
    for record in records(model_id):
        return record.model
    if live(model_id):
        return _read_spec(model_id)
    raise ModelError(
        f"nothing is known about '{model_id}' here: install requirements.txt to run it, "
        "or import runs of it on the Runs page"
    )


@st.cache_resource(max_entries=8, show_spinner=False)
def _read_spec(model_id: str) -> ModelSpec:
    from core.vlm.loading import read_spec

    return read_spec(model_id)


def protected(model: ModelSpec) -> frozenset[int]:
    return protected_layers(model.n_layers, model.structural)


def largest_budget(model: ModelSpec) -> int:
    return max(1, model.n_layers - len(protected(model)))


# ------------------------------------------------------------------------------------------------ similarity


def atlas_path(model_id: str, source: str) -> Path:
    """`source` is "recorded" (ships with the project) or "own" (calibrated here)."""
    return recorded_atlas_path(model_id) if source == "recorded" else user_atlas_path(model_id)


def atlas_sources(model_id: str) -> list[str]:
    return [s for s in ("own", "recorded") if atlas_path(model_id, s).exists()]


def atlas(model_id: str, source: str = "recorded") -> SimilarityAtlas:
    path = atlas_path(model_id, source)
    if not path.exists():
        raise CalibrationError(
            f"no similarities of '{model_id}' yet: recompute them on the Similarity page, or run "
            f"python -m core calibrate --model {model_id}"
        )
    return _atlas(str(path), _mtime(path))


@st.cache_resource(max_entries=4, show_spinner=False)
def _atlas(path: str, mtime: int) -> SimilarityAtlas:
    return SimilarityAtlas.load(Path(path))


def recompute_atlas(model_id: str, n_per_domain: int, seed: int, progress: Progress | None = None) -> SimilarityAtlas:
    """Calibrate here and now, and keep the result as the user's own atlas.

    Loads its own copy of the model: hooks on the engine's copy would also catch other people's answers.
    """
    from core.vlm.loading import load_vlm
    from core.vlm.similarity import compute_atlas

    samples = {d: draw_samples("calibration", seed, n_per_domain, domain_tasks(d)) for d in DOMAINS}
    computed = compute_atlas(load_vlm(model_id), samples, progress=progress)
    computed.save(atlas_path(model_id, "own"))
    return computed


# ------------------------------------------------------------------------------------------------ plans


def plan(atlas: SimilarityAtlas, criterion: str, budget: int) -> PruningPlan:
    return build_plan(atlas, criterion, budget)


@dataclass(frozen=True)
class Cost:
    """What a plan leaves: counts, not measurements."""

    parameters: int
    share: float  # of the full model's parameters
    bytes: int
    depth: float  # share of layers kept


def cost(model: ModelSpec, plan: PruningPlan) -> Cost:
    kept = model.n_parameters - sum(model.layer_parameters[i] for i in plan.dropped)
    size = BYTES.get(model.dtype.removeprefix("torch."), 4)
    return Cost(kept, kept / model.n_parameters, kept * size, len(plan.kept) / model.n_layers)


# ------------------------------------------------------------------------------------------------ runs


def _recorded(model_id: str) -> tuple[list[RunRecord], dict[str, ItemSet]]:
    path = recorded_runs_path(model_id)
    return _load_recorded(str(path), _mtime(path)) if path.exists() else ([], {})


@st.cache_resource(max_entries=4, show_spinner=False)
def _load_recorded(path: str, mtime: int) -> tuple[list[RunRecord], dict[str, ItemSet]]:
    from cache.run_store import load_recorded

    return load_recorded(Path(path))


def _own_runs() -> tuple[list[RunRecord], dict[str, ItemSet]]:
    path = user_runs_path()
    if not path.exists():
        return [], {}
    return _load_own(str(path), max((_mtime(p) for p in path.glob("*")), default=0))


@st.cache_resource(max_entries=2, show_spinner=False)
def _load_own(path: str, mtime: int) -> tuple[list[RunRecord], dict[str, ItemSet]]:
    from cache.run_store import RunStore

    with RunStore(Path(path)) as runs:
        return runs.records(), {items.data_hash: items for items in runs.item_sets()}


def records(model_id: str) -> list[RunRecord]:
    """The runs of a model that may be compared: one revision, dtype and device.

    A run that was repeated here replaces the recorded one.
    """
    merged = {r.run_id: r for r in (*_recorded(model_id)[0], *_own_runs()[0]) if r.model.model_id == model_id}
    return one_setting(r for r in merged.values() if r.n_scored)


def origin_of(model_id: str) -> str:
    """ "recorded", "live" or both, of the model's runs."""
    own = any(r.model.model_id == model_id for r in _own_runs()[0])
    shipped = bool(_recorded(model_id)[0])
    return "recorded and measured here" if own and shipped else "measured here" if own else "recorded"


def item_sets(model_id: str) -> dict[str, ItemSet]:
    return {**_recorded(model_id)[1], **_own_runs()[1]}


@dataclass(frozen=True)
class DataSet:
    """The items that a domain was measured on: scores are only ever compared within one such set."""

    data_hash: str
    benchmark: str
    domain: str
    n: int
    runs: int

    @property
    def label(self) -> str:
        return f"{self.n} items, {self.data_hash[:8]}"


def data_sets(model_id: str, domain: str | None = None) -> list[DataSet]:
    """Item sets with runs of a model, the one with the most scored items first within each domain."""
    groups: dict[str, list[RunRecord]] = {}
    for record in records(model_id):
        if domain in (None, record.domain):
            groups.setdefault(record.data_hash, []).append(record)
    found = [
        (sum(r.n_scored for r in g), DataSet(h, g[0].benchmark, g[0].domain, len(g[0].item_ids), len(g)))
        for h, g in groups.items()
    ]
    return [d for _, d in sorted(found, key=lambda f: (-f[0], f[1].data_hash))]


def chosen_records(model_id: str, data: str | None = None) -> list[RunRecord]:
    """The runs behind the scores of a page: one item set per domain.

    Args:
        data: hash of an item set, to be used for its domain instead of the one with the most scored items.
    """
    chosen: dict[str, str] = {}
    for found in data_sets(model_id):
        if found.data_hash == data or found.domain not in chosen:
            chosen[found.domain] = found.data_hash
    return [r for r in records(model_id) if r.data_hash == chosen[r.domain]]


def _state(model_id: str) -> tuple[str, int, str, int]:
    """What the runs depend on, as a cache key: the files and when they changed."""
    recorded, own = recorded_runs_path(model_id), user_runs_path()
    changed = max((_mtime(p) for p in own.glob("*")), default=0) if own.exists() else 0
    return str(recorded), _mtime(recorded), str(own), changed


def outcomes(model_id: str, data: str | None = None) -> pd.DataFrame:
    """Every scored item of the chosen runs of a model, as the analysis reads it."""
    return _outcomes(model_id, data, _state(model_id))


@st.cache_resource(max_entries=8, show_spinner="Reading the runs …")
def _outcomes(model_id: str, data: str | None, state: tuple[str, int, str, int]) -> pd.DataFrame:
    tasks = {i.item_id: i.task for s in item_sets(model_id).values() for i in s.items}
    return outcomes_frame(chosen_records(model_id, data), tasks)


def score_table(model_id: str, by: str = "domain", data: str | None = None) -> pd.DataFrame:
    """Score, interval and n of every plan, by domain or by task; shared between sessions: pages must not change it."""
    return _score_table(model_id, by, data, _state(model_id))


@st.cache_resource(max_entries=8, show_spinner=False)
def _score_table(model_id: str, by: str, data: str | None, state: tuple[str, int, str, int]) -> pd.DataFrame:
    return results.score_table(outcomes(model_id, data), by)


def regime_map(model_id: str, domain: str, data: str | None = None) -> "RegimeMap | None":
    """The regimes of a domain at every measured budget, or None where there are no runs to read them from."""
    frame = outcomes(model_id, data)
    if not ((frame.domain == domain) & (frame.n_drop > 0)).any():
        return None
    return _regime_map(model_id, domain, data, _state(model_id))


@st.cache_resource(max_entries=16, show_spinner="Testing for regimes …")
def _regime_map(model_id: str, domain: str, data: str | None, state: tuple[str, int, str, int]) -> "RegimeMap":
    from core.analysis import chance_score, detect_regimes

    frame = outcomes(model_id, data)
    hashes = {r.data_hash for r in chosen_records(model_id, data) if r.domain == domain}
    floors = [chance_score(items) for h, items in item_sets(model_id).items() if h in hashes]
    return detect_regimes(frame[(frame.domain == domain) & (frame.n_drop > 0)], floor=max(floors, default=0.0))


def regime_labels(model_id: str, domain: str, data: str | None = None) -> dict[int, str]:
    found = regime_map(model_id, domain, data)
    return {b.n_drop: b.label for b in found.budgets} if found else {}


def regime_table(model_id: str, domain: str, data: str | None = None) -> pd.DataFrame:
    """One row per budget: n_drop, label and every number of the evidence (an interval takes three columns)."""
    found = regime_map(model_id, domain, data)
    return results.evidence_table((b.n_drop, b.label, b.evidence) for b in found.budgets) if found else pd.DataFrame()


def run_sweep(
    model_id: str, criteria: Sequence[str], budgets: Sequence[int], n_random: int, limit: int, progress: SweepProgress
) -> "SweepReport":
    """Score plans on the embedded test items, `limit` per domain, into the user's store; finished items are kept."""
    from cache.run_store import RunStore
    from core.runs.sweep import benchmark_items, run_sweep, sweep_plans
    from core.vlm.loading import load_vlm

    similarities = atlas(model_id, atlas_sources(model_id)[0]) if atlas_sources(model_id) else atlas(model_id)
    plans = sweep_plans(similarities, criteria, budgets, n_random)
    with RunStore(user_runs_path()) as runs:
        return run_sweep(
            load_vlm(model_id),
            similarities,
            plans,
            benchmark_items(n_per_domain=limit),
            runs,
            chunk=16,
            progress=progress,
        )


def run_groups(recorded: bool) -> pd.DataFrame:
    """What is recorded, or what was measured here: one row per model and benchmark."""
    found = [r for m in models() for r in _recorded(m)[0]] if recorded else _own_runs()[0]
    rows: dict[tuple[str, ...], list[RunRecord]] = {}
    for r in found:
        rows.setdefault((r.model.model_id, r.model.revision[:10], r.benchmark, r.data_hash[:8], r.origin), []).append(r)
    table = [
        {
            "model": key[0],
            "revision": key[1],
            "benchmark": key[2],
            "data": key[3],
            "origin": key[4],
            "runs": len(group),
            "finished": sum(r.complete for r in group),
            "criteria": len({r.plan.criterion for r in group}),
            "budgets": results.as_ranges(sorted({r.plan.n_drop for r in group})),
            "n": max(len(r.item_ids) for r in group),
            "device": " / ".join(sorted({r.device for r in group if r.device})),
            "date": max(r.created for r in group)[:10],
        }
        for key, group in rows.items()
    ]
    return pd.DataFrame(table)


def export_runs() -> bytes:
    """The user's runs as one Parquet file."""
    from cache.run_store import RunStore

    with tempfile.TemporaryDirectory() as folder, RunStore(user_runs_path()) as runs:
        path = Path(folder) / "runs.parquet"
        runs.export_parquet(path)
        return path.read_bytes()


def import_runs(data: bytes) -> int:
    """Merge an uploaded Parquet file of runs into the user's store; returns the number of runs in it."""
    from cache.run_store import RunStore

    with tempfile.TemporaryDirectory() as folder, RunStore(user_runs_path()) as runs:
        path = Path(folder) / "upload.parquet"
        path.write_bytes(data)
        return runs.import_parquet(path)


def disk_use() -> list[tuple[str, str, int]]:
    """(what, where, bytes) of everything that Strata keeps on this disk."""
    places = [("recorded set", settings.RECORDED_DIR), ("your runs", user_runs_path())]
    places.append(("your similarities", settings.data_dir() / "atlases"))
    return [(what, shown(p), sum(f.stat().st_size for f in p.rglob("*") if f.is_file())) for what, p in places]


def shown(path: Path) -> str:
    """A path as a page shows it: from the project's folder or from the home, so that a screenshot tells no secrets."""
    for base, prefix in ((settings.ROOT, ""), (Path.home(), "~/")):
        if path.is_relative_to(base):
            return prefix + path.relative_to(base).as_posix()
    return str(path)


# ------------------------------------------------------------------------------------------------ samples


def gallery(model_id: str) -> tuple[Sample, ...]:
    """The samples that Compare offers, math and general in turn: measured items if there are any, else fresh ones."""
    sources = []
    sets = item_sets(model_id).values()
    for items in sorted(sets, key=lambda s: ({"math": 0, "general": 1}.get(s.domain, 2), s.domain)):
        by_task = {i.task: i.source for i in reversed(items.items) if i.source.startswith("drawn:")}
        sources.append(list(by_task.values())[: GALLERY_SIZE // 2])
    return _gallery(tuple(alternate(*sources)) if all(sources) and sources else ())


@st.cache_resource(max_entries=4, show_spinner=False)
def _gallery(sources: tuple[str, ...]) -> tuple[Sample, ...]:
    if not sources:
        return tuple(draw_samples("test", GALLERY_SEED, GALLERY_SIZE))
    return tuple(draw_from_source(s) for s in dict.fromkeys(sources))[:GALLERY_SIZE]


def sample(model_id: str, sample_id: str) -> Sample:
    """A gallery sample, or an item of a measured benchmark, picture included."""
    for known in gallery(model_id):
        if known.sample_id == sample_id:
            return known
    for items in item_sets(model_id).values():
        for item in items.items:
            if item.item_id == sample_id:
                if item.source.startswith("drawn:"):
                    return draw_from_source(item.source)
                return Sample(item.item_id, items.domain, item.task, item.question, item.answer, None, item.source)
    raise StrataError(f"no sample '{sample_id[:32]}' here: pick one of the gallery")


def uploaded(data: bytes, question: str) -> Sample:
    """A user's own picture and question; it has no gold answer."""
    image: Image.Image = open_image(data)
    return Sample("upload", "own", "upload", question, "", image, "upload")


def recorded_outcome(model_id: str, plan: PruningPlan | None, sample_id: str) -> bool | None:
    """Was a sample answered right in a measured run of this plan (None: the full model)? None when not measured."""
    for record in records(model_id):
        same = record.plan.plan_id == plan.plan_id if plan else record.plan.n_drop == 0
        if same and sample_id in record.item_ids:
            return record.correct[record.item_ids.index(sample_id)]
    return None


def to_json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)
