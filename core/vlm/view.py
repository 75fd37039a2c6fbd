"""Pruned views: a model of the same class with fewer decoder layers, sharing every weight with the full one.

The shared model does not change: modules that contain the layers are copied shallowly (a few Python objects), kept
layers get their own `layer_idx`, and the view gets its own config, so that cached generation, saving and several views
at a time are right.
"""

import copy
from collections.abc import Iterable
from functools import partial, update_wrapper
from types import MethodType
from typing import Any, TypeVar

from torch import nn
from transformers import PreTrainedModel

from core.errors import PlanError
from core.vlm.depth import cut_depth, cut_lists, renumber_names
from core.vlm.loading import decoder_layers, text_decoder

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
    decoder = text_decoder(model)
    path = next(name for name, module in model.named_modules() if module is decoder)
    parent: Any = view
    for name in path.split(".") if path else ():
        child = _clone(getattr(parent, name))
        # inner modules have the whole config or its text part
        child.config = config if child.config is model.config else config.get_text_config(decoder=True)
        setattr(parent, name, child)
        parent = child
    vars(parent).update(cut_lists(vars(parent), kept, len(layers)))
    parent.layers = nn.ModuleList(_renumbered(layers[i], position, always=True) for position, i in enumerate(kept))
    return view


def pruned_config(config: Any, kept: list[int]) -> Any:
    """A copy of a model's config with the text decoder's depth, and all listed or named by layer, cut to `kept`."""
    config = copy.deepcopy(config)
    text = config.get_text_config(decoder=True)
    cut_depth(text, kept)
    holders = [config, text, *(vars(c).get("quantization_config") for c in (config, text))]
    for holder in (h for h in holders if hasattr(h, "__dict__")):
        for name, value in list(vars(holder).items()):
            if isinstance(value, (dict, list, tuple)) and (named := renumber_names(value, kept)) != value:
                setattr(holder, name, named)
    return config


def _clone(module: M) -> M:
    """A shallow copy with its own dictionaries (children, hooks, buffers), whose contents are shared."""
    clone = copy.copy(module)
    for key, value in module.__dict__.items():
        if key.startswith("_") and isinstance(value, dict):
            clone.__dict__[key] = value.copy()
        elif callable(value):
            clone.__dict__[key] = _rebound(value, module, clone)
    return clone


def _rebound(function: Any, module: nn.Module, clone: nn.Module) -> Any:
    """A function stored on an instance, bound to the copy instead.

    accelerate dispatches a model by giving each module a `forward` of its own, bound to that module (a partial around a
    bound method): unchanged, a copy would run the original, with the original's place in the cache.
    """
    if isinstance(function, MethodType) and function.__self__ is module:
        return MethodType(function.__func__, clone)
    if isinstance(function, partial) and function.args[:1] == (module,):
        again = partial(function.func, clone, *function.args[1:], **function.keywords)
        inner = getattr(function, "__wrapped__", None)  # its signature is that of the module's own forward
        return again if inner is None else update_wrapper(again, _rebound(inner, module, clone))
    return function


def _renumbered(module: nn.Module, position: int, always: bool = False) -> nn.Module:
    """A copy of a decoder layer in which every `layer_idx` is `position`; the rest is shared."""
    parts = {name: _renumbered(child, position) for name, child in module._modules.items() if child is not None}
    parts = {name: part for name, part in parts.items() if part is not module._modules[name]}
    placed = "layer_idx" in vars(module)  # hasattr is slow when the answer is no
    if not (parts or always or placed):
        return module
    clone = _clone(module)
    clone._modules.update(parts)
    if placed:
        clone.layer_idx = position  # type: ignore[assignment]
    return clone
