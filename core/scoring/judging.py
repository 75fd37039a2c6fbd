"""How an answer is judged against a gold answer, and how a wrong one fails. Text only, no torch.

This is the front of the metrics in `metrics` and `math_metrics`. Exact match here and in a sweep agree. A sweep
teacher-forces the gold answer and asks that every token of it, the end token included, is the likeliest one; that is so
if and only if greedy decoding writes those tokens and then stops. So `failure_kind` calls an answer right ("") when its
text is the gold text and it ended by itself. Two things could part them, both rare: other tokens that spell the same
text, and two tokens that are equally likely up to rounding.
"""

import re
from typing import Protocol

import core.scoring.math_metrics  # noqa: F401 - registers its metrics
from core.errors import SampleError, suggest
from core.records.gold import Gold
from core.scoring.metrics import METRICS, Metric, Score

__all__ = ["METRICS", "Gold", "Metric", "Score", "failure_kind", "get_metric", "repeats", "score_answer"]

MAX_REPEATED = 20_000  # characters at the end of a text in which repeats are looked for


class Answered(Protocol):
    """What is judged: an `Answer`, or its recording."""

    @property
    def text(self) -> str: ...
    @property
    def stopped(self) -> str: ...


def get_metric(name: str) -> Metric:
    """A metric by name.

    Raises:
        SampleError: no such metric.
    """
    if name not in METRICS:
        raise SampleError(f"unknown metric '{name}': {suggest(name, METRICS)}")
    return METRICS[name]


def score_answer(answer: str, gold: Gold | str, metric: str = "exact_match") -> Score:
    """Judge a text by a metric; how the answer ended is not known here (see `failure_kind`).

    Raises:
        SampleError: no such metric, or LaTeX is to be compared and math-verify is not installed.
    """
    return get_metric(metric).score(answer, Gold(gold) if isinstance(gold, str) else gold)


def failure_kind(answer: Answered, gold: Gold | str, metric: str = "exact_match") -> str:
    """How an answer fails: "" (it is right), "wrong", "unparsable", "repeating", "empty" or "truncated".

    The most telling kind is named: an answer that ran into the token limit because it repeats itself is repeating.
    For exact match, right text that did not end by itself is truncated: more would have followed. Every other metric
    reads the answer out of the text, so an answer that was read and is right is right even if the limit cut off, or a
    repetition filled, what came behind it.
    """
    score = score_answer(answer.text, gold, metric)
    ended = answer.stopped == "end"
    if score.correct and (ended or not get_metric(metric).whole):
        return ""
    if score.outcome == "empty":
        return "empty"
    if repeats(answer.text):
        return "repeating"
    return score.outcome if ended else "truncated"


def repeats(text: str, times: int = 3) -> bool:
    """Does a text end in the same piece at least `times` times over?

    A piece is one or more words. Repeats without a space count from 24 characters on: 1000 does not repeat its 0.
    """
    # the first word shall begin, and the last one end, as the others do
    spaced = " " + re.sub(r"[,;.]?\s+", " ", text.strip()[-MAX_REPEATED:])
    for period in range(1, len(spaced) // times + 1):
        tail = spaced[-times * period :]
        if tail == tail[:period] * times and (" " in tail or len(tail) >= 24):
            return True
    return False
