"""A model's own forward taken apart: what its decoder layers receive, and what comes after the last one.

No family needs a rule of its own: masks, positions and features come from the model's code, as do the final norm, the
head, scales and caps. Everything runs on views, so that the shared model does not change.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from core.vlm.loading import decoder_layers
from core.vlm.view import pruned_view

Copies = dict[tuple[int, torch.device], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Tape:
    """What the decoder layers received in one forward.

    Attributes:
        state: (B, T, D), the input of layer `start`.
        arguments: of each layer, without the hidden states; tensors are on the device of the layer's weights.
    """

    state: Tensor
    start: int
    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]]

    def run(self, layer: nn.Module, index: int, state: Tensor) -> Tensor:
        """The output of a layer that is called with the arguments of layer `index`."""
        args, kwargs = self.arguments[index]
        out = layer(state, *args, **kwargs)
        return out[0] if isinstance(out, tuple) else out


def tape_forward(model: PreTrainedModel, inputs: dict[str, Any], start: int) -> Tape:
    """Run a forward up to decoder layer `start`; from there on, only the layers' arguments are recorded."""
    view = pruned_view(model, ())
    states: list[Tensor] = []
    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    copies: Copies = {}

    def hook(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        kwargs = dict(kwargs)
        state, rest = (args[0], args[1:]) if args else (kwargs.pop("hidden_states"), ())
        if len(arguments) == start:
            states.append(state)
        arguments.append(_placed((rest, kwargs), next(layer.parameters()).device, copies))

    for index, layer in enumerate(decoder_layers(view)):
        layer.register_forward_pre_hook(hook, with_kwargs=True)
        if index >= start:
            layer.forward = _pass_on
    view(**inputs, logits_to_keep=1)
    return Tape(states[0], start, arguments)


def _pass_on(hidden_states: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return hidden_states


def _placed(value: Any, device: torch.device, copies: Copies) -> Any:
    """Arguments with their tensors on a device; each is copied once, however many layers get it."""
    if isinstance(value, Tensor):
        if device in (value.device, torch.device("meta")):  # meta: offloaded weights, loaded when they are used
            return value
        if (id(value), device) not in copies:
            copies[id(value), device] = value, value.to(device)  # kept alive, so that no other tensor gets its id
        return copies[id(value), device][1]
    if type(value) in (tuple, list):
        return type(value)(_placed(v, device, copies) for v in value)
    if type(value) is dict:
        return {k: _placed(v, device, copies) for k, v in value.items()}
    return value


class Tail:
    """What a model does after its last decoder layer (norm, head, logit scales and caps), on given states.

    It is the model's own forward, on a view whose only layer returns the state.
    """

    def __init__(self, model: PreTrainedModel):
        self.view = pruned_view(model, range(len(decoder_layers(model)) - 1))
        decoder_layers(self.view, least=1)[0].forward = self._given
        self.states = torch.empty(0)

    def _given(self, *_args: Any, **_kwargs: Any) -> Tensor:
        return self.states[None]

    def logits(self, states: Tensor) -> Tensor:
        """(N, V) float32 logits of (N, D) states."""
        self.states = states
        tokens = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
        try:
            return torch.as_tensor(self.view(input_ids=tokens, use_cache=False).logits[0]).float()
        finally:
            self.states = torch.empty(0)
