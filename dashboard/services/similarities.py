"""Similarities: atlases that ship and the user's own, and calibration here and now."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

import pandas as pd
import streamlit as st

from core.benchmarks.images import open_image
from core.errors import CalibrationError, SampleError
from core.library.finding import recorded_atlas_path, user_atlas_path
from core.pruning import SimilarityAtlas, list_criteria
from core.records.samples import Sample
from core.scenes.questions import domain_tasks
from core.scenes.samples import DOMAINS, draw_samples
from dashboard.services import models

MAX_PICTURES = 24  # of a domain that a user adds
Progress = Callable[[int, int], None]


def path_of(model_id: str, source: str) -> Path:
    """`source` is "recorded" (ships with the project) or "own" (calibrated here)."""
    return recorded_atlas_path(model_id) if source == "recorded" else user_atlas_path(model_id)


def sources(model_id: str) -> list[str]:
    return [s for s in ("own", "recorded") if path_of(model_id, s).exists()]


def atlas(model_id: str, source: str = "recorded") -> SimilarityAtlas:
    path = path_of(model_id, source)
    if not path.exists():
        raise CalibrationError(
            f"no similarities of '{model_id}' yet: recompute them on the Similarity page, or run "
            f"python -m core calibrate --model {model_id}"
        )
    return _atlas(str(path), path.stat().st_mtime_ns)


@st.cache_resource(max_entries=4, show_spinner=False)
def _atlas(path: str, mtime: int) -> SimilarityAtlas:
    return SimilarityAtlas.load(Path(path))


def frame(build: Callable[..., pd.DataFrame], model_id: str, source: str, *more: Any) -> pd.DataFrame:
    """`build(atlas, *more)`, computed once: intervals and split halves take longer than the rest of a page."""
    path = path_of(model_id, source)
    return _frame(build, str(path), path.stat().st_mtime_ns, *more)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs={FunctionType: lambda f: (f.__module__, f.__qualname__)})
def _frame(build: Callable[..., pd.DataFrame], path: str, mtime: int, *more: Any) -> pd.DataFrame:
    return build(_atlas(path, mtime), *more)


def criteria(held: SimilarityAtlas) -> list[str]:
    """The registered criteria, and a ranking by each domain that the user added."""
    return [c.name for c in list_criteria()] + [f"domain:{d}" for d in held.domains if d not in DOMAINS]


def recompute(model_id: str, n_per_domain: int, seed: int, progress: Progress | None = None) -> SimilarityAtlas:
    """Calibrate math and general here and now, into the user's own atlas; domains that the user added stay in it."""
    samples = {d: draw_samples("calibration", seed, n_per_domain, domain_tasks(d)) for d in DOMAINS}
    return _keep(model_id, samples, progress)


def add_domain(
    model_id: str, name: str, pictures: Sequence[bytes], question: str, progress: Progress | None = None
) -> SimilarityAtlas:
    """Measure similarity on the user's own pictures, each with one question, as a further domain of their atlas.

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
    return _keep(model_id, {name: samples}, progress)


def _keep(model_id: str, samples: dict[str, list[Sample]], progress: Progress | None) -> SimilarityAtlas:
    """Compute similarities and merge them into the user's atlas, which begins as the recorded one.

    Loads its own copy of the model: hooks on the engine's copy would also catch other people's answers.
    """
    models.limits().check_work("measuring similarities")
    from core.vlm.loading import load_vlm
    from core.vlm.similarity import compute_atlas

    computed = compute_atlas(load_vlm(model_id), samples, progress=progress)
    for source in sources(model_id):
        held = atlas(model_id, source)
        if (held.revision, held.n_layers) == (computed.revision, computed.n_layers):
            computed = held.merged(computed)
            break
    computed.save(path_of(model_id, "own"))
    return computed
