"""Models: which there are, what can run here, the one engine, and what a visitor may ask for."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core import settings
from core.errors import ModelError
from core.library.finding import recorded_anatomy_path
from core.limits import Limits, load_limits
from core.pruning import ModelAnatomy
from core.records.plan import ModelSpec, protected_layers
from dashboard.services import scores

if TYPE_CHECKING:
    from core.vlm.engine import Engine
    from core.vlm.loading import VLM

DEFAULT_MODEL = "tiny"
FETCHED_MODEL = "smol"  # python -m core models fetch smol


@st.cache_resource(max_entries=1, show_spinner=False)
def limits() -> Limits:
    """What a visitor of this instance may ask for."""
    return load_limits()


def offered(model_id: str) -> bool:
    ids = limits().model_ids
    return ids is None or model_id in ids


def live(model_id: str = DEFAULT_MODEL) -> bool:
    """Can this machine run the model (torch installed and the weights at hand)? A page never downloads a model."""
    if settings.replay() or not offered(model_id):
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

    bounds = limits()

    def load(model_id: str) -> "VLM":
        vlm = load_vlm(model_id, revision=bounds.revision(model_id))
        scores.freeze_memory()
        return vlm

    return Engine(load, bounds)


def known() -> list[str]:
    """Models that a page can show: the embedded one, the fetched one, and every model with runs here."""
    found = {DEFAULT_MODEL, *(r.model.model_id for r in scores.sources().records)}
    found |= {FETCHED_MODEL} if live(FETCHED_MODEL) else set()
    return sorted(filter(offered, found), key=lambda m: (m != DEFAULT_MODEL, m))


def spec(model_id: str) -> ModelSpec:
    """What the model is: from its runs if there are any (no torch needed), else from its configuration.

    Imported runs may know its depth only; what is known of its size then comes from elsewhere, or is 0.
    """
    found = [r.model for r in scores.view(model_id).setting]
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


def anatomy(model: ModelSpec) -> ModelAnatomy | None:
    """Parts and FLOPs of a model: recorded, or counted from its configuration if that is on this machine; else None."""
    path = recorded_anatomy_path(model.model_id)
    found = None
    if path.exists():
        found = _recorded_anatomy(str(path), path.stat().st_mtime_ns)
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
