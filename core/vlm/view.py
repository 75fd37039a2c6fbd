"""Pruned views: a model of the same class with fewer decoder layers, sharing every weight with the full one.

Nothing of the shared model is touched: modules on the way to the dropped layers are copied shallowly (a few Python
objects), kept layers get their own `layer_idx`, and the view gets its own config, so that cached generation, saving and
several views at a time are right.
"""

import copy
from collections.abc import Iterable
from typing import Any, TypeVar

from torch import nn
from transformers import PreTrainedModel

from core.errors import PlanError
from core.vlm.loading import decoder_layers

M = TypeVar("M", bound=nn.Module)


def pruned_view(model: PreTrainedModel, dropped: Iterable[int]) -> PreTrainedModel:
    """A model without the dropped decoder layers that shares every parameter tensor with `model`.

    Args:
        dropped: 0-based indices in the full model.
    Returns:
        A model of the same class, usable like any other (forward, generate, save_pretrained).
    Raises:
        PlanError: if a layer does not exist or none would be kept.
    """
    layers = decoder_layers(model)
    gone = set(dropped)
    if not gone <= set(range(len(layers))) or len(gone) >= len(layers):
        raise PlanError(f"cannot drop layers {sorted(gone)} of a decoder with layers 0 to {len(layers) - 1}")
    kept = [i for i in range(len(layers)) if i not in gone]
    config = pruned_config(model.config, kept)
    view = _clone(model)
    view.config = config
    view.generation_config = copy.deepcopy(model.generation_config)
    decoder = model.get_decoder()
    path = next(name for name, module in model.named_modules() if module is decoder)
    parent: Any = view
    for name in path.split(".") if path else ():
        child = _clone(getattr(parent, name))
        # inner modules share the whole config or hold the text part of it
        child.config = config if child.config is model.config else config.get_text_config(decoder=True)
        setattr(parent, name, child)
        parent = child
    parent.layers = nn.ModuleList(_renumbered(layers[i], position) for position, i in enumerate(kept))
    return view


def pruned_config(config: Any, kept: list[int]) -> Any:
    """A copy of a model's config with the text decoder's depth, and everything listed per layer, cut to `kept`."""
    config = copy.deepcopy(config)
    text = config.get_text_config(decoder=True)
    layer_types = getattr(text, "layer_types", None)
    text.num_hidden_layers = len(kept)
    if layer_types is not None:
        text.layer_types = [layer_types[i] for i in kept]
        if set(text.layer_types) == {"linear_attention"}:
            raise PlanError("a hybrid decoder must keep at least one attention layer: its cache counts tokens there")
    return config


def _clone(module: M) -> M:
    """A shallow copy whose dictionaries (children, hooks, buffers) are its own and whose contents are shared."""
    clone = copy.copy(module)
    for key, value in module.__dict__.items():
        if key.startswith("_") and isinstance(value, dict):
            clone.__dict__[key] = value.copy()
    return clone


def _renumbered(layer: nn.Module, position: int) -> nn.Module:
    """A copy of a decoder layer whose attention (or its linear stand-in) writes to cache entry `position`."""
    clone = _clone(layer)
    if hasattr(clone, "layer_idx"):
        clone.layer_idx = position  # type: ignore[assignment]
    for name, child in layer.named_children():
        if hasattr(child, "layer_idx"):
            part = _clone(child)
            part.layer_idx = position  # type: ignore[assignment]
            setattr(clone, name, part)
    return clone
