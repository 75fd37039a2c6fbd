"""Decoding of several plans in step: each decoder layer runs once a token, for all plans that go through it.

A forward over one new token reads every weight once, whether it is for one answer or for several, and on a GPU most of
its time goes into starting kernels. So the answers are the rows of one batch: a view of the layers that
any of the plans keeps, in which the rows of a plan that dropped a layer keep their state as they pass it. Several
questions at once are further rows.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from core.pruning.trie import Kept
from core.vlm.loading import decoder_layers
from core.vlm.prompt import Prompt, empty_cache, view_of

# parameters; three panes were 1.34 times as fast in step at 3.5 million, 1.05 at 15 and 0.97 at 46 (docs/log.md)
LARGE_LAYER = 16_000_000
MANY_ROWS = 8  # from here on a row of such a product costs half of what it costs alone, or less


class InStep:
    """Answers to B questions under P plans, a row for each of them, plan by plan.

    Where one plan is decoded alone, this is plain cached decoding of its view.
    """

    @torch.inference_mode()
    def __init__(self, model: PreTrainedModel, prompt: Prompt, kept: Sequence[Kept], caches: list[Sequence[Any]]):
        """`caches`: what each kept layer of each plan has cached of the prompt; emptied, so as not to be held twice."""
        self._model = model
        self._tokens = prompt.tokens.repeat(len(kept), 1)
        held: dict[int, list[Any]] = {}
        for mine, layers in zip(kept, caches, strict=True):
            for index, layer in zip(mine, layers, strict=True):
                held.setdefault(index, []).append(layer)
        caches.clear()
        for index, layers in held.items():
            # a row that passes this layer has an entry, of the right length, which nothing reads
            here = iter(layers)
            parts = [next(here) if index in mine else layers[0] for mine in kept]
            held[index] = [parts[0] if len(parts) == 1 else _joined(parts)]
        rows = [mine for mine in kept for _ in prompt.questions]
        self._gather(rows, {index: layer for index, (layer,) in held.items()})
        # masks, positions and token types: (B, T), or (n, B, T) where positions are of several kinds
        per_token = {
            name: value.repeat(*[1] * (value.ndim - 2), len(kept), 1)
            for name, value in prompt.kwargs.items()
            if isinstance(value, Tensor) and value.ndim in (2, 3) and value.shape[-2:] == prompt.tokens.shape
        }
        self._per_token = frozenset(per_token)
        kwargs = {**prompt.kwargs, **per_token, "use_cache": True}
        self._kwargs = self._next(kwargs, BaseModelOutputWithPast(past_key_values=self._cache))

    @torch.inference_mode()
    def logits(self, tokens: Sequence[int]) -> Tensor:
        """(rows, V) float32 logits of what follows these tokens, one for each row."""
        new = torch.tensor(tokens, device=self._tokens.device)[:, None]
        self._tokens = torch.cat([self._tokens, new], 1)
        inputs = self.view.prepare_inputs_for_generation(
            self._tokens, next_sequence_length=1, is_first_iteration=False, **self._kwargs
        )
        out = self.view(**inputs, logits_to_keep=1, return_dict=True)
        self._kwargs = self._next(self._kwargs, out)
        return torch.as_tensor(out.logits[:, -1]).float()

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only; the others have ended."""
        chosen = torch.tensor(rows, device=self._tokens.device)
        kept = [self._kept[row] for row in rows]
        held = {
            i: layer for i, layer in zip(self._layers, self._cache.layers, strict=True) if any(i in k for k in kept)
        }
        for layer in held.values():
            layer.reorder_cache(chosen)
        self._tokens = self._tokens[chosen]
        self._gather(kept, held)
        chosen_of = {name: self._kwargs[name][..., chosen, :] for name in self._per_token}
        self._kwargs = {**self._kwargs, **chosen_of, "past_key_values": self._cache}

    def cache_bytes(self, row: int) -> int:
        """What the layers of a row's plan have cached for it."""
        held = zip(self._layers, self._cache.layers, strict=True)
        return sum(cached_bytes(layer) for i, layer in held if i in self._kept[row]) // len(self._kept)

    def _gather(self, kept: list[Kept], held: dict[int, Any]) -> None:
        self._kept, self._layers = kept, sorted(held)
        self.view = view_of(self._model, tuple(self._layers))
        self._cache = empty_cache(self.view)
        self._cache.layers[:] = [held[index] for index in self._layers]
        for index, layer in zip(self._layers, decoder_layers(self.view, least=1), strict=True):
            through = torch.tensor([index in mine for mine in kept], device=self._tokens.device)
            if not through.all():
                layer.register_forward_hook(_passing(through), with_kwargs=True)

    def _next(self, kwargs: dict[str, Any], out: Any) -> dict[str, Any]:
        return self.view._update_model_kwargs_for_generation(out, kwargs)


def pays(model: PreTrainedModel, rows: int) -> bool:
    """Whether so many plans are better decoded in step than by themselves, one token each in turn.

    Everywhere but on a CPU in float32 with large layers, whose product with up to four rows costs almost as much as one
    product a row: there, what is computed for rows that only pass a layer costs more than the calls that are saved.
    """
    layer = decoder_layers(model)[0]
    first = next(layer.parameters())
    slow = first.device.type == "cpu" and first.dtype == torch.float32 and rows < MANY_ROWS
    return not slow or sum(p.numel() for p in layer.parameters()) <= LARGE_LAYER


def cached_bytes(layer: Any) -> int:
    """Bytes of a layer's keys and values, and of what linear attention keeps instead (dictionaries of states)."""
    values = [v for held in vars(layer).values() for v in (held.values() if isinstance(held, dict) else [held])]
    return sum(v.nbytes for v in values if isinstance(v, Tensor) and v.ndim)  # a bare number is a counter


def _passing(through: Tensor) -> Any:
    """A forward hook of a layer by which only some rows, (rows,) bool, go through it."""

    def hook(_layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
        before = args[0] if args else kwargs["hidden_states"]
        after = out[0] if isinstance(out, tuple) else out
        rows = through.to(after.device).view(-1, *[1] * (after.ndim - 1))
        state = torch.where(rows, after, before.to(after.device))
        return (state, *out[1:]) if isinstance(out, tuple) else state

    return hook


def _joined(parts: Sequence[Any]) -> Any:
    """What a layer has cached for several answers as the rows of one batch."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts)) if first.ndim else first
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts]) for key in first}
    if not hasattr(first, "reorder_cache"):
        return first  # lengths and settings, the same for all
    whole = copy.copy(first)
    for name in vars(first):
        setattr(whole, name, _joined([getattr(part, name) for part in parts]))
    return whole
