"""How an answer is judged against a gold answer, and how a wrong one fails. Text only, no torch.

Exact match here and in a sweep agree. A sweep teacher-forces the gold answer and asks that every token of it, the end
token included, is the likeliest one; that is so if and only if greedy decoding writes those tokens and then stops. So
`failure_kind` calls an answer right ("") when its text is the gold text and it ended by itself. Two things could part
them, both rare: other tokens that spell the same text, and two tokens that are equally likely up to rounding.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.errors import SampleError, suggest

NUMBER = re.compile(r"\d+(?:[.:]\d+)*")  # 7, 3.5, 10:35


@dataclass(frozen=True)
class Gold:
    """What counts as a right answer.

    Attributes:
        answer: the gold text: the letter of a choice, a number, LaTeX, yes or no, or a text.
        choices: the texts of the options in the order of their letters, of multiple-choice questions.
        accepted: every annotator's answer (TextVQA has ten), or further texts that count as right.
        precision: decimals that a number is rounded to before it is compared (MathVista); None: as it is.
    """

    answer: str
    choices: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    precision: int | None = None


@dataclass(frozen=True)
class Score:
    """A verdict on a text.

    Attributes:
        rule: the rule that decided, as a reader sees it.
        outcome: correct | wrong | unparsable | empty.
        value: 0 to 1; between them only for graded metrics (VQA accuracy), where `correct` is from 0.5 on.
        parsed: what was read out of the text and compared: a letter, a number; "" where nothing was found.
    """

    correct: bool
    rule: str
    outcome: str
    value: float = 0.0
    parsed: str = ""


class Answered(Protocol):
    """What is judged: an `Answer`, or its recording."""

    @property
    def text(self) -> str: ...
    @property
    def stopped(self) -> str: ...


def exact_match(answer: str, gold: Gold) -> Score:
    """The same text, but for spaces around it: case, wording and the steps of a calculation count."""
    given, wanted = answer.strip(), gold.answer.strip()
    if given == wanted:
        return Score(
            True, "the same text" if answer == gold.answer else "the same text after trimming spaces", "correct"
        )
    if not given:
        return Score(False, "nothing was answered", "empty")
    if given.casefold() == wanted.casefold():
        return Score(False, "the same text but for capital letters", "wrong")
    numbers, golden = NUMBER.findall(given), NUMBER.findall(wanted)
    if golden and not numbers:
        return Score(False, "no number in the answer, where the gold answer has one", "unparsable")
    if golden and numbers[-1] == golden[-1]:
        return Score(False, "the same last number, but another text", "wrong")
    return Score(False, "another text", "wrong")


METRICS: dict[str, Callable[[str, Gold], Score]] = {"exact_match": exact_match}


def score_answer(answer: str, gold: Gold | str, metric: str = "exact_match") -> Score:
    """Judge a text by a metric; how the answer ended is not known here (see `failure_kind`).

    Raises:
        SampleError: no such metric.
    """
    if metric not in METRICS:
        raise SampleError(f"unknown metric '{metric}': {suggest(metric, METRICS)}")
    return METRICS[metric](answer, Gold(gold) if isinstance(gold, str) else gold)


def failure_kind(answer: Answered, gold: Gold | str, metric: str = "exact_match") -> str:
    """How an answer fails: "" (it is right), "wrong", "unparsable", "repeating", "empty" or "truncated".

    The most telling kind is named: an answer that ran into the token limit because it repeats itself is repeating.
    Right text that did not end by itself is truncated: more would have followed.
    """
    score = score_answer(answer.text, gold, metric)
    ended = answer.stopped == "end"
    if score.outcome == "empty" or (score.correct and ended):
        return "" if score.correct else "empty"
    if repeats(answer.text):
        return "repeating"
    return score.outcome if ended else "truncated"


def repeats(text: str, times: int = 3) -> bool:
    """Does a text end in the same piece at least `times` times over?

    A piece is one or more words. Repeats without a space count from 24 characters on: 1000 does not repeat its 0.
    """
    # the first word shall begin, and the last one end, as the others do
    spaced = " " + re.sub(r"[,;.]?\s+", " ", text.strip())
    for period in range(1, len(spaced) // times + 1):
        tail = spaced[-times * period :]
        if tail == tail[:period] * times and (" " in tail or len(tail) >= 24):
            return True
    return False
