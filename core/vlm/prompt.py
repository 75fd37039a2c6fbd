"""What comes before the first new token: questions prepared for any number of plans, and the plans' forwards over them.

The forwards are shared along the trie: the walk calls each layer with a cache in which only that layer's slot is new,
and keeps what the layer fills in with the state. After a plan's last layer, the cache is the one that the plan's own
forward would have made.
"""

import copy
import inspect
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakSet

import torch
from PIL import Image
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from core.pruning.trie import Kept, shared_layers, walk
from core.vlm.encoding import encode_prompts
from core.vlm.loading import VLM, decoder_layers
from core.vlm.tape import Tail, tape_forward
from core.vlm.view import pruned_view

Node = tuple[Tensor, tuple[Any, ...]]  # (B, T, D) state, what each kept layer so far has cached

WARM: WeakSet[PreTrainedModel] = WeakSet()  # models that have made a forward over a prompt in this process


@dataclass(frozen=True)
class Prompt:
    """Questions prepared for any number of plans: tokens, positions, and the images' features, computed once."""

    questions: tuple[str, ...]
    tokens: Tensor  # (B, T), padded on the left, so that all answers begin at one place
    kwargs: dict[str, Any]
    seconds: float = 0.0  # spent on this, part of every plan's time to first token
    warm: bool = True  # the model had generated before


@dataclass(frozen=True)
class Prefill:
    """A plan's forward over the prompt.

    Attributes:
        logits: (B, V) float32, of the first new token of each answer.
        cache_layers: what each kept layer has cached; shared with no other plan.
        layer_passes: decoder layer calls besides those of earlier plans in the same walk.
    """

    logits: Tensor
    cache_layers: Sequence[Any]
    layer_passes: int


def prepare_prompt(vlm: VLM, image: Image.Image | None, question: str) -> Prompt:
    """Encode a question and run vision tower and projector, which are the same under every plan."""
    return prepare_prompts(vlm, [image], [question])


def prepare_prompts(vlm: VLM, images: Sequence[Image.Image | None], questions: Sequence[str]) -> Prompt:
    """Several questions at once; all or none have an image."""
    began = time.perf_counter()
    inputs = encode_prompts(vlm, questions, images, padding_side="left")
    prompt = prompt_of(vlm.model, inputs, tuple(questions))
    return replace(prompt, seconds=time.perf_counter() - began, warm=vlm.model in WARM)


def prompt_of(model: PreTrainedModel, inputs: dict[str, Tensor], questions: tuple[str, ...] = ("",)) -> Prompt:
    """What `generate` does before its first forward, in its order; on a view, since M-RoPE models keep state there."""
    view = pruned_view(model, ())
    tokens = inputs["input_ids"]
    kwargs: dict[str, Any] = {k: v for k, v in inputs.items() if k != "input_ids"}
    with torch.inference_mode():
        if "position_ids" in inspect.signature(view.forward).parameters:
            kwargs["position_ids"] = view._prepare_position_ids_for_generation(tokens, kwargs)
        if view._supports_mm_encoder_outputs():
            kwargs = view._prepare_multimodal_encoder_kwargs_for_generation(kwargs)
    return Prompt(questions, tokens, kwargs)


def prefills(
    model: PreTrainedModel, kept: Sequence[Kept], prompt: Prompt, tail: Tail | None = None
) -> Iterator[tuple[int, Prefill]]:
    """(Index of a plan, its forward over the prompt), one at a time, in the order of the trie.

    Plans run one by one if there is nothing to share: a single plan, or a family whose layers are not called with a
    cache.

    Args:
        tail: of the model, if the caller has one.
    """
    shared = _shared(model, kept, prompt, tail) if len(kept) > 1 else None
    for index, prefill in shared or ((i, _alone(model, k, prompt)) for i, k in enumerate(kept)):
        WARM.add(model)
        yield index, prefill


def empty_cache(model: PreTrainedModel) -> DynamicCache:
    return DynamicCache(config=model.config.get_text_config(decoder=True))


def view_of(model: PreTrainedModel, kept: Kept) -> PreTrainedModel:
    return pruned_view(model, set(range(len(decoder_layers(model)))) - set(kept))


def _first_inputs(view: PreTrainedModel, prompt: Prompt, cache: DynamicCache) -> dict[str, Any]:
    return view.prepare_inputs_for_generation(
        prompt.tokens, is_first_iteration=True, use_cache=True, past_key_values=cache, **prompt.kwargs
    )


def _alone(model: PreTrainedModel, kept: Kept, prompt: Prompt) -> Prefill:
    view = view_of(model, kept)
    cache = empty_cache(view)
    with torch.inference_mode():
        out = view(**_first_inputs(view, prompt, cache), logits_to_keep=1, return_dict=True)
        return Prefill(out.logits[:, -1].float(), cache.layers, len(kept))


def _shared(
    model: PreTrainedModel, kept: Sequence[Kept], prompt: Prompt, tail: Tail | None
) -> Iterator[tuple[int, Prefill]] | None:
    """None if this family's layers are not called with a cache."""
    view, layers = pruned_view(model, ()), decoder_layers(model)
    cache, blank = empty_cache(view), empty_cache(view)
    with torch.inference_mode():
        tape = tape_forward(view, _first_inputs(view, prompt, cache), min(shared_layers(kept), len(layers) - 1))
    if any(all(value is not cache for value in kwargs.values()) for _, kwargs in tape.arguments):
        return None
    tail = tail or Tail(model)
    calls = tape.start

    @torch.inference_mode()
    def step(index: int, before: Node, _last: bool) -> Node:
        nonlocal calls
        calls += 1
        cache.layers[index] = copy.deepcopy(blank.layers[index])
        state = tape.run(layers[index], index, before[0])
        return state, (*before[1], cache.layers[index])

    @torch.inference_mode()
    def own(filled: tuple[Any, ...]) -> tuple[Any, ...]:
        return copy.deepcopy(filled)  # decoding writes into it, and other plans share it

    def made() -> Iterator[tuple[int, Prefill]]:
        nonlocal calls
        for (state, filled), plans in walk(kept, (tape.state, tuple(cache.layers[: tape.start])), tape.start, step):
            with torch.inference_mode():
                logits = tail.logits(state[:, -1]).to(prompt.tokens.device)
            for index in plans:
                yield index, Prefill(logits, own(filled), calls)
                calls = 0

    return made()
