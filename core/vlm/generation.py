"""Streaming generation: an answer as a stream of tokens, on the full model or on a pruned view, one token a turn.

The decode loop is written out, over the model's own input preparation, so that several answers can take turns in one
thread and a stop takes effect within one token. Greedy decoding equals `generate(do_sample=False)`.
"""

import inspect
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any
from weakref import WeakSet

import torch
from PIL import Image
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

from core.errors import PlanError
from core.pruning.plan import PruningPlan
from core.runs.records import Answer, GenerationConfig, TokenEvent
from core.vlm.encoding import encode_prompts, end_token_ids
from core.vlm.loading import VLM
from core.vlm.view import pruned_view

_WARM: WeakSet[PreTrainedModel] = WeakSet()  # models that have generated in this process


@dataclass(frozen=True)
class Prompt:
    """A question made ready for any number of plans: tokens, positions, and the image's features computed once."""

    question: str
    tokens: Tensor  # (1, T)
    kwargs: dict[str, Any]
    seconds: float = 0.0  # spent on this, part of every pane's time to first token
    warm: bool = True  # the model had generated before


@dataclass(frozen=True)
class Prefill:
    """A plan's forward over the prompt: logits of the first new token, and what each kept layer has cached."""

    logits: Tensor  # (V,) float32
    cache_layers: Sequence[Any]


def prepare_prompt(vlm: VLM, image: Image.Image | None, question: str) -> Prompt:
    """Encode a question and run vision tower and projector, which no plan touches."""
    began = time.perf_counter()
    prompt = _prepared(vlm.model, encode_prompts(vlm, [question], [image]), question)
    return replace(prompt, seconds=time.perf_counter() - began, warm=vlm.model in _WARM)


def _prepared(model: PreTrainedModel, inputs: dict[str, Tensor], question: str = "") -> Prompt:
    """What `generate` does before its first forward, in its order; on a view, since M-RoPE models keep state there."""
    view = pruned_view(model, ())
    tokens = inputs["input_ids"]
    kwargs: dict[str, Any] = {k: v for k, v in inputs.items() if k != "input_ids"}
    with torch.inference_mode():
        if "position_ids" in inspect.signature(view.forward).parameters:
            kwargs["position_ids"] = view._prepare_position_ids_for_generation(tokens, kwargs)
        if view._supports_mm_encoder_outputs():
            kwargs = view._prepare_multimodal_encoder_kwargs_for_generation(kwargs)
    return Prompt(question, tokens, kwargs)


def stream_answer(
    vlm: VLM,
    plan: PruningPlan | None,
    prompt: Prompt,
    config: GenerationConfig | None = None,
    pane: int = 0,
    prefill: Prefill | None = None,
) -> Iterator[TokenEvent | Answer]:
    """Token events of one answer, then the Answer itself.

    Closing the iterator early stops the work within one token. Each stream has its own view, cache and position state,
    so any number may be interleaved.

    Args:
        prefill: the plan's forward over the prompt, if it has been made; this stream then owns it.
    """
    config = config or GenerationConfig()
    if plan is not None and plan.n_layers != vlm.spec.n_layers:
        raise PlanError(f"the plan is for {plan.n_layers} layers, {vlm.spec.model_id} has {vlm.spec.n_layers}")
    began = time.perf_counter() - prompt.seconds
    model = pruned_view(vlm.model, plan.dropped if plan else ())
    tokenizer = vlm.processor.tokenizer
    ends = end_token_ids(model)
    generator = torch.Generator(vlm.device).manual_seed(config.seed)
    cache = _empty_cache(model)
    gpus = {p.device for p in model.parameters() if p.is_cuda}
    peak = 0
    events: list[TokenEvent] = []
    ids: list[int] = []
    shown, stopped = "", "length"
    forward = _next_token_logits(model, prompt, ids, cache, prefill)
    while len(ids) < config.max_new_tokens and stopped == "length":
        for gpu in gpus:
            torch.cuda.reset_peak_memory_stats(gpu)  # of this step alone: answers take turns
        logits = next(forward)
        peak = max(peak, sum(torch.cuda.max_memory_allocated(gpu) for gpu in gpus))
        _WARM.add(vlm.model)
        token = _choose(logits, config, generator)
        ids.append(token)
        if token in ends:
            stopped = "end"
        text = tokenizer.decode(ids, skip_special_tokens=True)
        # a character of several bytes is shown once it is whole
        new = "" if text.endswith("\ufffd") and stopped != "end" else text[len(shown) :]
        shown += new
        top = _likeliest(tokenizer, logits, config.top) if config.top else ()
        events.append(TokenEvent(pane, token, new, time.perf_counter() - began, top))
        yield events[-1]
    ttft = events[0].elapsed_s
    decoding = events[-1].elapsed_s - ttft
    yield Answer(
        model_id=vlm.spec.model_id,
        plan=plan,
        question=prompt.question,
        text=tokenizer.decode(ids, skip_special_tokens=True).strip(),
        tokens=len(ids),
        ttft_s=ttft,
        tokens_per_s=(len(ids) - 1) / decoding if decoding > 0 else 0.0,
        stopped=stopped,
        events=tuple(events),
        warm=prompt.warm,
        weights_bytes=sum(t.nbytes for t in chain(model.parameters(), model.buffers())),
        kv_bytes=_cache_bytes(cache),
        peak_memory_bytes=peak if gpus else None,
    )


def _empty_cache(model: PreTrainedModel) -> DynamicCache:
    return DynamicCache(config=model.config.get_text_config(decoder=True))


def _cache_bytes(cache: DynamicCache) -> int:
    """Bytes of keys and values, and of what linear attention keeps instead (a dictionary of states)."""
    names = ("keys", "values", "conv_states", "recurrent_states")
    held = [getattr(layer, name, None) for layer in cache.layers for name in names]
    tensors = chain.from_iterable(h.values() if isinstance(h, dict) else [h] for h in held)
    return sum(t.nbytes for t in tensors if isinstance(t, Tensor))


def _next_token_logits(
    model: PreTrainedModel, prompt: Prompt, ids: list[int], cache: DynamicCache, prefill: Prefill | None = None
) -> Iterator[Tensor]:
    """(V,) float32 logits of the next token, again each time after the caller has appended a token to `ids`."""
    tokens = prompt.tokens
    kwargs = {**prompt.kwargs, "use_cache": True, "past_key_values": cache}
    step: int | None = None
    if prefill is not None:
        cache.layers[:] = prefill.cache_layers
        kwargs = model._update_model_kwargs_for_generation(BaseModelOutputWithPast(past_key_values=cache), kwargs)
        yield prefill.logits
        tokens = torch.cat([tokens, torch.tensor([[ids[-1]]], device=tokens.device)], 1)
        step = 1
    while True:
        with torch.inference_mode():
            prepared = model.prepare_inputs_for_generation(
                tokens, next_sequence_length=step, is_first_iteration=step is None, **kwargs
            )
            out = model(**prepared, logits_to_keep=1, return_dict=True)
            kwargs = model._update_model_kwargs_for_generation(out, kwargs)
        yield out.logits[0, -1].float()
        tokens = torch.cat([tokens, torch.tensor([[ids[-1]]], device=tokens.device)], 1)
        step = 1


def _likeliest(tokenizer: Any, logits: Tensor, n: int) -> tuple[tuple[str, float], ...]:
    """The model's own probabilities, whatever the temperature."""
    probabilities, ids = logits.softmax(-1).topk(min(n, logits.numel()))
    return tuple((tokenizer.decode([i]), p) for i, p in zip(ids.tolist(), probabilities.tolist(), strict=True))


def _choose(logits: Tensor, config: GenerationConfig, generator: torch.Generator) -> int:
    if config.temperature <= 0:
        return int(logits.argmax())
    probabilities, order = (logits / config.temperature).softmax(-1).sort(descending=True)
    # the smallest set of tokens whose probability reaches top_p
    probabilities[probabilities.cumsum(-1) - probabilities >= config.top_p] = 0
    return int(order[torch.multinomial(probabilities, 1, generator=generator)])


def answer(
    vlm: VLM, plan: PruningPlan | None, image: Image.Image | None, question: str, config: GenerationConfig | None = None
) -> Answer:
    """The whole answer at once."""
    *_, last = stream_answer(vlm, plan, prepare_prompt(vlm, image, question), config)
    assert isinstance(last, Answer)
    return last
