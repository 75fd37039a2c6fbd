"""Numbers in answers: read exactly with their percent sign, compared exactly, rounded, or within 5 %.

Thousands commas, currency, units, fractions, scientific notation and LaTeX around a number are understood; a number
inside an expression (the 3 of 2\\sqrt{3}, of 3-5, or of 3x) is none by itself. Values are fractions, so that nothing
is lost to binary rounding; what is longer than any measured number is not read, which bounds the work.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 40
MAX_EXPONENT = 300
RELAXED = Fraction(5, 100)  # of ChartQA (Methani et al. 2020, Masry et al. 2022), relative to the gold number
SAME = "the same number"

_SPELLED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_WORDS = {word: value for value, word in enumerate(_SPELLED.split())}
_PLAIN = r"(?:\d{1,3}(?:,\d{3})+(?![\d])|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)(?:[€£¥₹] ?)?(?:(?P<whole>\d{{1,9}}) (?=\d+/\d))?(?P<top>{_PLAIN})"
    rf"(?:/(?P<bottom>{_PLAIN})|[eE](?P<e>[-+]?\d{{1,4}})(?!\w)| ?[×x·] ?10\^\{{?(?P<power>-?\d{{1,4}})\}}?)?"
    r"(?P<percent> ?(?:%|per ?cent\b))?"
)
_ATTACHED = re.compile(r"(?:[cmkµ]?m|[mk]?g|m?[sl]|ml|in|ft|lbs?|h|hrs?|min|mph|°[CF]?)(?![A-Za-z(])")  # as in 12cm
_UNIT = re.compile(r"(?:(?! [bknxyz]\b)[ °][A-Za-z°µ/.² ³]*(?:\^\{?-?\d\}?)?)?\.?")  # " square units", " cm^2", "°"


@dataclass(frozen=True)
class Number:
    value: Fraction
    percent: bool
    text: str


def tidy(text: str) -> str:
    """LaTeX and typography around numbers as plain characters."""
    text = text.translate({0x2212: "-", 0x2013: "-", 0x00A0: " ", 0x2009: " ", 0x202F: " "})
    text = re.sub(r"(?<=\d)(?:\{,\}|\\[,!])(?=\d{3})", ",", text)
    text = re.sub(r"\\[dtc]?frac ?\{ ?(-?\d{1,40}) ?\} ?\{ ?(\d{1,40}) ?\}|\\[dtc]?frac ?(\d)(\d)", _slash, text)
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf|textrm|mbox) ?\{[ ~]?([^{}]{0,60})\}", r" \1", text)
    text = re.sub(r"\^ ?(?:\\circ|\{ ?\\circ ?\})|\\degree|º", "°", text)
    text = text.replace("\\times", "×").replace("\\cdot", "·").replace("\\%", "%")
    text = re.sub(r"\\?\$(?=\d)", "", text)
    text = re.sub(r"\\[,;!()\[\] ]|\\(?:quad|displaystyle|left|right)\b|[$~]", " ", text)
    return " ".join(text.split())


def _slash(found: re.Match[str]) -> str:
    mixed = " " if found.string[: found.start()].rstrip()[-1:].isdigit() else ""  # 2\frac{1}{2}
    return f"{mixed}{found[1] or found[3]}/{found[2] or found[4]}"


def whole_number(text: str, units: bool = True) -> Number | None:
    """The number that a text is, perhaps with a unit behind it; also a word from zero to twenty."""
    text = tidy(text).strip(" *\"'").rstrip(" .")
    if text.casefold() in _WORDS:
        return Number(Fraction(_WORDS[text.casefold()]), False, text)
    found = _NUMBER.match(text)
    if not found:
        return None
    rest = text[found.end() :]
    unit = units and (_UNIT.fullmatch(rest) or ((m := _ATTACHED.match(rest)) and _UNIT.fullmatch(rest[m.end() :])))
    return _number(found) if not rest or unit else None


def numbers_in(text: str) -> list[Number]:
    """The numbers of a line that stand for themselves: not a part of a word, an expression, a range, a pair, a time."""
    text = tidy(text)
    return [n for n in (_number(m) for m in _NUMBER.finditer(text) if _stands(m, text)) if n]


def joined(text: str) -> bool:
    """Does a line offer two numbers as its answer ("12 or 13")?"""
    return bool(re.search(r"\d\S* or \S{0,3}\d\S*$", tidy(text)[-80:]))


def _stands(found: re.Match[str], text: str) -> bool:
    before, after = text[max(0, found.start() - 80) : found.start()], text[found.end() : found.end() + 80]
    close, spaced = before[-1:], before.rstrip()
    if close.isalnum() or (close and close in ".,:^_{\\/"):
        return False
    if spaced[-1:] in ("+", "*", "×", "·", "÷", "/", "^", "\\") or re.search(r"[\d)] ?[-x]$", spaced):
        return False
    if found["sign"] and re.search(r"[\d)]$", spaced):
        return False
    attached = _ATTACHED.match(after)
    after = after[attached.end() :] if attached else after
    if re.match(r"[A-Za-z(\\^_{]| [bknxyz]\b(?! \d)|[.,:/-]\d| ?[+*×·÷^\\]| ?- ?\d", after):
        return False
    inside = re.search(r"[(\[{]([^()\[\]{}]*)$", before)  # a pair or a list: (3, 4)
    return not (inside and "," in inside[1] + re.split(r"[)\]}]", after)[0])


def _number(found: re.Match[str]) -> Number | None:
    if len(found["top"]) > MAX_DIGITS or len(found["bottom"] or "") > MAX_DIGITS:
        return None
    value = Fraction(found["top"].replace(",", ""))
    if found["bottom"]:
        below = Fraction(found["bottom"].replace(",", ""))
        if not below:
            return None
        value /= below
    exponent = int(found["e"] or found["power"] or 0)
    if abs(exponent) > MAX_EXPONENT:
        return None
    value = (value + int(found["whole"] or 0)) * Fraction(10) ** exponent
    return Number(-value if found["sign"] == "-" else value, bool(found["percent"]), found[0].strip())


# ------------------------------------------------------------------------------------------------ comparing


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
