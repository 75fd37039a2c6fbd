"""Numbers in answers: each read exactly and as a whole, with its sign, magnitude and percent sign, or not at all.

Separators of thousands (commas, spaces, apostrophes, and points where a decimal comma follows), currency, units,
fractions, scientific notation, million and 万, and LaTeX around a number are understood. A number inside an expression
(the 3 of 2\\sqrt{3}, of 3-5, of 3x or of 3²) is none by itself. Values are fractions, so that nothing is lost to binary
rounding; what is longer than any measured number is not read, which bounds the work.
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from core.scoring.readings import BOXED, LAST_LINE, STATED, Reading, pieces

MAX_DIGITS = 40
MAX_EXPONENT = 300
MAX_LINE = 4_000  # characters of a line in which numbers are looked for, at the end that matters

_SPELLED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_TENS = "零 一 二 三 四 五 六 七 八 九 十 十一 十二 十三 十四 十五 十六 十七 十八 十九 二十"
_WORDS = {word: value for words in (_SPELLED, _TENS) for value, word in enumerate(words.split())}

_MAGNITUDES = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "mn": 10**6,
    "mio": 10**6, "mln": 10**6, "bn": 10**9, "mrd": 10**9, "tn": 10**12, "dozen": 12, "lakh": 10**5, "crore": 10**7,
    "k": 10**3, "m": 10**6, "b": 10**9,
    "十": 10, "百": 100, "千": 10**3, "万": 10**4, "萬": 10**4, "만": 10**4, "亿": 10**8, "億": 10**8, "억": 10**8,
    "兆": 10**12, "조": 10**12, "천": 10**3, "백": 100,
}  # fmt: skip
_RUN = r"\d+(?:[.,'’]\d+| \d{3}(?!\d))*|\.\d+"  # all that may belong to one number
_NUMBER = re.compile(
    r"(?P<sign>[-+] ?|\b(?:[Mm]inus|[Nn]egative) |[负負]|マイナス ?|마이너스 ?|零下 ?|영하 ?)?(?:[€£¥₹₩] ?)?"
    rf"(?:(?P<whole>\d{{1,9}}) (?=\d+ ?/ ?\d))?(?P<top>{_RUN})"
    rf"(?: ?/ ?(?P<bottom>{_RUN})|[eE](?P<e>[-+]?\d{{1,4}})(?!\w)| ?[×x*·] ?10\^\{{?(?P<power>[-+]?\d{{1,4}})\}}?)?"
    r"(?P<magnitude>(?:(?i: ?(?:hundred|thousand|(?:[mb]|tr)illion|dozen|lakh|crore|[mbt]n|mio|mln|mrd)s?\b)){1,2}"
    r"|(?:[kKMB]| M)(?![A-Za-z0-9(^_\\])| ?[十百千]?[万萬만亿億억兆조]|[十百千천백](?!分))?"
    r"(?P<percent> ?(?:%|per ?cent\b|percentage points?\b))?"
)
_POINT = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_GROUPED = re.compile(r"(?!0)\d{1,3}(?:,\d{3})+(?:\.\d+)?|[1-9]\d?(?:,\d{2})+,\d{3}(?:\.\d+)?")
_SPACED = re.compile(r"(?!0)\d{1,3}(?:([ '’])\d{3})(?:\1\d{3})*(?:[.,]\d+)?")
_EUROPEAN = re.compile(r"(?!0)\d{1,3}(?:\.\d{3})+,\d+|(?!0)\d{1,3}(?:\.\d{3}){2,}")
_COMMA = re.compile(r"(?:0,\d+|\d{1,3},\d{4,}|\d+,\d{1,2})(?<!,0)(?<!,00)")

_ATTACHED = re.compile(r"(?:[cmkµ]?m|[mk]?g|m?[sl]|ml|in|ft|lbs?|h|hrs?|min|mph|°[CF]?)(?![A-Za-z(])")  # as in 12cm
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_UNIT = re.compile(
    r"(?! (?:plus|minus|times|squared|cubed|divided|over|out of)\b)"
    r"(?:(?! [bknxyz]\b)[ °][A-Za-z°µ/.² ³]*(?:\^\{?-?\d\}?)?)?\.?"  # " square units", " cm^2", "°"
    rf"| ?(?![分点點到至或和与與])[{_CJK}]{{1,12}}[。.]?"
)

# ------------------------------------------------------------------------------------------------ typography

_SIGNS = {
    **dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2212, 0xFE63), "-"),
    **dict.fromkeys((0x00A0, *range(0x2005, 0x200B), 0x202F), " "),
    0x2044: "/",
}
_VULGAR = re.compile(r"(\d?) ?([¼-¾⅐-⅞])")
_POWERS = re.compile(r"(?<=\d)[⁰¹²³⁴-⁹⁻]+")
_COMMAS = re.compile(r"(?<=\d)，(?=\d{3}(?!\d))")
_PERCENT = re.compile(r"百分之 ?(\d[\d.,]{0,40})")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_THOUSANDS = re.compile(r"(?<=\d)(?:\{[,\\ ]{1,2}\}|\\[,!;: ]|~)(?=\d{3})")
_FRACTION = re.compile(r"\\[dtc]?frac ?\{ ?(-?\d{1,40}) ?\} ?\{ ?(\d{1,40}) ?\}|\\[dtc]?frac ?(\d)(\d)")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf|textrm|mbox) ?\{[ ~]?([^{}]{0,60})\}")
_DEGREES = re.compile(r"\^ ?(?:\\circ|\{ ?\\circ ?\})|\\degree|º")
_DOLLARS = re.compile(r"(?:\b(?:US|CA?|AU?|HK|NT|R|S))?\\?\$(?=-?\d)")
_SPACES = re.compile(r"\\[,;!()\[\] ]|\\(?:quad|displaystyle|left|right)\b|[$~]")


def tidy(text: str) -> str:
    """LaTeX and typography around numbers as plain characters."""
    if not text.isascii():
        text = _VULGAR.sub(lambda m: f"{m[1]} {unicodedata.normalize('NFKC', m[2])}".lstrip(), text)  # with U+2044
        text = _POWERS.sub(lambda m: f"^{{{m[0].translate(_RAISED)}}}", text)
        text = _PERCENT.sub(r"\1%", _COMMAS.sub(",", text.translate(_SIGNS)))
    if "\\" in text or "{" in text or "~" in text or "º" in text:
        text = _THOUSANDS.sub(",", text)
        text = _TEXT.sub(r" \1", _FRACTION.sub(_slash, text))
        text = _DEGREES.sub("°", text).replace("\\times", "×").replace("\\cdot", "·").replace("\\%", "%")
    if "$" in text:
        text = _DOLLARS.sub("", text)
    return " ".join(_SPACES.sub(" ", text).split())


def _slash(found: re.Match[str]) -> str:
    mixed = " " if found.string[: found.start()].rstrip()[-1:].isdigit() else ""  # 2\frac{1}{2}
    return f"{mixed}{found[1] or found[3]}/{found[2] or found[4]}"


# ------------------------------------------------------------------------------------------------ reading


@dataclass(frozen=True)
class Number:
    value: Fraction
    percent: bool
    text: str


def whole_number(text: str, units: bool = True, comma: bool = True) -> Number | None:
    """The number that a text is, perhaps with a unit after it; also a word from zero to twenty.

    Args:
        comma: is 1,5 a number? In an answer that asks for one it is; a gold answer may be a list.
    """
    text = tidy(text).strip(" *\"'。").rstrip(" .")
    if text.casefold() in _WORDS:
        return Number(Fraction(_WORDS[text.casefold()]), False, text)
    found = _NUMBER.match(text)
    if not found:
        return None
    rest = text[found.end() :]
    unit = units and (_UNIT.fullmatch(rest) or ((m := _ATTACHED.match(rest)) and _UNIT.fullmatch(rest[m.end() :])))
    return _number(found, comma) if not rest or unit else None


_DATES, _ORDERS = frozenset("年月日号"), frozenset("第图圖表题問问")


def numbers_in(text: str) -> list[Number]:
    """The numbers of a line that stand for themselves: not a part of a word, an expression, a range, a pair, a time.

    Years and the numbers of pictures in Chinese and Japanese only count where nothing else does.
    """
    text = tidy(text)

    def before(found: re.Match[str]) -> str:
        return text[max(0, found.start() - 1) : found.start()]

    standing = [(m, n) for m in _NUMBER.finditer(text) if _stands(m, text) and (n := _number(m))]
    values = [n for m, n in standing if text[m.end() : m.end() + 1] not in _DATES and before(m) not in _ORDERS]
    return values or [n for _, n in standing]


def joined(text: str) -> bool:
    """Does a line offer two numbers as its answer ("12 or 13")?"""
    return bool(_OFFERED.search(tidy(text)[-80:]))


_OFFERED = re.compile(r"\d\S* or \S{0,3}\d\S*$")
_LEFT = re.compile(  # of a number that belongs to something
    r"[\d)] ?[-x]$|\d $|分之$|[万萬만亿億억千천] ?$|\d ?(?:[到至〜—]| to | through | — ) ?$|[<≤≥]=? ?$"
    r"|(?:^|[^-=\w\"'/])>=? ?$"
    r"|(?:\\(?:sqrt|log|ln|lg|exp|sin|cos|tan|cot|sec|csc|arc[a-z]{3}|pm|mp|div|to|lim|int|sum|prod|[dt]?frac|le|ge|leq|geq|lt|gt|ne|neq)"
    r"|\b(?:sqrt|log|ln|sin|cos|tan)|\b(?:root of|plus|times|divided by|multiplied by|out of|factorial of))"
    r"(?:_\{[^{}]{1,20}\}|_\w{1,6})?(?:\^\{\w{1,3}\}|\^\w)? ?[(\[{|]? ?$"
)
_RIGHT = re.compile(
    r"[A-Za-z(\\^_{]|\d| [bknxyz]\b(?! \d)|[.,:/'’-]\d| ?/ ?\d| ?[+*×·÷^\\]| ?- ?\d| (?:to |through )?\d"
    r"| ?[到至〜—] ?\d|分之| (?:squared|cubed|plus|minus|times|divided by|out of|to the power)\b"
)
_BEFORE_SIGN = re.compile(r"(?:^|[=:(\[\"'“≈,，。；]|\b(?:is|be|to|of|equals?|was|at|about|or|and|than)|[是为為は])$")
_INSIDE = re.compile(r"[(\[{]([^()\[\]{}]*)$")


def _stands(found: re.Match[str], text: str) -> bool:
    before, after = text[max(0, found.start() - 80) : found.start()], text[found.end() : found.end() + 80]
    close, spaced = before[-1:], before.rstrip()
    if close and ((close.isalnum() and close < "\u2e80") or close in ".,:^_{\\/|'’"):
        return False
    if spaced[-1:] in ("+", "*", "×", "·", "÷", "/", "^", "\\", "±", "∓", "√", "∛", "∜") or _LEFT.search(before):
        return False
    sign = found["sign"] or ""
    if sign and re.search(r"[\d)]$|(?<![A-Za-z])[a-z]$", spaced):
        return False
    if sign == "- " and (not spaced or not _BEFORE_SIGN.search(spaced)):
        return False  # an item of a list, or a dash
    attached = _ATTACHED.match(after)
    after = after[attached.end() :] if attached else after
    if not (found["percent"] and after[:1] == "(") and _RIGHT.match(after):
        return False
    inside = _INSIDE.search(before)  # a pair or a list: (3, 4)
    closed = re.split(r"[)\]}]", after)[0]
    return not (inside and ("," in inside[1] + closed or (_COMMA.fullmatch(found["top"]) and closed != after)))


def _value(run: str, comma: bool) -> Fraction | None:
    """The value of digits with separators; None if they are no one number."""
    if len(run) > MAX_DIGITS:
        return None
    if _POINT.fullmatch(run):
        return Fraction(run)
    if _GROUPED.fullmatch(run):
        return Fraction(run.replace(",", ""))
    if _SPACED.fullmatch(run):
        return Fraction(re.sub("[ '’]", "", run).replace(",", "."))
    if _EUROPEAN.fullmatch(run):
        return Fraction(run.replace(".", "").replace(",", "."))
    return Fraction(run.replace(",", ".")) if comma and _COMMA.fullmatch(run) else None


def _number(found: re.Match[str], comma: bool = True) -> Number | None:
    value = _value(found["top"], comma)
    below = _value(found["bottom"], comma) if found["bottom"] else Fraction(1)
    exponent = int(found["e"] or found["power"] or 0)
    if value is None or not below or abs(exponent) > MAX_EXPONENT:
        return None
    value = (value / below + int(found["whole"] or 0)) * Fraction(10) ** exponent
    if magnitude := (found["magnitude"] or "").strip().casefold():
        for word in magnitude.split() if magnitude.isascii() else magnitude:
            value *= _MAGNITUDES[word.rstrip("s")]
    negative = (found["sign"] or "+").strip() != "+"
    return Number(-value if negative else value, bool(found["percent"]), found[0].strip())


# ------------------------------------------------------------------------------------------------ of an answer


def read_number(text: str) -> tuple[Number, str] | None:
    """The number that is boxed, stated, the whole answer, or the last of the last line that has one; and how it was."""
    lines = (Reading(line, LAST_LINE) for line in reversed(text.split("\n")))
    return next((found for piece in chain(pieces(text), lines) if (found := number_of(piece))), None)


def number_of(piece: Reading, whole: bool = False) -> tuple[Number, str] | None:
    """The number in a part of an answer: all of a box; the first that is stated; the last of a line.

    Args:
        whole: only where it is all of the part, or of what follows its last "=".
    """
    if piece.rule in (BOXED, STATED) and re.search(r"=[^=]*(?:[,;]| and )[^=]*=", piece.value):
        return None  # x = 3, y = 4
    value = piece.value.rpartition("=")[2]
    if len(value) > MAX_LINE:
        value = value[:MAX_LINE] if piece.rule == STATED else value[-MAX_LINE:].partition(" ")[2]
    item = piece.rule == LAST_LINE and value.startswith("- ")  # of a list, or negative?
    if not item and (number := whole_number(value)):
        return number, piece.rule
    if whole or piece.rule == BOXED or joined(value) or not (found := numbers_in(value)):
        return None
    return (found[0], STATED) if piece.rule == STATED else (found[-1], "the last number")
