"""The metrics on numbers and mathematics: equal, rounded, within 5 %, or of the same value in LaTeX."""

import re
from dataclasses import replace
from itertools import chain
from string import ascii_uppercase

from core.records.gold import Gold
from core.scoring.latex import latex_in
from core.scoring.metrics import (
    Judge,
    Score,
    gold_letter,
    letter_score,
    metric,
    multiple_choice,
    right,
    same_text,
    short_answer,
    unparsable,
    wrong,
)
from core.scoring.numbers import Number, joined, near_number, numbers_in, same_number, whole_number
from core.scoring.readings import BOXED, LAST_LINE, STATED, Reading, bare, pieces
from core.scoring.values import same_value


@metric("number", "Number")
def number(text: str, gold: Gold) -> Score:
    """The same number, rounded if the question says so; units, currency and thousands commas aside."""
    return _first_right(text, gold, _number)


def _number(text: str, gold: Gold) -> Score:
    wanted = whole_number(gold.answer)
    if wanted is None:
        return short_answer(text, replace(gold, accepted=()))
    found = _read_number(text)
    if found is None:
        return unparsable("no number could be read")
    rule = same_number(found[0], wanted, gold.precision)
    return right(rule, found[0].text, found[1]) if rule else wrong("another number", found[0].text, found[1])


@metric("relaxed_accuracy", "Relaxed accuracy")
def relaxed_accuracy(text: str, gold: Gold) -> Score:
    """A number within 5 % of the gold one (years, too); other answers as in Short answer."""
    return _first_right(text, gold, _relaxed)


def _relaxed(text: str, gold: Gold) -> Score:
    wanted = whole_number(gold.answer, units=False)
    if wanted is None:
        return short_answer(text, replace(gold, accepted=()))
    found = _read_number(text)
    if found is None:
        return unparsable("no number could be read")
    given, how = found
    if rule := same_number(given, wanted) or near_number(given, wanted):
        return right(rule, given.text, how)
    return wrong("more than 5 % off the gold number" if wanted.value else "another number", given.text, how)


def _read_number(text: str) -> tuple[Number, str] | None:
    """The number that is boxed, stated, the whole answer, or the last of the last line that has one; and how it was."""
    lines = (Reading(line, LAST_LINE) for line in reversed(text.split("\n")))
    return next((found for piece in chain(pieces(text), lines) if (found := _number_of(piece))), None)


def _number_of(piece: Reading) -> tuple[Number, str] | None:
    """The number in a part of an answer: all of a box; the first that is stated; the last of a line."""
    if piece.rule in (BOXED, STATED) and re.search(r"=[^=]*(?:[,;]| and )[^=]*=", piece.value):
        return None  # x = 3, y = 4
    value = piece.value.rpartition("=")[2]
    if whole := whole_number(value):
        return whole, piece.rule
    if piece.rule == BOXED or joined(value) or not (found := numbers_in(value)):
        return None
    return (found[0], STATED) if piece.rule == STATED else (found[-1], "the last number")


@metric("math", "Mathematics")
def math(text: str, gold: Gold) -> Score:
    """The same number, or LaTeX of the same value, set, interval or equation; other answers as texts."""
    return _first_right(text, gold, _math)


def _math(text: str, gold: Gold) -> Score:
    for piece in pieces(text):
        if score := _compare(piece, gold):
            return score
    if whole_number(gold.answer):
        return _number(text, gold)
    return unparsable("no formula could be read") if latex_in(gold.answer) else short_answer(text, gold)


def _compare(piece: Reading, gold: Gold) -> Score | None:
    """The score of a part of an answer; None if nothing in it can be compared with the gold answer."""
    wanted = whole_number(gold.answer)
    if not wanted and not latex_in(gold.answer):
        rule = same_text(piece.value, gold.answer)
        return right(rule, piece.value, piece.rule) if rule else None
    if _compact(piece.value) == _compact(gold.answer):
        return right("the same text", piece.value, piece.rule)
    if wanted and (found := _number_of(piece)):
        rule = same_number(found[0], wanted, gold.precision)
        return right(rule, found[0].text, found[1]) if rule else wrong("another number", found[0].text, found[1])
    shown = re.findall(r"\$[^$]{1,300}\$|\\\(.{1,300}?\\\)|\\\[.{1,300}?\\\]", piece.value)
    said = re.split(r" (?:is|are) |=", piece.value)[-1]
    for part in [*(shown if len(shown) == 1 else []), piece.value, *shown[-1:], said]:
        formula = part.split("\\approx")[0]
        same = same_value(gold.answer, formula, gold.precision)
        if same is not None:
            return right("the same value", formula, piece.rule) if same else wrong("another value", formula, piece.rule)
    return None


def _compact(text: str) -> str:
    return "".join(bare(text).split())  # brackets stay: (1, 2) is not [1, 2]


@metric("choice_or_math", "Multiple choice, or mathematics")
def choice_or_math(text: str, gold: Gold) -> Score:
    """The letter of the right option or its value where there are options; else as in Mathematics."""
    wanted = gold_letter(gold)
    if not wanted:
        return math(text, gold)
    score = multiple_choice(text, gold)
    if score.outcome != "unparsable" or not gold.choices:
        return score
    for piece in pieces(text):
        explicit = piece.rule in (BOXED, STATED) or whole_number(piece.value) or latex_in(piece.value)
        equal = [i for i, c in enumerate(gold.choices[:26]) if (s := _compare(piece, Gold(c))) and s.correct]
        if explicit and len(equal) == 1:
            how = "the only option of the same value"
            return letter_score(Reading(ascii_uppercase[equal[0]], how), wanted)
    return score


def _first_right(text: str, gold: Gold, judge: Judge) -> Score:
    """The score by the first gold answer that is met, else by the first of them."""
    golds = [replace(gold, answer=answer, accepted=()) for answer in (gold.answer, *gold.accepted)]
    first = judge(text, golds[0])
    others = (judge(text, g) for g in golds[1:])
    return first if first.correct else next((score for score in others if score.correct), first)
