"""Free-form answers of many plans: the prompt's prefill is shared along the trie, then each decodes on its view."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from core.data.samples import Sample
from core.data.scoring import Gold, failure_kind, score_answer
from core.pruning.plan import PruningPlan
from core.runs.records import Answer, GenerationConfig, ItemAnswer
from core.vlm.batched_answers import answer_batches
from core.vlm.forest import PlanScores, check_plans, score_plans
from core.vlm.generation import stream_answer
from core.vlm.loading import VLM
from core.vlm.prompt import prefills, prepare_prompt
from core.vlm.similarity import Progress
from core.vlm.tape import Tail


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
        for index, prefill in prefills(vlm.model, [p.kept for p in distinct], prompt, tail):
            if should_stop is not None and should_stop():
                break
            passes += prefill.layer_passes
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


def answer_plans_batched(
    vlm: VLM,
    plans: Sequence[PruningPlan],
    samples: Sequence[Sample],
    config: GenerationConfig,
    *,
    batch_size: int,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PlanAnswers:
    """What `answer_plans` gives for greedy answers, several samples at once.

    Raises:
        as `answer_plans`; MemoryLimitError: not even one sample at a time fits.
    """
    check_plans(vlm, plans)
    distinct = list({p.kept: p for p in plans}.values())
    answers: list[list[PlanAnswer | None]] = [[None] * len(samples) for _ in distinct]
    done = passes = 0
    stop = should_stop or (lambda: False)
    for rows, told in answer_batches(vlm, distinct, samples, config.max_new_tokens, batch_size, stop):
        for mine, theirs in zip(answers, told, strict=True):
            for row, said in zip(rows, theirs, strict=True):
                mine[row] = PlanAnswer(*said)
        passes += sum(len(p.kept) for p in distinct)
        done += len(rows)
        if progress is not None:
            progress(done, len(samples))
    order = [next(i for i, d in enumerate(distinct) if d.kept == p.kept) for p in plans]
    rows_of = tuple(tuple(answers[i]) for i in order)
    return PlanAnswers(tuple(plans), tuple(s.sample_id for s in samples), rows_of, passes)


def score_samples(
    vlm: VLM,
    plans: Sequence[PruningPlan],
    samples: Sequence[Sample],
    *,
    metric: str = "exact_match",
    max_new_tokens: int = 0,
    answer_batch: int = 1,
    memory_bytes: int | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PlanScores:
    """Outcomes of every plan on every sample, as a benchmark asks for them: the scorer of sweeps.

    Args:
        metric: of `core.data.scoring`.
        max_new_tokens: answers are written greedily, up to so many tokens, and judged by the metric; 0: exact match
            with the gold answer teacher-forced (`score_plans`), which needs no decoding.
        answer_batch: 1: one sample at a time, whose prefill all plans share; more: so many at once, plan by plan
            (core/vlm/batched_answers.py), which is faster where a GPU would idle.
        memory_bytes: what teacher forcing may take on top of the model.
    Returns:
        Outcomes, with the answers if they were written; the gold NLL is teacher-forced either way. Samples that a stop
        came before have NaN.
    """
    if not max_new_tokens:
        return score_plans(vlm, plans, samples, memory_bytes=memory_bytes, progress=progress, should_stop=should_stop)
    ask = answer_plans if answer_batch == 1 else partial(answer_plans_batched, batch_size=answer_batch)
    said = ask(vlm, plans, samples, GenerationConfig(max_new_tokens), progress=progress, should_stop=should_stop)
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
