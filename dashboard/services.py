"""The one object that pages talk to: cached models, atlases, runs, regimes and the engine.

Pages call these functions and never open a file, load a model or compute a statistic themselves. Cache keys hold the
files' modification times, so that a new recording or a finished sweep shows at once. torch is imported where a model is
really needed, so that the viewer runs without it.
"""

import gc
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st
from PIL import Image

from core import __version__, settings
from core.data.images import open_image
from core.data.items import BenchmarkItem, ItemSet
from core.data.samples import DOMAINS, Sample, domain_tasks, draw_from_source, draw_samples
from core.errors import CalibrationError, ModelError, SampleError, StoreError, StrataError
from core.limits import Limits, load_limits
from core.pruning import (
    ModelAnatomy,
    ModelSpec,
    PruningPlan,
    SimilarityAtlas,
    build_plan,
    estimate_cost,
    list_criteria,
    protected_layers,
)
from core.runs import library
from core.runs.answers import ANSWERING, RecordedAnswer, find_answer, image_hash, load_answers, save_answer, small_copy
from core.runs.library import (
    GALLERY_SIZE,
    comparable,
    gallery_sources,
    one_setting,
    recorded_anatomy_path,
    recorded_atlas_path,
    recorded_runs_path,
    user_atlas_path,
    user_runs_path,
    with_own,
)
from core.runs.published import published_scores
from core.runs.records import Answer, GenerationConfig, RunRecord, TokenEvent, outcomes_frame
from core.runs.references import ReferenceScore
from dashboard import results
from dashboard.exports import Stage, build_zip
from dashboard.plan_tables import Request, Speed, parameters_left, speed

if TYPE_CHECKING:
    from core.analysis.regimes import Boundary, RegimeMap
    from core.vlm.engine import Engine, Ticket
    from core.vlm.loading import VLM

DEFAULT_MODEL = "tiny"
FETCHED_MODEL = "smol"  # python -m core models fetch smol
GALLERY_SEED = 7
BUSY_S = 2.0  # that a page waits for a store that another process writes
RETRY_S = 15.0  # until a store that cannot be read is tried again
SPEED_QUESTIONS = 6
MAX_PICTURES = 24  # of a domain that a user adds
Progress = Callable[[int, int], None]


def _mtime(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


# ------------------------------------------------------------------------------------------------ what can run here


def live(model_id: str = DEFAULT_MODEL) -> bool:
    """Can this machine run the model (torch installed and the weights at hand)? A page never downloads a model."""
    if settings.replay() or not _offered(model_id):
        return False
    if model_id == DEFAULT_MODEL:
        return any(settings.TINY_DIR.glob("*.safetensors"))
    if model_id == FETCHED_MODEL:
        return (settings.smol_dir() / "config.json").is_file()
    if model_id.startswith(("/", ".", "~")):
        return (Path(model_id).expanduser() / "config.json").is_file()
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    with suppress(HFValidationError):
        name, _, revision = model_id.partition("@")
        wanted = limits().revision(model_id) or revision or None
        return isinstance(try_to_load_from_cache(name, "config.json", revision=wanted), str)
    return False


@st.cache_resource(max_entries=1, show_spinner=False)
def limits() -> Limits:
    """What a visitor of this instance may ask for."""
    return load_limits()


def _offered(model_id: str) -> bool:
    offered = limits().model_ids
    return offered is None or model_id in offered


def device() -> str:
    """Where live answers are computed, in a word."""
    if not live():
        return "none"
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"


def availability(model_id: str) -> list[tuple[str, str, str]]:
    """What a visitor can see of a model: (what, live | recorded | yours | missing, details)."""
    found = []
    if live(model_id):
        found.append(("Answers, calibration, sweeps", "live", f"on {device()}"))
    else:
        found.append(("Answers", "missing", "torch or the weights are not here, so pages show what was recorded"))
    names = {"own": "yours", "recorded": "recorded"}
    for source in atlas_sources(model_id):
        held = atlas(model_id, source)
        found.append(("Similarities", names[source], f"of {len(held.samples)} samples, {held.created[:10]}"))
    for runs, how in ((_recorded(model_id)[0], "recorded"), (_own_runs()[0], "yours")):
        ours = [r for r in runs if r.model.model_id == model_id]
        if ours:
            found.append(("Scores", how, f"of {len(ours)} runs, {max(r.created for r in ours)[:10]}"))
    return found


@st.cache_resource(max_entries=1, show_spinner=False)
def engine() -> "Engine":
    """The one engine of this process; it loads a model when the first question for it arrives."""
    from core.vlm.engine import Engine
    from core.vlm.loading import load_vlm

    bounds = limits()

    def load(model_id: str) -> "VLM":
        vlm = load_vlm(model_id, revision=bounds.revision(model_id))
        settle()
        return vlm

    return Engine(load, bounds)


def settle() -> None:
    """Take everything that is there by now out of garbage collection, because it is here to stay.

    Streamlit collects after every run of a page, in whatever session. Going through the libraries, the model and the
    records each time stopped all threads for 130 ms, which was two fifths of the time with eight sessions.
    """
    gc.unfreeze()  # what was frozen before and has gone since, sessions of closed tabs for one
    gc.collect()
    gc.freeze()


def models() -> list[str]:
    """Models that a page can show: the embedded one, the fetched one, and every model with runs or an atlas here."""
    found = {DEFAULT_MODEL, *(r.model.model_id for r in (*_recorded(DEFAULT_MODEL)[0], *_own_runs()[0]))}
    found |= {FETCHED_MODEL} if live(FETCHED_MODEL) else set()
    return sorted(filter(_offered, found), key=lambda m: (m != DEFAULT_MODEL, m))


def spec(model_id: str) -> ModelSpec:
    """What the model is: from its runs if there are any (no torch needed), else from its configuration.

    Imported runs may know its depth only; what is known of its size then comes from elsewhere, or is 0.
    """
    found = [r.model for r in records(model_id)]
    for model in found:
        if model.n_parameters:
            return model
    if found:
        with suppress(ModelError):  # its weights are not here
            return _read_spec(model_id) if live(model_id) else found[0]
        return found[0]
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


def atlas_frame(build: Callable[..., pd.DataFrame], model_id: str, source: str, *more: Any) -> pd.DataFrame:
    """`build(atlas, *more)`, computed once: intervals and split halves take longer than the rest of a page."""
    path = atlas_path(model_id, source)
    return _atlas_frame(build, str(path), _mtime(path), *more)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs={FunctionType: lambda f: (f.__module__, f.__qualname__)})
def _atlas_frame(build: Callable[..., pd.DataFrame], path: str, mtime: int, *more: Any) -> pd.DataFrame:
    return build(_atlas(path, mtime), *more)


def recompute_atlas(model_id: str, n_per_domain: int, seed: int, progress: Progress | None = None) -> SimilarityAtlas:
    """Calibrate math and general here and now, into the user's own atlas; domains that the user added stay in it."""
    samples = {d: draw_samples("calibration", seed, n_per_domain, domain_tasks(d)) for d in DOMAINS}
    return _keep_similarities(model_id, samples, progress)


def add_domain(
    model_id: str, name: str, pictures: Sequence[bytes], question: str, progress: Progress | None = None
) -> SimilarityAtlas:
    """Measure similarity on the user's own pictures, asked one question, as a further domain of their atlas.

    The pictures are not kept.

    Raises:
        CalibrationError: a name that will not do, or too few or too many pictures.
        SampleError: a file that is not a picture, or an empty question.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]{1,23}", name) or name in DOMAINS:
        raise CalibrationError(
            f"'{name[:32]}' cannot name a domain: give 2 to 24 lower-case letters, digits or dashes; "
            f"{' and '.join(DOMAINS)} are taken"
        )
    if not 1 <= len(pictures) <= MAX_PICTURES:
        raise CalibrationError(f"{len(pictures)} pictures were given: give 1 to {MAX_PICTURES}")
    if not question.strip():
        raise SampleError("the question is empty: type one that all pictures are asked, for example 'What is this?'")
    samples = [
        Sample(
            hashlib.sha256(data + question.encode()).hexdigest()[:16], name, "pictures", question, "", open_image(data)
        )
        for data in pictures
    ]
    return _keep_similarities(model_id, {name: samples}, progress)


def _keep_similarities(model_id: str, samples: dict[str, list[Sample]], progress: Progress | None) -> SimilarityAtlas:
    """Compute similarities and merge them into the user's atlas, which begins as the recorded one.

    Loads its own copy of the model: hooks on the engine's copy would also catch other people's answers.
    """
    limits().check_work("measuring similarities")
    from core.vlm.loading import load_vlm
    from core.vlm.similarity import compute_atlas

    vlm = load_vlm(model_id)
    computed = compute_atlas(vlm, samples, progress=progress)
    for source in atlas_sources(model_id):
        held = atlas(model_id, source)
        if (held.revision, held.n_layers) == (computed.revision, computed.n_layers):
            computed = held.merged(computed)
            break
    computed.save(atlas_path(model_id, "own"))
    return computed


# ------------------------------------------------------------------------------------------------ plans


def plan(atlas: SimilarityAtlas, criterion: str, budget: int) -> PruningPlan:
    return build_plan(atlas, criterion, budget)


def criteria(atlas: SimilarityAtlas) -> list[str]:
    """The registered criteria, and a ranking by each domain that the user added."""
    return [c.name for c in list_criteria()] + [f"domain:{d}" for d in atlas.domains if d not in DOMAINS]


def anatomy(model: ModelSpec) -> ModelAnatomy | None:
    """Parts and FLOPs of a model: recorded, or counted from its configuration if that is on this machine; else None."""
    path = recorded_anatomy_path(model.model_id)
    found = None
    if path.exists():
        found = _recorded_anatomy(str(path), _mtime(path))
    elif live(model.model_id):
        found = _count_anatomy(model.model_id)
    return found if found and found.n_layers == model.n_layers else None


@st.cache_resource(max_entries=8, show_spinner=False)
def _recorded_anatomy(path: str, mtime: int) -> ModelAnatomy:
    return ModelAnatomy.from_dict(json.loads(Path(path).read_text()))


@st.cache_resource(max_entries=8, show_spinner="Counting what the model costs …")
def _count_anatomy(model_id: str) -> ModelAnatomy:
    from core.vlm import read_anatomy

    return read_anatomy(model_id)


def measure_speed(model_id: str, plans: Sequence[PruningPlan | None], progress: Progress | None = None) -> list[Speed]:
    """Ask every plan (None: the full model) the same gallery questions, in turn, and time the answers.

    The first question is asked once more before, untimed, so that no plan pays for loading.
    """
    limits().check_work("timing plans")
    asked = gallery(model_id)[:SPEED_QUESTIONS]
    rounds = [asked[0], *asked]
    answers: list[list[Answer]] = [[] for _ in plans]
    for n, question in enumerate(rounds):
        for i, plan in enumerate(plans):
            ticket = engine().submit(model_id, [plan], question.image, question.question, GenerationConfig(16))
            finished = [event.answer for event in ticket.events() if not isinstance(event, TokenEvent)]
            answers[i] += finished if n else []
            if progress:
                progress(n * len(plans) + i + 1, len(rounds) * len(plans))
    return [speed(a) for a in answers]


def model_ref(model_id: str) -> str:
    """A model as other tools take it: the embedded and the fetched one are folders."""
    folder = settings.named_folder(model_id)
    if folder is None:
        return model_id
    return f"./{shown(folder)}" if folder.is_relative_to(settings.ROOT) else str(folder)


def export_zip(model: ModelSpec, plan: PruningPlan, atlas: SimilarityAtlas, progress: Stage = lambda *_: None) -> Path:
    """The plan's checkpoint as a zip file, made if it is not there yet; see `dashboard.exports`."""
    limits().check_work("exporting a checkpoint")
    return build_zip(model, plan, atlas.data_hash, progress)


# ------------------------------------------------------------------------------------------------ runs


def _recorded(model_id: str) -> tuple[list[RunRecord], dict[str, ItemSet]]:
    path = recorded_runs_path(model_id)
    return _load_recorded(str(path), _mtime(path)) if path.exists() else ([], {})


@st.cache_resource(max_entries=4, show_spinner=False)
def _load_recorded(path: str, mtime: int) -> tuple[list[RunRecord], dict[str, ItemSet]]:
    from cache.run_store import load_recorded

    return load_recorded(Path(path))


@dataclass(frozen=True)
class OwnStore:
    """What the user's run store holds; `problem`: why it cannot be read, in one line."""

    records: Sequence[RunRecord] = ()
    items: Mapping[str, ItemSet] = field(default_factory=dict)
    figures: Sequence[ReferenceScore] = ()
    problem: str = ""


def _own_runs() -> tuple[Sequence[RunRecord], Mapping[str, ItemSet]]:
    own = _own_store()
    return own.records, own.items


def storage_problem() -> str:
    """Why the user's own runs cannot be read, in one line; "" if they can. Pages then show what is recorded."""
    return _own_store().problem


def _own_store() -> OwnStore:
    path = user_runs_path()
    if not path.exists():
        return OwnStore()
    state = _store_state(path)
    # of a store that cannot even be looked at: tried again now and then, not by every call of a page
    attempt = 0 if state else int(time.monotonic() // RETRY_S)
    return _load_own(str(path), state, attempt)


def _store_state(path: Path) -> tuple[Any, ...]:
    from cache.run_store import store_state

    return store_state(path)


@st.cache_resource(max_entries=2, show_spinner=False)
def _load_own(path: str, state: tuple[Any, ...], attempt: int) -> OwnStore:
    from cache.run_store import RunStore, store_state

    try:
        if not state and not store_state(Path(path), BUSY_S):  # opening it would wait for a minute
            raise StoreError(f"the run store {shown(Path(path))} is locked by another process, or damaged")
        with RunStore(Path(path), busy_s=BUSY_S) as runs:
            return OwnStore(runs.records(), {s.data_hash: s for s in runs.item_sets()}, runs.references())
    except StoreError as error:
        return OwnStore(problem=str(error))


def records(model_id: str) -> list[RunRecord]:
    """The runs of a model that may be compared: one revision, dtype and device.

    A run that was repeated here replaces the recorded one as soon as it has come as far.
    """
    return list(_records(model_id, _state(model_id)))


@st.cache_resource(max_entries=8, show_spinner="Reading the runs …")
def _records(model_id: str, state: tuple[Any, ...]) -> list[RunRecord]:
    return one_setting(_all_records(model_id))


def _all_records(model_id: str) -> list[RunRecord]:
    merged = with_own(_recorded(model_id)[0], _own_runs()[0])
    return [r for r in merged if r.n_scored and r.model.model_id == model_id]


def reference_points(model_id: str, domain: str, measure: str = "score") -> pd.DataFrame:
    """Imported and published scores of a domain, to stand beside the runs that the page is about."""
    found = _reference_records(model_id, _state(model_id))
    return results.reference_points(found, domain, measure, figures(model_id))


def figures(model_id: str | None = None) -> list[ReferenceScore]:
    """Published and imported figures without outcomes, of one model or of all."""
    return [f for f in (*published_scores(), *_own_store().figures) if model_id in (None, f.model_id)]


@st.cache_resource(max_entries=8, show_spinner=False)
def _reference_records(model_id: str, state: tuple[Any, ...]) -> list[RunRecord]:
    shown = {r.origin for r in records(model_id)}
    return [r for r in _all_records(model_id) if r.origin != "measured" and r.origin not in shown]


def origin_of(model_id: str) -> str:
    """Where the model's runs come from: recorded, measured here or both; imported or published ones say so."""
    foreign = sorted({r.origin for r in records(model_id)} - {"measured"})
    if foreign:
        return " and ".join(foreign)
    own = any(r.model.model_id == model_id for r in _own_runs()[0])
    shipped = bool(_recorded(model_id)[0])
    return "recorded and measured here" if own and shipped else "measured here" if own else "recorded"


def item_sets(model_id: str) -> dict[str, ItemSet]:
    return {**_recorded(model_id)[1], **_own_runs()[1]}


def every_record(recorded: bool) -> list[RunRecord]:
    """All runs that ship with the project, or all that were measured or imported here, of any model."""
    return [r for m in models() for r in _recorded(m)[0]] if recorded else list(_own_runs()[0])


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
        return f"{self.benchmark}, {self.n} items, {self.data_hash[:8]}"


def data_sets(model_id: str, domain: str | None = None) -> list[DataSet]:
    """Item sets with runs of a model, the one with the most scored items first within each domain."""
    return [d for d in _data_sets(model_id, _state(model_id)) if domain in (None, d.domain)]


@st.cache_resource(max_entries=8, show_spinner=False)
def _data_sets(model_id: str, state: tuple[Any, ...]) -> list[DataSet]:
    groups: dict[str, list[RunRecord]] = {}
    for record in records(model_id):
        groups.setdefault(record.data_hash, []).append(record)
    found = [
        (sum(r.n_scored for r in g), DataSet(h, g[0].benchmark, g[0].domain, len(g[0].item_ids), len(g)))
        for h, g in groups.items()
    ]
    return [d for _, d in sorted(found, key=lambda f: (-f[0], f[1].data_hash))]


def chosen_records(model_id: str, data: str | None = None) -> list[RunRecord]:
    """The runs behind the scores of a page: one item set per domain, judged by one metric.

    Args:
        data: hash of an item set, to be used for its domain instead of the one with the most scored items.
    """
    return list(_chosen_records(model_id, data, _state(model_id)))


@st.cache_resource(max_entries=8, show_spinner=False)
def _chosen_records(model_id: str, data: str | None, state: tuple[Any, ...]) -> list[RunRecord]:
    chosen: dict[str, str] = {}
    for found in data_sets(model_id):
        if found.data_hash == data or found.domain not in chosen:
            chosen[found.domain] = found.data_hash
    return comparable(r for r in records(model_id) if r.data_hash == chosen[r.domain])


def _state(model_id: str) -> tuple[Any, ...]:
    """What the runs depend on, as a cache key: the recorded file and when it changed, the state of the user's store."""
    recorded, own = recorded_runs_path(model_id), user_runs_path()
    return str(recorded), _mtime(recorded), str(own), _store_state(own)


def outcomes(model_id: str, data: str | None = None) -> pd.DataFrame:
    """Every scored item of the chosen runs of a model, as the analysis reads it."""
    return _outcomes(model_id, data, _state(model_id))


@st.cache_resource(max_entries=8, show_spinner="Reading the runs …")
def _outcomes(model_id: str, data: str | None, state: tuple[Any, ...]) -> pd.DataFrame:
    tasks = {i.item_id: i.task for s in item_sets(model_id).values() for i in s.items}
    frame = outcomes_frame(chosen_records(model_id, data), tasks)
    settle()
    return frame


def score_table(model_id: str, by: str = "domain", data: str | None = None) -> pd.DataFrame:
    """Score, interval and n of every plan, by domain or by task; shared between sessions: pages must not change it."""
    return _score_table(model_id, by, data, _state(model_id))


@st.cache_resource(max_entries=8, show_spinner=False)
def _score_table(model_id: str, by: str, data: str | None, state: tuple[Any, ...]) -> pd.DataFrame:
    return results.score_table(outcomes(model_id, data), by)


def tasks(model_id: str, domain: str, data: str | None = None) -> list[str]:
    """The tasks that the chosen item set of a domain holds."""
    hashes = {r.data_hash for r in chosen_records(model_id, data) if r.domain == domain}
    return sorted({i.task for h, s in item_sets(model_id).items() if h in hashes for i in s.items})


def regime_map(model_id: str, domain: str, data: str | None = None) -> "RegimeMap | None":
    """The regimes of a domain at every measured budget, or None where there are no runs to read them from."""
    return _regime_map(model_id, domain, data, _state(model_id))


@st.cache_resource(max_entries=16, show_spinner="Testing for regimes …")
def _regime_map(model_id: str, domain: str, data: str | None, state: tuple[Any, ...]) -> "RegimeMap | None":
    frame = outcomes(model_id, data)
    if not ((frame.domain == domain) & (frame.n_drop > 0)).any():
        return None
    of_domain = [r for r in chosen_records(model_id, data) if r.domain == domain]
    return library.regimes(of_domain, item_sets(model_id), frame[frame.domain == domain])


def regime_labels(model_id: str, domain: str, data: str | None = None) -> dict[int, str]:
    found = regime_map(model_id, domain, data)
    return {b.n_drop: b.label for b in found.budgets} if found else {}


def regime_table(model_id: str, domain: str, data: str | None = None) -> pd.DataFrame:
    """One row per budget: n_drop, label and every number of the evidence (an interval takes three columns)."""
    found = regime_map(model_id, domain, data)
    return results.evidence_table((b.n_drop, b.label, b.evidence) for b in found.budgets) if found else pd.DataFrame()


def boundaries(model_id: str, domain: str, data: str | None = None) -> "tuple[Boundary, ...]":
    """Where a domain's regimes end and begin, with intervals of budgets."""
    found = regime_map(model_id, domain, data)
    return found.boundaries if found else ()


def pairs(model_id: str, criteria: Sequence[str], budget: int, domain: str, data: str | None = None) -> pd.DataFrame:
    """Paired tests between criteria at a budget; see `results.pairwise`."""
    return _pairs(model_id, tuple(criteria), budget, domain, data, _state(model_id))


@st.cache_data(max_entries=64, show_spinner=False)
def _pairs(
    model_id: str, criteria: tuple[str, ...], budget: int, domain: str, data: str | None, state: tuple[Any, ...]
) -> pd.DataFrame:
    return results.pairwise(outcomes(model_id, data), criteria, budget, domain)


def flips(model_id: str, criterion: str, budget: int, domain: str, data: str | None = None) -> pd.DataFrame:
    """Items that a plan answers differently from the full model, with question, gold answer and source."""
    return _flips(model_id, criterion, budget, domain, data, _state(model_id))


@st.cache_data(max_entries=64, show_spinner=False)
def _flips(
    model_id: str, criterion: str, budget: int, domain: str, data: str | None, state: tuple[Any, ...]
) -> pd.DataFrame:
    table = results.flipped(outcomes(model_id, data), criterion, budget, domain)
    known = {i.item_id: i for s in item_sets(model_id).values() for i in s.items}
    items = [known.get(i) for i in table.item_id]
    table["question"] = [i.question if i else "" for i in items]
    table["gold"] = [i.answer if i else "" for i in items]
    table["source"] = [i.source if i else "" for i in items]
    return table


def answered_records(model_id: str, domain: str, data: str | None = None) -> list[RunRecord]:
    """The runs of a domain with what was written in them; none of teacher-forced runs, which write nothing."""
    return list(_answered_records(model_id, domain, data, _state(model_id)))


@st.cache_resource(max_entries=2, show_spinner="Reading the answers …")
def _answered_records(model_id: str, domain: str, data: str | None, state: tuple[Any, ...]) -> list[RunRecord]:
    from cache.run_store import RunStore

    chosen = {r.run_id: r for r in chosen_records(model_id, data) if r.domain == domain}
    found = [r for r in chosen.values() if r.answers]
    listed = {i: r for i, r in chosen.items() if not r.answers and (r.max_new_tokens or r.origin == "imported")}
    if listed and user_runs_path().exists():
        with RunStore(user_runs_path(), busy_s=BUSY_S) as runs:
            found += [r for i in listed if (r := runs.get(i)) and r.answers]
    return found


def measured_as(model_id: str, criterion: str, budget: int, data: str | None = None) -> PruningPlan | None:
    """The plan that was measured under a criterion at a budget."""
    for record in chosen_records(model_id, data):
        if record.plan.criterion == criterion and record.plan.n_drop == budget:
            return record.plan
    return None


def cost_request(anatomy: ModelAnatomy) -> Request:
    """The question that measured plans are priced for: a short one about one picture."""
    return Request(image_tokens=anatomy.tokens_per_image or Request.image_tokens)


def cost_said(model: ModelSpec, cost: str) -> str:
    """How a column of `plan_costs` came about."""
    parts = anatomy(model)
    if cost == "parameters" or parts is None:
        return "parameters are counted"
    r = cost_request(parts)
    return (
        f"FLOPs are estimated from the model's configuration for {r.text_tokens} tokens of text, {r.image_tokens} of "
        f"the picture and {r.new_tokens} of answer"
    )


def plan_costs(model_id: str, data: str | None = None) -> pd.DataFrame:
    """What every measured plan costs: plan_id, parameters and, where the model is at hand, estimated decode FLOPs."""
    return _plan_costs(model_id, data, _state(model_id))


@st.cache_data(max_entries=8, show_spinner=False)
def _plan_costs(model_id: str, data: str | None, state: tuple[Any, ...]) -> pd.DataFrame:
    plans = {r.plan.plan_id: r.plan for r in chosen_records(model_id, data)}
    model = spec(model_id)
    table = pd.DataFrame({"plan_id": list(plans), "parameters": [parameters_left(model, p) for p in plans.values()]})
    if (parts := anatomy(model)) is not None:
        asked = cost_request(parts)
        costs = [
            estimate_cost(
                parts,
                p,
                prompt_tokens=asked.text_tokens,
                image_tokens=asked.image_tokens,
                new_tokens=asked.new_tokens,
            )
            for p in plans.values()
        ]
        table["decode_flops"] = [c.decode_flops_per_token.total for c in costs]
    return table


def shown(path: Path) -> str:
    """A path as a page shows it: from the project's folder or from the home, so that a screenshot tells no secrets."""
    for base, prefix in ((settings.ROOT, ""), (Path.home(), "~/")):
        if path.is_relative_to(base):
            return prefix + path.relative_to(base).as_posix()
    return str(path)


# ------------------------------------------------------------------------------------------------ samples


def gallery_tasks(model_id: str) -> list[str]:
    """Tasks that the gallery can show: those of the measured items, math first; else every drawn task."""
    sets = sorted(item_sets(model_id).values(), key=lambda s: results.domain_order(s.domain))
    measured = [i.task for s in sets for i in s.items if i.source.startswith("drawn:")]
    return list(dict.fromkeys(measured)) or [t for d in DOMAINS for t in domain_tasks(d)]


def gallery(model_id: str, task: str | None = None) -> tuple[Sample, ...]:
    """The samples that Compare offers: measured items if there are any, else fresh ones.

    Args:
        task: only samples of it; by default one of each task, math and general in turn.
    """
    return _gallery(tuple(gallery_sources(item_sets(model_id).values(), task)), task)


@st.cache_resource(max_entries=32, show_spinner=False)
def _gallery(sources: tuple[str, ...], task: str | None) -> tuple[Sample, ...]:
    if not sources:
        return tuple(draw_samples("test", GALLERY_SEED, GALLERY_SIZE, [task] if task else None))
    return tuple(draw_from_source(s) for s in sources)


def sample(model_id: str, sample_id: str) -> Sample:
    """A gallery sample, an item of a measured benchmark, or a calibration sample, with the picture if it is here."""
    for known in gallery(model_id):
        if known.sample_id == sample_id:
            return known
    for items in item_sets(model_id).values():
        for item in items.items:
            if item.item_id == sample_id:
                return _item_sample(items, item)
    for source in atlas_sources(model_id):
        for known in atlas(model_id, source).samples:
            if known.sample_id == sample_id and known.source.startswith("drawn:"):
                return draw_from_source(known.source)
    raise StrataError(f"no sample '{sample_id[:32]}' here: pick one of the gallery")


def _item_sample(items: ItemSet, item: BenchmarkItem) -> Sample:
    if item.source.startswith("drawn:"):
        return draw_from_source(item.source)
    more = (item.choices, item.accepted, item.precision, items.metric)
    picture, _ = _benchmark_picture(items.benchmark, item.source, item.item_id)
    return Sample(item.item_id, items.domain, item.task, item.question, item.answer, picture, item.source, *more)


@st.cache_resource(max_entries=64, show_spinner=False)
def _benchmark_picture(benchmark: str, source: str, item_id: str) -> tuple[Image.Image | None, bool]:
    """The picture of an item, and whether it is known to have one or none."""
    from core.data.benchmarks.loading import find_picture

    with suppress(SampleError):  # its files are not on this machine, or are others now
        return find_picture(benchmark, source, item_id), True
    return None, False


def lacks_picture(model_id: str, sample: Sample) -> bool:
    """Does an item have a picture, for all that is known here, that is not on this machine?"""
    if sample.image is not None:
        return False
    named = [s.benchmark for s in item_sets(model_id).values() if any(i.item_id == sample.sample_id for i in s.items)]
    return not any(_benchmark_picture(b, sample.source, sample.sample_id)[1] for b in named)


def item_picture(model_id: str, item_id: str) -> Image.Image | None:
    """The picture of a measured item; None where it has none, or its files are not on this machine."""
    with suppress(StrataError):
        return sample(model_id, item_id).image
    return None


@st.cache_resource(max_entries=64, show_spinner=False)
def drawn_sample(source: str) -> Sample | None:
    """The drawn sample that a source names; None for a picture that was not kept, or a name that makes no sense."""
    try:
        return draw_from_source(source) if source.startswith("drawn:") else None
    except SampleError:  # sources also come from imported files
        return None


def uploaded(data: bytes, question: str) -> Sample:
    """A user's own picture and question; it has no gold answer."""
    limits().check_question(question, len(data))
    image: Image.Image = open_image(data)
    return Sample("upload", "own", "upload", question, "", image, "upload")


def picture_hash(sample: Sample) -> str:
    return image_hash(sample.image)


def recorded_outcome(model_id: str, plan: PruningPlan | None, sample_id: str) -> bool | None:
    """Was a sample answered right in a measured run of this plan (None: the full model)? None when not measured."""
    for record in records(model_id):
        same = record.plan.plan_id == plan.plan_id if plan else record.plan.n_drop == 0
        if same and sample_id in record.item_ids:
            return record.correct[record.item_ids.index(sample_id)]
    return None


# ------------------------------------------------------------------------------------------------ answers


def ask(model_id: str, plans: Sequence[PruningPlan | None], sample: Sample) -> "Ticket":
    """Put a question to several plans (None: the full model); they answer side by side, token by token."""
    bounds = limits()
    bounds.check_question(sample.question)
    config = replace(ANSWERING, max_new_tokens=min(ANSWERING.max_new_tokens, bounds.new_tokens))
    spent, wanted = st.session_state.get("tokens_asked", 0), len(plans) * config.max_new_tokens
    bounds.check_tokens(spent, wanted)
    ticket = engine().submit(model_id, plans, sample.image, sample.question, config)
    st.session_state["tokens_asked"] = spent + wanted
    return ticket


def compare_on(model_id: str, plans: Sequence[PruningPlan], sample: Sample, answer: str) -> "Ticket":
    """Measure how far plans move the model on an answer to the sample's question."""
    return engine().compare(model_id, plans, replace(sample, answer=answer))


def answering_model(model_id: str) -> ModelSpec:
    """The model as it answers live: revision, dtype and device of what is loaded."""
    loaded = engine().spec if live(model_id) else None
    return loaded if loaded and loaded.model_id == model_id else spec(model_id)


def answers_folder() -> Path:
    """Where the user's recorded answers are."""
    return settings.data_dir() / "answers"


def _as_recorded(
    model_id: str, answers: Sequence[Answer], sample: Sample, keep_picture: bool = False
) -> list[RecordedAnswer]:
    picture = small_copy(sample.image) if keep_picture and sample.image is not None else b""
    return [
        RecordedAnswer(
            model=answering_model(model_id),
            answer=answer,
            config=ANSWERING,
            item_id=sample.sample_id,
            gold=sample.answer,
            image_hash=image_hash(sample.image),
            picture=picture,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
        )
        for answer in answers
    ]


def answers_json(model_id: str, answers: Sequence[Answer], sample: Sample) -> str:
    """Answers as a file: the same form in which they are recorded, without the picture."""
    return to_json([r.to_dict() for r in _as_recorded(model_id, answers, sample)])


def record_answers(
    model_id: str, answers: Sequence[Answer], sample: Sample, keep_picture: bool = False
) -> list[RecordedAnswer]:
    """Keep answers with their tokens and times in the user's folder; a user's own picture only if they say so."""
    limits().check_work("recording answers")
    records = _as_recorded(model_id, answers, sample, keep_picture)
    for recorded in records:
        save_answer(answers_folder(), recorded)
    return records


def recorded_answers() -> tuple[RecordedAnswer, ...]:
    """Every recorded answer: those that ship with the project, then the user's own."""
    folders = (settings.RECORDED_DIR, answers_folder())
    return tuple(r for folder in folders for r in _load_answers(str(folder), _mtime(folder)))


@st.cache_resource(max_entries=4, show_spinner=False)
def _load_answers(folder: str, mtime: int) -> tuple[RecordedAnswer, ...]:
    return load_answers(Path(folder))


def recorded_answer(model_id: str, plan: PruningPlan | None, sample: Sample) -> RecordedAnswer | None:
    """What a model was recorded to answer to a sample under a plan (None: the full model)."""
    return find_answer(recorded_answers(), model_id, plan, sample)


def to_json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)
