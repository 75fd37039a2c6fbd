"""Free answers of many plans: the prompt's prefill is shared along the trie, then several answers decode in step."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from core.errors import MemoryLimitError
from core.progress import Progress
from core.pruning.trie import Kept
from core.records.answers import GenerationConfig, ItemAnswer, PaneDone
from core.records.gold import Gold
from core.records.plan import PruningPlan
from core.records.samples import Sample
from core.scoring.judging import judge_answer
from core.vlm.encoding import sample_batches
from core.vlm.forest import PlanScores, check_plans, score_plans
from core.vlm.generation import stream_answers
from core.vlm.loading import VLM
from core.vlm.memory import out_of_memory
from core.vlm.prompt import prefills, prepare_prompts
from core.vlm.shortage import release
from core.vlm.tape import Tail


@dataclass(frozen=True)
class PlanAnswer:
    """A plan's answer. `stopped` is end | length."""

    token_ids: tuple[int, ...]
    text: str
    stopped: str


@dataclass(frozen=True)
class PlanAnswers:
    """Free-form answers of P plans to S samples.

    Attributes:
        answers: by plan and sample.
        layer_passes: decoder layer calls made for prompts, whose batches count once; decoding comes on top.
    """

    plans: tuple[PruningPlan, ...]
    sample_ids: tuple[str, ...]
    answers: tuple[tuple[PlanAnswer, ...], ...]
    layer_passes: int


def answer_plans(
    vlm: VLM,
    plans: Sequence[PruningPlan],
    samples: Sequence[Sample],
    config: GenerationConfig | None = None,
    *,
    at_once: int = 1,
    progress: Progress | None = None,
) -> PlanAnswers:
    """Each plan's answer to each sample's question, the same as `core.vlm.generation.answer` gives.

    If a family's layers are not called with a cache, each plan's prefill is computed on its own.

    Args:
        at_once: answers decoded in step, at most: those of all plans to a sample, and to as many samples as there is
            room for. Halved whenever memory runs out. In half precision a row of a batch may round differently than
            alone, so that a near tie can be decided the other way.
        progress: called with (samples done, samples in all).
    Raises:
        PlanError: a plan of another depth, or one that drops structural layers.
        MemoryLimitError: not even one answer at a time fits.
    """
    check_plans(vlm, plans)
    distinct = list({p.kept: p for p in plans}.values())
    at_once, tail, passes = max(1, at_once), Tail(vlm.model), 0
    answers: dict[tuple[Kept, int], PlanAnswer] = {}  # by layers and sample
    waiting = list(sample_batches(samples, max(1, len(samples))))[::-1]
    while waiting:
        rows, most = waiting.pop(), max(1, at_once // max(1, len(distinct)))
        if len(rows) > most:
            waiting += [rows[most:], rows[:most]]
            continue
        found = None
        try:
            found = _answers(vlm, tail, distinct, [samples[i] for i in rows], config, at_once // len(rows))
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            at_once = min(at_once, len(rows) * len(distinct))  # what was tried, which is halved below
            if at_once == 1:
                raise MemoryLimitError(
                    "not even one answer at a time fits: free some memory, or load the model in a smaller dtype or on "
                    "a larger device"
                ) from error
        if found is None:
            # here, not in the except clause: the error keeps what the failed attempt had allocated
            release()
            at_once //= 2
            waiting.append(rows)
            continue
        said, calls = found
        passes += calls
        answers |= {(kept, rows[place]): answer for (kept, place), answer in said.items()}
        if progress is not None:
            progress(len(answers) // max(1, len(distinct)), len(samples))
    by_plan = tuple(tuple(answers[p.kept, i] for i in range(len(samples))) for p in plans)
    return PlanAnswers(tuple(plans), tuple(s.sample_id for s in samples), by_plan, passes)


def _answers(
    vlm: VLM,
    tail: Tail,
    plans: Sequence[PruningPlan],
    samples: Sequence[Sample],
    config: GenerationConfig | None,
    at_once: int,
) -> tuple[dict[tuple[Kept, int], PlanAnswer], int]:
    """(What each plan said to each sample, layer calls over the prompts).

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
        if not chosen:
            return said, passes
        for event in stream_answers(vlm, chosen, prompt, config, ready):
            if isinstance(event, PaneDone):
                plan, place = divmod(event.pane, len(samples))
                tokens = tuple(e.token_id for e in event.answer.events)
                said[chosen[plan].kept, place] = PlanAnswer(tokens, event.answer.text, event.answer.stopped)


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
) -> PlanScores:
    """Outcomes of every plan on every sample, by the benchmark's metric: the scorer of sweeps.

    Args:
        metric: of `core.scoring.judging`.
        max_new_tokens: limit of free answers, decoded greedily and judged by the metric; 0: exact match with the gold
            answer teacher-forced (`score_plans`), which needs no decoding.
        answer_batch: answers decoded at once (`answer_plans`).
        memory_bytes: what teacher forcing may take on top of the model.
    Returns:
        Outcomes, with the answers if they were written; the gold NLL is teacher-forced either way.
    """
    if not max_new_tokens:
        return score_plans(vlm, plans, samples, memory_bytes=memory_bytes, progress=progress)
    config = GenerationConfig(max_new_tokens)
    said = answer_plans(vlm, plans, samples, config, at_once=answer_batch, progress=progress)
    forced = score_plans(vlm, plans, samples, memory_bytes=memory_bytes)
    golds = [s.gold for s in samples]
    judged = tuple(tuple(_judged(a, g, metric) for a, g in zip(row, golds, strict=True)) for row in said.answers)
    correct = np.array([[not a.failure for a in row] for row in judged], np.bool_)
    passes = said.layer_passes + forced.layer_passes
    return PlanScores(said.plans, said.sample_ids, correct, forced.gold_nll, passes, judged)


def _judged(said: PlanAnswer, gold: Gold, metric: str) -> ItemAnswer:
    score, failure = judge_answer(said, gold, metric)
    return ItemAnswer(said.text, score.rule, failure, score.value)
