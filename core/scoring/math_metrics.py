"""The metrics on numbers and mathematics: equal, rounded, within 5 %, or of the same value in LaTeX."""

import re
from dataclasses import replace
from functools import lru_cache
from string import ascii_uppercase

from core.records.gold import Gold
from core.scoring.latex import latex_in
from core.scoring.letters import explicit_letter, likely_letter
from core.scoring.metrics import (
    Judge,
    Score,
    gold_letter,
    last_letter,
    letter_score,
    metric,
    multiple_choice,
    right,
    same_text,
    short_answer,
    unparsable,
    wrong,
)
from core.scoring.numbers import Number, number_of, read_number, whole_number
from core.scoring.readings import BOXED, STATED, Reading, bare, pieces, read_yes_no
from core.scoring.rounding import near_number, same_number
from core.scoring.values import same_value


@metric("number", "Number")
def number(text: str, gold: Gold) -> Score:
    """The same number, rounded if the question says so; units, currency and thousands commas aside."""
    return _first_right(text, gold, _number)


def _number(text: str, gold: Gold) -> Score:
    wanted = _wanted(gold.answer)
    if wanted is None:
        return short_answer(text, replace(gold, accepted=()))
    found = read_number(text)
    return _judged(found, wanted, gold) if found else unparsable("no number could be read")


@lru_cache(maxsize=512)
def _wanted(gold: str) -> Number | None:
    """The number that a gold answer is; a comma between digits may part two of them."""
    return whole_number(gold, comma=False)


def _judged(found: tuple[Number, str], wanted: Number, gold: Gold) -> Score:
    given, how = found
    rule = same_number(given, wanted, gold.precision)
    return right(rule, given.text, how) if rule else wrong("another number", given.text, how)


@metric("relaxed_accuracy", "Relaxed accuracy")
def relaxed_accuracy(text: str, gold: Gold) -> Score:
    """A number within 5 % of the gold one (years, too); other answers as in Short answer."""
    return _first_right(text, gold, _relaxed)


def _relaxed(text: str, gold: Gold) -> Score:
    wanted = whole_number(gold.answer, units=False, comma=False)
    if wanted is None:
        return short_answer(text, replace(gold, accepted=()))
    found = read_number(text)
    if found is None:
        return unparsable("no number could be read")
    given, how = found
    if rule := same_number(given, wanted) or near_number(given, wanted):
        return right(rule, given.text, how)
    return wrong("more than 5 % off the gold number" if wanted.value else "another number", given.text, how)


# ------------------------------------------------------------------------------------------------ mathematics


@metric("math", "Mathematics")
def math(text: str, gold: Gold) -> Score:
    """The same number, or LaTeX of the same value, set, interval or equation; other answers as texts."""
    return _first_right(text, gold, _math)


def _math(text: str, gold: Gold) -> Score:
    worded = _worded(gold.answer)
    if worded:
        return _same_statement(text, replace(gold, answer=worded))
    for piece in pieces(text):
        if score := _compare(piece, gold):
            return score
    if _wanted(gold.answer):
        return _number(text, gold)
    return unparsable("no formula could be read")


_WORDS = re.compile(r"(?:\\(?:text(?:bf|it|rm)?|math(?:rm|bf|it)|mbox) ?\{[^{}\d]*[A-Za-z][^{}\d]*\}[\s.]*)+")
_UNSOLVED = re.compile(
    r"(?:(?:there|that|which|so|the|this|it|equation|system|inequality|problem|has|have|is|are|exist|any)s? ){0,6}"
    r"no (?:real )?solutions?(?: exists?)?|(?:the )?empty set|\\emptyset|\\varnothing|∅|\\?\{ ?\\?\}",
    re.I,
)


@lru_cache(maxsize=512)
def _worded(gold: str) -> str:
    """The words of a gold answer that is no formula, such as \\text{no solution}; "" for a formula."""
    if _WORDS.fullmatch(gold.strip()):
        return bare(gold)
    return "" if _wanted(gold) or latex_in(gold) else gold


def _same_statement(text: str, gold: Gold) -> Score:
    """The score of an answer whose gold answer is in words."""
    parts = pieces(text)
    for piece in parts:
        if rule := same_text(piece.value, gold.answer):
            return right(rule, piece.value, piece.rule)
    if _is_unsolved(gold.answer):
        for piece in parts:
            if _is_unsolved(piece.value) and ("real" in piece.value) == ("real" in gold.answer):
                return right("the same statement", piece.value, piece.rule)
    score = short_answer(text, gold)
    if not score.correct and gold.answer.casefold() in ("yes", "no") and (read := read_yes_no(text)):
        same = read.value == gold.answer.casefold()
        return right(read.rule, read.value) if same else wrong("the other one", read.value, read.rule)
    return score


def _is_unsolved(text: str) -> bool:
    return bool(_UNSOLVED.fullmatch(bare(text)))


_SHOWN = re.compile(r"\$[^$]{1,300}\$|\\\(.{1,300}?\\\)|\\\[.{1,300}?\\\]")
_SAID = re.compile(r" (?:is|are) |=")
_OPERATED = re.compile(
    r"\\(?:sqrt|[dt]?frac|log|ln|exp|sin|cos|tan|cot|sec|csc|arc[a-z]{3}|pi|cdot|times|div)(?![a-z])|[\^!√∛π|²³]"
    r"|\bsqrt\b|\d ?[*+×·÷/-] ?[\d(\\]"
)
_LONE_WORDS = re.compile(r"(?<![\\A-Za-z])(?!sqrt|sin|cos|tan|ln|log)[A-Za-z]{2,}")
_TEXTS = re.compile(r"\\(?:text|mathrm|textbf|mathbf) ?\{[^{}]*\}")


def _compare(piece: Reading, gold: Gold) -> Score | None:
    """The score of a part of an answer; None if nothing in it can be compared with the gold answer."""
    wanted = _wanted(gold.answer)
    if not wanted and _worded(gold.answer):
        rule = same_text(piece.value, gold.answer)
        return right(rule, piece.value, piece.rule) if rule else None
    if _compact(piece.value) == _compact(gold.answer):
        return right("the same text", piece.value, piece.rule)
    shown = _SHOWN.findall(piece.value)
    said = _SAID.split(piece.value)[-1]
    if wanted:  # a number that is written out, else the value of a formula, else the last number
        if found := number_of(piece, whole=True):
            return _judged(found, wanted, gold)
        formula = _formula(piece, said)
        if formula and (score := _valued(formula, piece, gold)):
            return score
        if found := number_of(piece):
            return _judged(found, wanted, gold)
    for part in [*(shown if len(shown) == 1 else []), piece.value, *shown[-1:], said]:
        if score := _valued(part.split("\\approx")[0], piece, gold):
            return score
    return None


def _valued(formula: str, piece: Reading, gold: Gold) -> Score | None:
    same = same_value(gold.answer, formula, gold.precision)
    if same is None:
        return None
    return right("the same value", formula, piece.rule) if same else wrong("another value", formula, piece.rule)


def _formula(piece: Reading, said: str) -> str:
    """The formula that a part of an answer ends in, or states first; "" if it has none: 7 alone is none."""
    found = list(_SHOWN.finditer(piece.value))
    if found:
        first = piece.rule == STATED and not piece.value[: found[0].start()].strip(" :")
        tail = piece.value[found[-1].end() :]
        ends = len(tail) <= 30 and not re.search(r"\d", tail)
        formula = found[0][0] if first else found[-1][0] if ends else ""
        formula = formula.rpartition("=")[2]
    else:
        formula = piece.value if _OPERATED.search(piece.value) and not _LONE_WORDS.search(piece.value) else said
        formula = formula.rpartition("=")[2]
    return formula if _OPERATED.search(formula) and not _LONE_WORDS.search(_TEXTS.sub("", formula)) else ""


def _compact(text: str) -> str:
    return "".join(bare(text).split())  # brackets stay: (1, 2) is not [1, 2]


@metric("choice_or_math", "Multiple choice, or mathematics")
def choice_or_math(text: str, gold: Gold) -> Score:
    """The letter of the right option or its value where there are options; else as in Mathematics."""
    wanted = gold_letter(gold)
    if not wanted:
        return math(text, gold)
    if not gold.choices:
        return multiple_choice(text, gold)
    found = explicit_letter(text, gold.choices, last_letter(wanted))
    if found and found.value:
        return letter_score(found, wanted)
    for piece in pieces(text):
        explicit = piece.rule in (BOXED, STATED) or whole_number(piece.value) or latex_in(piece.value)
        choices = gold.choices[:26] if explicit else ()
        equal = [i for i, c in enumerate(choices) if (s := _compare(piece, Gold(c))) and s.correct]
        if len(equal) == 1:
            how = "the only option of the same value"
            return letter_score(Reading(ascii_uppercase[equal[0]], how), wanted)
    return letter_score(found or likely_letter(text, gold.choices, last_letter(wanted)), wanted)


def _first_right(text: str, gold: Gold, judge: Judge) -> Score:
    """The score by the first gold answer that is met, else by the first of them."""
    golds = [replace(gold, answer=answer, accepted=()) for answer in (gold.answer, *gold.accepted)]
    first = judge(text, golds[0])
    others = (judge(text, g) for g in golds[1:])
    return first if first.correct else next((score for score in others if score.correct), first)
