"""Free-form answers of many plans: the prompt's prefill is shared along the trie, then each plan decodes on its view.

The walk calls the layers with a cache of which only the place of the layer at hand is fresh; what it fills in is kept
with the state, so that at the end of a plan the cache is the one that the plan's own prefill would have made.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.data.samples import Sample
from core.data.scoring import Gold, failure_kind, score_answer
from core.pruning.plan import PruningPlan
from core.pruning.trie import Kept, shared_layers, walk
from core.runs.records import Answer, GenerationConfig, ItemAnswer
from core.vlm.forest import PlanScores, check_plans, score_plans
from core.vlm.generation import Prefill, Prompt, _empty_cache, prepare_prompt, stream_answer
from core.vlm.loading import VLM, decoder_layers
from core.vlm.similarity import Progress
from core.vlm.tape import Tail, tape_forward
from core.vlm.view import pruned_view

Node = tuple[Tensor, tuple[Any, ...]]  # (1, T, D) state, what each kept layer so far has cached


@dataclass(frozen=True)
class PlanAnswer:
    """What a plan said. `stopped` is end | length."""

    token_ids: tuple[int, ...]
    text: str
    stopped: str


@dataclass(frozen=True)
class PlanAnswers:
    """Free-form answers of P plans to S samples.

    Attributes:
        answers: by plan and sample; None where a stop came first.
        layer_passes: decoder layer calls made for prompts; decoding comes on top.
    """

    plans: tuple[PruningPlan, ...]
    sample_ids: tuple[str, ...]
    answers: tuple[tuple[PlanAnswer | None, ...], ...]
    layer_passes: int


def answer_plans(
    vlm: VLM,
    plans: Sequence[PruningPlan],
    samples: Sequence[Sample],
    config: GenerationConfig | None = None,
    *,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PlanAnswers:
    """Each plan's answer to each sample's question, the same as `core.vlm.generation.answer` gives.

    One sample at a time. A family whose layers are not handed a cache is answered view by view.

    Args:
        progress: called with (samples done, samples in all) after each sample.
        should_stop: asked before each answer; a sample that not every plan has answered is left out.
    Raises:
        PlanError: a plan of another depth, or one that drops structural layers.
    """
    check_plans(vlm, plans)
    distinct = list({p.kept: p for p in plans}.values())
    tail, passes = Tail(vlm.model), 0
    answered: list[dict[tuple[int, ...], PlanAnswer]] = []
    for sample in samples:
        said: dict[tuple[int, ...], PlanAnswer] = {}
        prompt = prepare_prompt(vlm, sample.image, sample.question)
        for index, prefill, calls in _prefills(vlm.model, tail, [p.kept for p in distinct], prompt):
            if should_stop is not None and should_stop():
                break
            passes += calls
            *_, last = stream_answer(vlm, distinct[index], prompt, config, prefill=prefill)
            assert isinstance(last, Answer)
            tokens = tuple(event.token_id for event in last.events)
            said[distinct[index].kept] = PlanAnswer(tokens, last.text, last.stopped)
        if len(said) < len(distinct):
            break
        answered.append(said)
        if progress is not None:
            progress(len(answered), len(samples))
    rest = (None,) * (len(samples) - len(answered))
    answers = tuple((*(said[p.kept] for said in answered), *rest) for p in plans)
    return PlanAnswers(tuple(plans), tuple(s.sample_id for s in samples), answers, passes)


def score_samples(
    vlm: VLM,
    plans: Sequence[PruningPlan],
    samples: Sequence[Sample],
    *,
    metric: str = "exact_match",
    max_new_tokens: int = 0,
    memory_bytes: int | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PlanScores:
    """Outcomes of every plan on every sample, as a benchmark asks for them: the scorer of sweeps.

    Args:
        metric: of `core.data.scoring`.
        max_new_tokens: answers are written greedily, up to so many tokens, and judged by the metric; 0: exact match
            with the gold answer teacher-forced (`score_plans`), which needs no decoding.
        memory_bytes: what teacher forcing may take on top of the model.
    Returns:
        Outcomes, with the answers if they were written; the gold NLL is teacher-forced either way. Samples that a stop
        came before have NaN.
    """
    if not max_new_tokens:
        return score_plans(vlm, plans, samples, memory_bytes=memory_bytes, progress=progress, should_stop=should_stop)
    config = GenerationConfig(max_new_tokens)
    said = answer_plans(vlm, plans, samples, config, progress=progress, should_stop=should_stop)
    reached = [i for i, answer in enumerate(said.answers[0]) if answer is not None]
    forced = score_plans(vlm, plans, [samples[i] for i in reached], memory_bytes=memory_bytes)
    nll = np.full((len(plans), len(samples)), np.nan)
    nll[:, reached] = forced.gold_nll
    golds = [s.gold for s in samples]
    judged = tuple(tuple(_judged(a, g, metric) for a, g in zip(row, golds, strict=True)) for row in said.answers)
    correct = np.array([[a is not None and not a.failure for a in row] for row in judged], np.bool_)
    passes = said.layer_passes + forced.layer_passes
    return PlanScores(said.plans, said.sample_ids, correct, nll, passes, judged)


def _judged(said: PlanAnswer | None, gold: Gold, metric: str) -> ItemAnswer | None:
    if said is None:
        return None
    score = score_answer(said.text, gold, metric)
    return ItemAnswer(said.text, score.rule, failure_kind(said, gold, metric), score.value)


def _prefills(
    model: PreTrainedModel, tail: Tail, kept: Sequence[Kept], prompt: Prompt
) -> Iterator[tuple[int, Prefill | None, int]]:
    """(Index of a plan, its forward over the prompt, the layer calls that this took on top of what was shared)."""
    view, layers = pruned_view(model, ()), decoder_layers(model)
    cache, blank = _empty_cache(view), _empty_cache(view)
    with torch.inference_mode():
        inputs = view.prepare_inputs_for_generation(
            prompt.tokens, is_first_iteration=True, use_cache=True, past_key_values=cache, **prompt.kwargs
        )
        tape = tape_forward(view, inputs, min(shared_layers(kept), len(layers) - 1))
    calls = tape.start
    if any(all(value is not cache for value in kwargs.values()) for _, kwargs in tape.arguments):
        yield from ((i, None, len(k) + (0 if i else calls)) for i, k in enumerate(kept))
        return

    @torch.inference_mode()
    def step(index: int, before: Node, _last: bool) -> Node:
        nonlocal calls
        calls += 1
        cache.layers[index] = copy.deepcopy(blank.layers[index])
        state = tape.run(layers[index], index, before[0])
        return state, (*before[1], cache.layers[index])

    for (state, filled), (index,) in walk(kept, (tape.state, tuple(cache.layers[: tape.start])), tape.start, step):
        with torch.inference_mode():
            logits = tail.logits(state[0, -1:])[0].to(prompt.tokens.device)
            own = copy.deepcopy(filled)  # decoding writes into it, and other plans hold the same
        yield index, Prefill(logits, own), calls
        calls = 0
