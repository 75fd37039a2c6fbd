"""Free-form answers of many plans: the prompt's prefill is shared along the trie, then they are decoded,
several in step if asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from core.errors import MemoryLimitError
from core.pruning.trie import Kept
from core.records.answers import GenerationConfig, ItemAnswer, PaneDone
from core.records.gold import Gold
from core.records.plan import PruningPlan
from core.records.samples import Sample
from core.scoring.judging import failure_kind, score_answer
from core.vlm.encoding import sample_batches
from core.vlm.forest import PlanScores, check_plans, score_plans
from core.vlm.generation import stream_answers
from core.vlm.loading import VLM
from core.vlm.memory import out_of_memory
from core.vlm.prompt import prefills, prepare_prompts
from core.vlm.shortage import release
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
        layer_passes: decoder layer calls made for prompts, whose batches count once; decoding comes on top.
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
    at_once: int = 1,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PlanAnswers:
    """Each plan's answer to each sample's question, the same as `core.vlm.generation.answer` gives.

    A family whose layers are not handed a cache makes each plan's prefill by itself.

    Args:
        at_once: answers that are written in step, at most: those of all plans to a sample, and to as many samples as
            there is room for. Halved whenever memory runs out. In half precision a row of a batch may round otherwise
            than alone, so that a near tie can fall the other way.
        progress: called with (samples done, samples in all).
        should_stop: asked at each prompt and token; samples that not every plan has answered are left out.
    Raises:
        PlanError: a plan of another depth, or one that drops structural layers.
        MemoryLimitError: not even one answer at a time fits.
    """
    check_plans(vlm, plans)
    distinct = list({p.kept: p for p in plans}.values())
    stop, at_once = should_stop or (lambda: False), max(1, at_once)
    tail, passes, done = Tail(vlm.model), 0, 0
    answers: dict[Kept, list[PlanAnswer | None]] = {p.kept: [None] * len(samples) for p in distinct}
    waiting = list(sample_batches(samples, max(1, len(samples))))[::-1]
    while waiting and not stop():
        rows, most = waiting.pop(), max(1, at_once // max(1, len(distinct)))
        if len(rows) > most:
            waiting += [rows[most:], rows[:most]]
            continue
        found = None
        try:
            found = _answers(vlm, tail, distinct, [samples[i] for i in rows], config, at_once // len(rows), stop)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            at_once = min(at_once, len(rows) * len(distinct))  # what it was, for less to be tried now
            if at_once == 1:
                raise MemoryLimitError(
                    "not even one answer at a time fits: free some memory, or load the model in a smaller dtype or on "
                    "a larger device"
                ) from error
        if found is None:
            # here, not in the except clause: the error holds on to what the failed attempt had allocated
            release()
            at_once //= 2
            waiting.append(rows)
            continue
        said, calls = found
        passes += calls
        if len(said) < len(distinct) * len(rows):
            break
        for (kept, place), answer in said.items():
            answers[kept][rows[place]] = answer
        done += len(rows)
        if progress is not None:
            progress(done, len(samples))
    return PlanAnswers(
        tuple(plans), tuple(s.sample_id for s in samples), tuple(tuple(answers[p.kept]) for p in plans), passes
    )


def _answers(
    vlm: VLM,
    tail: Tail,
    plans: Sequence[PruningPlan],
    samples: Sequence[Sample],
    config: GenerationConfig | None,
    at_once: int,
    stop: Callable[[], bool],
) -> tuple[dict[tuple[Kept, int], PlanAnswer], int]:
    """(What each plan said to each sample, layer calls over the prompts); incomplete if a stop came before.

    Args:
        at_once: plans in step.
    """
    said: dict[tuple[Kept, int], PlanAnswer] = {}
    passes = 0
    prompt = prepare_prompts(vlm, [s.image for s in samples], [s.question for s in samples])
    made = prefills(vlm.model, [p.kept for p in plans], prompt, tail)
    while True:
        chosen, ready = [], []
        for number, prefill in islice(made, at_once):
            chosen.append(plans[number])
            ready.append(prefill)
            passes += prefill.layer_passes
            del prefill  # whoever decodes takes its cache apart: nobody else may hold it
            if stop():
                return said, passes
        if not chosen:
            return said, passes
        for event in stream_answers(vlm, chosen, prompt, config, ready):
            if isinstance(event, PaneDone):
                plan, place = divmod(event.pane, len(samples))
                tokens = tuple(e.token_id for e in event.answer.events)
                said[chosen[plan].kept, place] = PlanAnswer(tokens, event.answer.text, event.answer.stopped)
            if stop():
                return said, passes


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
        metric: of `core.scoring.judging`.
        max_new_tokens: answers are written greedily, up to so many tokens, and judged by the metric; 0: exact match
            with the gold answer teacher-forced (`score_plans`), which needs no decoding.
        answer_batch: answers that are written at once (`answer_plans`).
        memory_bytes: what teacher forcing may take on top of the model.
    Returns:
        Outcomes, with the answers if they were written; the gold NLL is teacher-forced either way. Samples that a stop
        came before have NaN.
    """
    if not max_new_tokens:
        return score_plans(vlm, plans, samples, memory_bytes=memory_bytes, progress=progress, should_stop=should_stop)
    config = GenerationConfig(max_new_tokens)
    said = answer_plans(vlm, plans, samples, config, at_once=answer_batch, progress=progress, should_stop=should_stop)
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
