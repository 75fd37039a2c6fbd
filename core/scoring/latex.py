"""LaTeX in answers as sympy expressions, within bounds that make it safe to parse hostile text, in any thread.

math-verify's grammar reads the LaTeX and builds expressions without evaluating them. The bounds come before parsing,
because a few things are evaluated on the way: length, depth, digits, exponents, and the LaTeX commands and characters
that may occur at all. They take the place of math-verify's time limit, which works in the main thread only and would
make verdicts depend on the load of the machine. Its reader of plain expressions is left out, since it passes text on to
Python's `eval`; the LaTeX reader does that with the digits of its number tokens only.
"""

import logging
import math
import re
import threading
from functools import lru_cache
from typing import Any

from core.errors import SampleError

MAX_LENGTH, MAX_DEPTH, MAX_DIGITS, MAX_NODES = 160, 5, 25, 120
MAX_POWER = 5_000  # product of all exponents: (9^99)^99 is out

_KNOWN = """
    frac dfrac tfrac cfrac sqrt pi cdot times div pm mp le leq ge geq lt gt ne neq infty cup sin cos tan cot sec csc
    arcsin arccos arctan ln log text textbf mathrm mathbf mathit textrm emptyset angle triangle alpha beta gamma
    delta epsilon theta lambda mu rho sigma tau phi varphi omega quad { } % , ; !
"""
_COMMANDS = {*_KNOWN.split(), " "}
_UNICODE: dict[str, str | int | None] = {
    "π": "\\pi ", "×": "\\times ", "·": "\\cdot ", "÷": "/", "−": "-", "–": "-", "±": "\\pm ", "∞": "\\infty ",
    "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "∪": "\\cup ", "²": "^{2}", "³": "^{3}", "½": "\\frac{1}{2}", "°": "",
    "θ": "\\theta ", "α": "\\alpha ", "β": "\\beta ", "∠": "\\angle ", "△": "\\triangle ", "∅": "\\emptyset ",
    "\u00a0": " ",
}  # fmt: skip
_POWER = re.compile(
    r"\^ ?(?:\{ ?[-+]?(?:\d{1,4}[a-z]?|[a-z])(?: ?[-+/] ?(?:\d{1,4}|[a-z]))? ?\}"
    r"|\{ ?-?\\frac ?\{\d{1,3}\} ?\{\d{1,3}\} ?\}|[0-9A-Za-z])"
)
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{4,}")
_STACKED = re.compile(_POWER.pattern + r" ?\^")
_TRIG = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)\b")
_DEGREES = re.compile(r"\^ ?(?:\\circ|\{ ?\\circ ?\})|\\circ\b|°")
_lock = threading.Lock()  # the parser's tables are shared and not made for threads


def latex_in(text: str) -> str | None:
    """A text as LaTeX within the bounds that are safe to parse; None if it is no formula, or a dangerous one."""
    text = re.sub(r"\\[()\[\]]|\\\$|\$", " ", text[: 4 * MAX_LENGTH]).strip(" .,;:\n")
    if _TRIG.search(text) and _DEGREES.search(text):
        return None  # degrees are left out below, and would be taken for radians
    text = re.sub(r"√ ?(\d+|[a-z]|\([^()]{1,40}\))", r"\\sqrt{\1}", _DEGREES.sub(" ", text))
    text = text.replace("\\varnothing", "\\emptyset")
    text = re.sub(r"~|\\(?:left|right|displaystyle)\b", " ", text.translate(str.maketrans(_UNICODE)))
    text = re.sub(r"(?<=.)\\(?:text|textrm|mathrm) ?\{[^{}\d]{0,40}\}(?:\^\{?[23]\}?)? ?$", "", text)  # a unit
    text = re.sub(r"(?<=[\d})\]]) (?:[cmk]?m|ft|in)(?:\^\{?[23]\}?)?$", "", " ".join(text.split()))
    if len(text) > MAX_LENGTH or not re.fullmatch(r"[A-Za-z0-9+\-*/^_=<>()\[\]{}|,;:.!%\\ ]+", text):
        return None
    if any(name not in _COMMANDS for name in re.findall(r"\\([A-Za-z]+|.|$)", text)):
        return None
    if len(text) > 1 and not re.search(r"[\d\\+*/^=<>|]", text):
        return None  # a word
    words = _WORD.search(re.sub(r"\\(?:text|textbf|mathrm|mathbf|mathit|textrm) ?\{[^{}]*\}", "", text))
    return None if words or _is_dangerous(text) else text


def _is_dangerous(text: str) -> bool:
    depth = deepest = 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        deepest = max(deepest, depth)
    powers = _POWER.findall(text)
    return (
        deepest > MAX_DEPTH
        or text.count("|") > 4
        or len(powers) != text.count("^")  # the others are towers or hold an expression
        or bool(_STACKED.search(text))
        or math.prod(max(1, int(n)) for power in powers for n in re.findall(r"\d+", power)) > MAX_POWER
        or text.count("!") != len(re.findall(r"(?<![\d.])\d{1,2}!(?![!^])", text))
        # long numbers, 1E999999999, values put in place, factorials from (n)_{k}, roots of a small fraction
        or bool(re.search(rf"[\d.,]{{{MAX_DIGITS}}}|\d[eE][-+]?\d|\|[_^]|\) ?_|\\sqrt ?\[(?!\d\])", text))
    )


@lru_cache(maxsize=512)
def parse_latex(latex: str) -> Any:
    """What `latex_in` found as a sympy expression; None if it is none, or too large a one.

    Raises:
        SampleError: math-verify is not installed.
    """
    try:
        from latex2sympy2_extended.math_normalization import NormalizationConfig
        from math_verify import LatexExtractionConfig, parse
    except ImportError as error:
        raise SampleError("comparing LaTeX answers needs math-verify: run pip install -r requirements.txt") from error
    # it warns that no time limit is set; the bounds above stand in for one
    logging.getLogger("math_verify.parser").setLevel(logging.ERROR)
    # units off: it takes the d of 2d for days
    clean = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
    reader = [LatexExtractionConfig(normalization_config=clean)]
    with _lock:
        found = parse(f"${latex}$", reader, fallback_mode="no_fallback", parsing_timeout=None)
    if len(found) != 1 or not hasattr(found[0], "args"):
        return None
    return found[0] if _count(found[0]) <= MAX_NODES else None


def _count(node: Any) -> int:
    return 1 + sum(_count(arg) for arg in node.args)
