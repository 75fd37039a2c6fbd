"""What an answer says: its final part, or yes or no, each with the rule by which it was found.

Free answers reason, list options again and hedge, so a value is read by layers, the most explicit first. The layers
are deterministic: what none of them finds is not read at all, never guessed and never the nearest option, because
pruning changes how a model writes before it changes what it knows. The gold answer is not known here, so nothing can
be read into a text because it would be right. Every step is bounded: answers are hostile input. Letters of options are
read in `core.scoring.letters`, numbers in `core.scoring.numbers`.
"""

import re
import unicodedata
from dataclasses import dataclass

from core.scoring.reasoning import without_reasoning

MAX_CHARS = 20_000  # of an answer, once its reasoning is gone: about 5,000 tokens
MAX_BOX = 600
WHOLE, BOXED, STATED, LAST_LINE = "", "in \\boxed{}", "stated as the answer", "in the last line"

_FORMS = {  # forms of ASCII characters: full width (the comma separates, so it stays), in a circle, bold and the like
    **{c: chr(c - 0xFEE0) for c in range(0xFF01, 0xFF5F) if c != 0xFF0C},
    **{c: chr(c - 0x24B6 + ord("A")) for c in range(0x24B6, 0x24D0)},
    **{c: unicodedata.normalize("NFKC", chr(c)) for c in range(0x1D400, 0x1D800)},
    **dict.fromkeys((0x200B, 0x2060, 0xFEFF)),
    0x2212: "-",
    0x3000: " ",
}
_TOKENS = re.compile(r"<\|/?\w{2,24}\|>|</?s>|<(?:start|end)_of_turn>|</?(?:b|strong|i|em|u|p|mark|center)>")
_EMPHASIS = re.compile(r"(?<!\S)[*_](?=\S)|(?<=\S)[*_](?=[\s.,;:!?)]|$)")  # *B*, but not 3 * 4 or a_1
_SHOWN = re.compile(r"(\\\[|\$\$)\s{0,9}([^$]{1,300}?)\s{0,9}(\\\]|\$\$)")
_WRAPPED = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|up)?|math(?:rm|bf|it|sf|tt)|mbox|emph|boldsymbol|bm|operatorname\*?|underline) ?"
    r"\{([^{}]*)\}"
)
_MARKS = re.compile(r"\\[()\[\]]|\$")
_SWITCHES = re.compile(r"\\(?:bf|rm|it|displaystyle|quad|left|right)\b|\\[,;:! ]|~")


@dataclass(frozen=True)
class Reading:
    """A value and how it was found, in the words that a reader sees."""

    value: str
    rule: str


def plain(text: str) -> str:
    """An answer without its reasoning, emphasis and empty lines, with single spaces, and of bounded length.

    Reasoning that was not finished is dropped as well: no answer was begun. A long text keeps its two ends.
    """
    text = without_reasoning(text)
    if len(text) > MAX_CHARS:
        text = text[: MAX_CHARS // 2] + "\n" + text[-MAX_CHARS // 2 :]
    text = folded(text)
    if "<" in text:
        text = text.replace("<|begin_of_box|>", "\\boxed{").replace("<|end_of_box|>", "}").replace("<br>", "\n")
        text = _TOKENS.sub("", text)
    text = _EMPHASIS.sub("", text.replace("**", "").replace("__", "").replace("`", ""))
    text = _SHOWN.sub(_on_one_line, text)  # displayed LaTeX often stands on lines of its own
    return "\n".join(line for line in (" ".join(line.split()) for line in text.splitlines()) if line)


def folded(text: str) -> str:
    """Letters, digits and signs of full width and of other forms as plain ones."""
    return text if text.isascii() else text.translate(_FORMS)


def _on_one_line(shown: re.Match[str]) -> str:
    return " ".join(shown[0].split())


def pieces(text: str) -> list[Reading]:
    """The parts of a plain text that may hold its final answer, the most explicit first: never empty.

    A closed \\boxed{} or <answer>, then what is stated ("####", "FINAL ANSWER:", "the answer is"), then the whole
    text if it is one line, else its last line.
    """
    found = [boxed(text), stated(text)]
    *before, last = text.split("\n")
    return [r for r in found if r] + [Reading(last, LAST_LINE if before else WHOLE)]


_TAGGED = re.compile(r"<(answer|conclusion|response|final_answer|solution)>", re.I)
_JOINED = re.compile(r"[$\s).\\]{0,6}(?:\bor\b|\band\b|,|/|或|和)[$\s(\\]{0,6}")


def boxed(text: str) -> Reading | None:
    """What the last closed \\boxed{} holds, or else the last <answer>; two boxes joined by "or" are one value."""
    start = len(text)
    for _ in range(5):  # unclosed ones after it were cut off
        start = text.rfind("\\boxed{", 0, start)
        if start < 0:
            break
        if (end := _closing(text, start)) is None:
            continue
        value = text[start + 7 : end].strip()
        other = text.rfind("\\boxed{", 0, start)
        stop = _closing(text, other) if other >= 0 else None
        if stop is not None and _JOINED.fullmatch(text, stop + 1, start):
            value = f"{text[other + 7 : stop].strip()} or {value}"
        return Reading(value, BOXED) if value else None
    tag = None
    for tag in _TAGGED.finditer(text):  # noqa: B007 - the last one
        pass
    if not tag:
        return None
    value = text[tag.end() :].partition(f"</{tag[1]}>")[0].strip()
    return (stated(value) if "\n" in value else None) or (Reading(value, STATED) if value else None)


def _closing(text: str, start: int) -> int | None:
    """Where the \\boxed{ at a place closes."""
    depth = 1
    for i in range(start + 7, min(len(text), start + 7 + MAX_BOX)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return i
    return None


_STATED = re.compile(
    r"####|(?i:\b(?:answer|respuesta|réponse|antwort|risposta|resposta)\b(?: [a-z']{1,12}){0,6}? ?"
    r"(?:\bis\b|\b(?:would|should|must|will) be\b|\b(?:es|est|ist)\b|:|=))"
    r"|(?:答案|答え|解答|回答|正解|正答|정답|답안|답)\s?】?(?:应该|應該|应|就)?(?:是|为|為|は|が|은|는|:|=|(?<=】))"
)
_SENTENCE = re.compile(r"(?<=[^\s.])\. (?=[A-Z])|[。；！]")


def stated(text: str) -> Reading | None:
    """The rest of the sentence after the last "answer is", "answer:" or "####"."""
    found = None
    for found in _STATED.finditer(text):  # noqa: B007 - the last one
        pass
    if not found:
        return None
    rest = _SENTENCE.split(text[found.end() :].lstrip(" :\n").split("\n")[0])[0].strip()
    return Reading(rest, STATED) if rest else None


def unwrapped(text: str) -> str:
    """A text without \\text{} and the like, dollar signs and LaTeX spaces; lines stay."""
    if "\\" in text:
        for _ in range(3):  # \text{\textbf{B}}
            text = _WRAPPED.sub(r"\1", text)
    return _MARKS.sub("", text)


def bare(text: str) -> str:
    """A short text without the LaTeX, quotes and dots around it."""
    return unwrapped(text).strip(" \n\t\"'“”‘’.,;。，、「」『』")


def spaced(text: str) -> str:
    """An unwrapped text with plain spaces for those of LaTeX."""
    return " ".join(_SWITCHES.sub(" ", unwrapped(text)).split()) if "\\" in text or "~" in text else unwrapped(text)


# ------------------------------------------------------------------------------------------------ yes or no

_FIRST = re.compile(r"\W*(yes|no)\b(?!\W+(?:and|or|/)?\W*(?:yes|no)\b)", re.I)
_FIRST_CJK = re.compile(
    r"\W{0,4}(?:(?P<no>不是|不对|不對|没有|沒有|否|不|いいえ|아니요|아니오|아니)|(?P<yes>是的?|对的?|對|有|はい|네|예))"
    r"(?=[。，、！.,! ]|$)"
)


def read_yes_no(text: str) -> Reading | None:
    """Yes or no: the first word, else what is stated, else the only one of the two that occurs.

    "Yes and no" is neither.
    """
    box, said = boxed(text), stated(text)
    for piece in ([box] if box else []) + [Reading(text, "the first word")] + ([said] if said else []):
        value = bare(piece.value)
        if found := _FIRST.match(value):
            return Reading(found[1].lower(), piece.rule)
        if found := _FIRST_CJK.match(value):
            return Reading("no" if found["no"] else "yes", piece.rule)
    if re.match(r"\W*(?:yes|no)\b", text, re.I):
        return None
    words = set(re.findall(r"\b(?:yes|no)\b", text.casefold()))
    return Reading(words.pop(), "the only one of yes and no that occurs") if len(words) == 1 else None
