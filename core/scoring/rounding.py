"""When two numbers are the same: exactly, rounded as a question asks, or within 5 %; with or without a percent sign."""

from collections.abc import Iterator
from fractions import Fraction

from core.scoring.numbers import MAX_DIGITS, Number

RELAXED = Fraction(5, 100)  # of ChartQA (Methani et al. 2020, Masry et al. 2022), relative to the gold number
SAME = "the same number"


def same_number(given: Number, gold: Number, precision: int | None = None) -> str:
    """The rule by which two numbers are the same, "" if they are not.

    With a precision the given number must round to the gold one, to so many decimals; either way at a tie. A percent
    sign on one side only is read both ways, as nothing and as a hundredth, and the rule says which way matched.
    """
    if precision is not None:
        precision = min(max(precision, 0), MAX_DIGITS)
    slack = Fraction(0) if precision is None else Fraction(1, 2) / 10**precision
    for mine, theirs, reading in _readings(given, gold):
        if mine == theirs:
            return SAME + reading
        rounded = theirs if precision is None else round(theirs, precision)
        if slack and abs(mine - rounded) <= slack:
            return f"{SAME} to {precision} decimal{'' if precision == 1 else 's'}{reading}"
    return ""


def near_number(given: Number, gold: Number) -> str:
    """The rule by which a number is within 5 % of the gold one, as ChartQA asks; "" if not. Nothing is near 0."""
    for mine, theirs, reading in _readings(given, gold):
        if abs(mine - theirs) <= RELAXED * abs(theirs):
            return f"within 5 % of the gold number, not equal{reading}"
    return ""


def _readings(given: Number, gold: Number) -> Iterator[tuple[Fraction, Fraction, str]]:
    yield given.value, gold.value, ", the percent sign left out" if given.percent != gold.percent else ""
    if given.percent != gold.percent:
        percent = ", read as a percentage"
        yield given.value / (100 if given.percent else 1), gold.value / (100 if gold.percent else 1), percent
