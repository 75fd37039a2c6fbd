"""Intervals and inequalities in one variable as the numbers they hold: (-oo, 2) is x < 2."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

MAX_LENGTH = 200
SIGN = re.compile(r"[<>≤≥≠∈]|\\(?:leq?|geq?|lt|gt|neq?|in)(?![a-z])")

_CLEAN = (
    (re.compile(r"\\(?:left|right|displaystyle|quad)\b|\\[()\[\],;! ]|[$~]|(?<=\d),(?=\d{3}(?!\d))"), " "),
    (re.compile(r"\\(?:leq?(?:slant)?|leqq)(?![a-z])|<="), "≤"),
    (re.compile(r"\\(?:geq?(?:slant)?|geqq)(?![a-z])|>="), "≥"),
    (re.compile(r"\\lt(?![a-z])"), "<"),
    (re.compile(r"\\gt(?![a-z])"), ">"),
    (re.compile(r"\\neq?(?![a-z])"), "≠"),
    (re.compile(r"\\in(?![a-z])"), "∈"),
    (re.compile(r"\\infty|∞|\binfinity\b"), "oo"),
    (re.compile(r"\\(?:cup|lor|vee)(?![a-z])|\\text ?\{ ?or ?\}|\bor\b"), "∪"),
    (re.compile(r"[−–]"), "-"),
)
_FORM = re.compile(r"([\[(])([^,;\[\]]+)[,;]([^,;\[\]]+)([\])])")
_MEMBER = re.compile(r" ?([A-Za-z]) ?∈")


@dataclass(frozen=True)
class Span:
    """An interval from `low` to `high`; each end is left out, or not."""

    low: float
    low_open: bool
    high: float
    high_open: bool


def spans_in(text: str, value: Callable[[str], float | None]) -> tuple[str, list[Span]] | None:
    """The variable ("" if none is named) and the intervals of a text, ascending; None if it holds anything else.

    Args:
        value: the number that LaTeX stands for, None if it stands for none.
    """
    if len(text) > MAX_LENGTH:
        return None
    for pattern, plain in _CLEAN:
        text = pattern.sub(plain, text)
    text = text.strip(" .")
    name = ""
    if member := _MEMBER.match(text):
        name, text = member[1], text[member.end() :]
    spans: list[Span] = []
    for part in text.split("∪"):
        found = _interval(part.strip(), value) or _inequality(part.strip(), value)
        if not found or (name and found[0] and found[0] != name):
            return None
        name = name or found[0]
        spans += found[1]
    return name, sorted(spans, key=lambda s: (s.low, s.high))


def _end(text: str, value: Callable[[str], float | None]) -> float | None:
    text = text.strip()
    endless = {"oo": math.inf, "+oo": math.inf, "+ oo": math.inf, "-oo": -math.inf, "- oo": -math.inf}
    return endless[text] if text in endless else value(text)


def _interval(text: str, value: Callable[[str], float | None]) -> tuple[str, list[Span]] | None:
    found = _FORM.fullmatch(text)
    if not found:
        return None
    low, high = _end(found[2], value), _end(found[3], value)
    if low is None or high is None or low >= high:
        return None
    return "", [Span(low, found[1] == "(", high, found[4] == ")")]


def _inequality(text: str, value: Callable[[str], float | None]) -> tuple[str, list[Span]] | None:
    """x < 2, 2 > x, 1 < x ≤ 4, x ≠ 2."""
    parts = [part.strip() for part in re.split(r"([<>≤≥≠])", text)]
    if len(parts) not in (3, 5):
        return None
    if len(parts) == 3 and re.fullmatch("[A-Za-z]", parts[2]):
        parts = [parts[2], parts[1].translate(str.maketrans("<>≤≥", "><≥≤")), parts[0]]
    name = parts[0 if len(parts) == 3 else 2]
    if not re.fullmatch("[A-Za-z]", name):
        return None
    if len(parts) == 3:
        sign, end = parts[1], _end(parts[2], value)
        if end is None:
            return None
        if sign == "≠":
            return name, [Span(-math.inf, True, end, True), Span(end, True, math.inf, True)]
        below = Span(-math.inf, True, end, sign == "<")
        return name, [below if sign in "<≤" else Span(end, sign == ">", math.inf, True)]
    (first, one, _, other, last) = parts
    if one in ">≥" and other in ">≥":
        flipped = str.maketrans(">≥", "<≤")
        first, one, other, last = last, other.translate(flipped), one.translate(flipped), first
    low, high = _end(first, value), _end(last, value)
    if one not in "<≤" or other not in "<≤" or low is None or high is None or low >= high:
        return None
    return name, [Span(low, one == "<", high, other == "<")]
