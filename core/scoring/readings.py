"""What an answer says: its final part, an option's letter, yes or no, each with the rule by which it was found.

Free answers reason, list options again and hedge, so a value is read by layers, the most explicit first. The layers
are deterministic: what none of them finds is not read at all, never guessed and never the nearest option, because
pruning changes how a model writes before it changes what it knows. The gold answer is not known here, so nothing can
be read into a text because it would be right. Every step is bounded: answers are hostile input.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

MAX_CHARS = 20_000  # of an answer, once its reasoning is gone: about 5,000 tokens
MAX_BOX = 600
WHOLE, BOXED, STATED, LAST_LINE = "", "in \\boxed{}", "stated as the answer", "in the last line"


@dataclass(frozen=True)
class Reading:
    """A value and how it was found, in the words that a reader sees."""

    value: str
    rule: str


def plain(text: str) -> str:
    """An answer without its reasoning, emphasis and empty lines, with single spaces, and of bounded length.

    Reasoning that was not finished is dropped as well: no answer was begun. A long text keeps its two ends.
    """
    text = _without_reasoning(text)
    if len(text) > MAX_CHARS:
        text = text[: MAX_CHARS // 2] + "\n" + text[-MAX_CHARS // 2 :]
    text = text.replace("**", "").replace("`", "").replace("\u2212", "-").replace("\u00a0", " ")
    text = re.sub(r"(?<!\S)[*_](?=\S)|(?<=\S)[*_](?=[\s.,;:!?)]|$)", "", text)  # *B*, but not 3 * 4 or a_1
    # displayed LaTeX often stands on lines of its own
    text = re.sub(r"(\\\[|\$\$)\s{0,9}([^$]{1,300}?)\s{0,9}(\\\]|\$\$)", _on_one_line, text)
    return "\n".join(line for line in (" ".join(line.split()) for line in text.splitlines()) if line)


def _on_one_line(shown: re.Match[str]) -> str:
    return " ".join(shown[0].split())


def _without_reasoning(text: str) -> str:
    kept, at = [], 0
    while (start := text.find("<think>", at)) >= 0:
        kept.append(text[at:start])
        end = text.find("</think>", start)
        at = end + len("</think>") if end >= 0 else len(text)
    kept.append(text[at:])
    # the opening tag is often part of the prompt: what follows the closing one is the answer
    return " ".join(kept).rpartition("</think>")[2]


def pieces(text: str) -> list[Reading]:
    """The parts of a plain text that may hold its final answer, the most explicit first: never empty.

    A closed \\boxed{} or <answer>, then what is stated ("####", "FINAL ANSWER:", "the answer is"), then the whole
    text if it is one line, else its last line.
    """
    found = [boxed(text), stated(text)]
    *before, last = text.split("\n")
    return [r for r in found if r] + [Reading(last, LAST_LINE if before else WHOLE)]


def boxed(text: str) -> Reading | None:
    """What the last closed \\boxed{} holds, or else the last <answer>."""
    end = len(text)
    for _ in range(5):  # unclosed ones behind it were cut off
        end = text.rfind("\\boxed{", 0, end)
        if end < 0:
            break
        start, depth = end + len("\\boxed{"), 1
        for i in range(start, min(len(text), start + MAX_BOX)):
            depth += {"{": 1, "}": -1}.get(text[i], 0)
            if depth == 0:
                return Reading(text[start:i].strip(), BOXED) if text[start:i].strip() else None
    head, _, _ = text.rpartition("</answer>")
    tagged = head.rpartition("<answer>")[2].strip() if "<answer>" in head else ""
    return Reading(tagged, STATED) if tagged else None


_STATED = re.compile(r"####|(?i:\banswer\b(?: [a-z']{1,12}){0,6}? ?(?:\bis\b|:|=))")


def stated(text: str) -> Reading | None:
    """The rest of the sentence behind the last "answer is", "answer:" or "####"."""
    found = list(_STATED.finditer(text))
    if not found:
        return None
    rest = text[found[-1].end() :].lstrip(" :\n").split("\n")[0]
    rest = re.split(r"(?<=[^\s.])\. (?=[A-Z])", rest)[0].strip()
    return Reading(rest, STATED) if rest else None


def bare(text: str) -> str:
    """A short text without the LaTeX, quotes and dots around it."""
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf|textrm|mbox) ?\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\[()\[\]]|\$", "", text)
    return text.strip(" \n\t\"'“”‘’.,;")


# ------------------------------------------------------------------------------------------------ option letters

_KEYWORD = re.compile(r"(?i:\b(?:answer|option|choice)\b(?: [a-z']{1,12}){0,6}? ?(?P<verb>\bis\b|:|=))")
_FILLER = re.compile(
    r"(?:[ :\"'$\n]|\\\(|\\(?:text|textbf|mathbf|mathrm|boxed)\{"
    r"|(?i:the|option|choice|letter|answer|most likely|likely|probably|clearly|definitely|therefore)\b){0,8}"
)
# "A cat" has an article, "A because it is red" an option; inside a sentence ("is A") it is never an article
_ARTICLE = re.compile(
    r"A(?= [a-z])(?! (?:because|since|as|or|and|but|is (?:the )?(?:correct|right|true|answer|best))\b)"
)
_DENIED = re.compile(r"(?:\bnot|n't|\bnor|\bthan|\binstead of|\bexcept)(?: the)?(?: option| choice| answer)?[ (\[]*$")


def letters_of(n_choices: int, last: str = "J") -> str:
    """The letters of so many options; of options that stand inside the question, A to `last`.

    Ten, because the widest public sets have ten (MMLU-Pro); a letter beyond is no option.
    """
    return ascii_uppercase[: n_choices or ascii_uppercase.index(last) + 1]


def read_letter(text: str, choices: Sequence[str] = (), last: str = "J") -> Reading | None:
    """The option that an answer names, or None: nothing, or more than one option as the answer.

    Args:
        text: a `plain` text.
        choices: the texts of the options, where they are known.
        last: the last letter, where they are not.
    """
    letters = letters_of(len(choices), last)
    box = boxed(text)
    for whole in [*([box] if box else []), Reading(text, WHOLE)]:
        if letter := _whole_letter(whole.value, letters):
            return Reading(letter, {WHOLE: "the letter alone", BOXED: f"the letter {BOXED}"}.get(whole.rule, STATED))
        if letter := _option_with_text(bare(whole.value), choices):
            return Reading(letter, f"the text of the option {whole.rule}".strip())
    said = _stated_letter(text, letters)
    if said is not None or box:  # a box is the answer, even where it holds no option
        return Reading(said, "stated as the answer") if said else None
    marks = list(
        re.finditer(rf"(?:^|(?<=\s))\(?([{letters}{letters.lower()}])(?:(?<=[A-Z])[.:]|\))(?= \S)", text, re.M)
    )
    listed = {m[1].upper() for m in marks}
    if listed and marks[0].start() == 0 and len(listed) == 1:
        return Reading(marks[0][1].upper(), "the letter at the start")
    if len(listed) > 1 and marks[0][1].upper() == letters[0]:  # the options, said again
        for m in marks:
            text = text[: m.start()] + "·" * len(m[0]) + text[m.end() :]
    named = _last_letter(text, letters)
    if named is not None:
        return named if named.value else None
    if letter := _only_option_within(text, choices):
        return Reading(letter, "the only option whose text occurs")
    return None


def _whole_letter(text: str, letters: str) -> str:
    found = re.fullmatch(rf"[(\[{{]? ?([{letters}{letters.lower()}]) ?[)\]}}]?[.:,)]*", bare(text))
    return found[1].upper() if found else ""


def _stated_letter(text: str, letters: str) -> str | None:
    """What is stated last; "" if more than one option is, None if none is."""
    # lower case only in brackets, or at the end of a line: elsewhere it is a word
    spoken = re.compile(
        rf"[(\[{{] ?([{letters}{letters.lower()}]) ?[)\]}}]"
        rf"|([{letters}])(?![A-Za-z0-9]|['’]\w)|(?!a)([{letters.lower()}])(?=[.!]?(?:\n|$))"
    )
    for keyword in reversed(list(_KEYWORD.finditer(text))):
        filler = _FILLER.match(text, keyword.end())
        at = filler.end() if filler else keyword.end()
        found = spoken.match(text, at)
        if not found or (keyword["verb"].lower() != "is" and _ARTICLE.match(text, at)):
            continue
        return "" if _in_pair(text, found.start(), letters) else found[found.lastindex or 0].upper()
    return None


def _last_letter(text: str, letters: str) -> Reading | None:
    """The last letter in brackets, else the last capital that stands alone; "" if it is one of several, None if none.

    "I" stands alone as a pronoun, so that option counts only where a layer above finds it.
    """
    bracketed = rf"(?<![A-Za-z0-9])[(\[]([{letters}{letters.lower()}])[)\]]"
    alone = rf"(?<![A-Za-z0-9'’.-])(?!I)([{letters}])(?![A-Za-z0-9]|['’-]\w)"
    for pattern, rule in ((bracketed, "the last letter in brackets"), (alone, "the last letter standing alone")):
        for found in reversed(list(re.finditer(pattern, text))):
            denied = _DENIED.search(text[max(0, found.start() - 30) : found.start()])
            if denied or (pattern == alone and _ARTICLE.match(text, found.start())):
                continue
            return Reading("" if _in_pair(text, found.start(1), letters) else found[1].upper(), rule)
    return None


def _in_pair(text: str, at: int, letters: str) -> bool:
    """Is the letter at a place one of several that are offered together: "A or B", "A/B", "A, B and C"?"""
    one = rf"\(?[{letters}]\)?(?![A-Za-z0-9])"
    join = rf" (?:or|and|&) (?:option )?| ?/ ?|, ?(?:or |and )?(?={one}(?:,| and| or|\.?$|\.?\n))"
    pair = re.compile(rf"(?<![A-Za-z0-9]){one}(?:(?:{join}){one})+")
    around = text[max(0, at - 40) : at + 40]
    place = at - max(0, at - 40)
    spans = (m for m in pair.finditer(around) if m.start() <= place < m.end())
    return any(len(set(re.findall(rf"(?<![A-Za-z])[{letters}](?![A-Za-z])", m[0]))) > 1 for m in spans)


def _option_with_text(text: str, choices: Sequence[str]) -> str:
    """The letter of the only option with exactly this text."""
    same = [i for i, c in enumerate(choices) if text and bare(c).casefold() == text.casefold()]
    return ascii_uppercase[same[0]] if len(same) == 1 and same[0] < 26 else ""


def _only_option_within(text: str, choices: Sequence[str]) -> str:
    """The letter of the only option whose text occurs as words; longest first, so "light blue" is not also "blue"."""
    text, found = text.casefold(), []
    for i in sorted(range(len(choices)), key=lambda i: -len(choices[i])):
        option = bare(choices[i]).casefold()
        if not option:
            continue
        # no part of a word, nor of a number: 5 does not occur in -5, 0.5 or 5.2
        start = r"(?<![\w.,-])" if option[0].isdigit() else r"(?<!\w)"
        pattern = re.compile(start + re.escape(option) + r"(?!\w|[.,:/]\d)")
        if pattern.search(text):
            found.append(i)
            twins = [k for k, c in enumerate(choices) if k != i and bare(c).casefold() == option]
            found += twins
            text = pattern.sub("\x00", text)
    return ascii_uppercase[found[0]] if len(found) == 1 and found[0] < 26 else ""


# ------------------------------------------------------------------------------------------------ yes or no


def read_yes_no(text: str) -> Reading | None:
    """Yes or no: the first word, else what is stated, else the only one of the two that occurs.

    "Yes and no" is neither.
    """
    box, said = boxed(text), stated(text)
    for piece in ([box] if box else []) + [Reading(text, "the first word")] + ([said] if said else []):
        found = re.match(r"\W*(yes|no)\b(?!\W+(?:and|or|/)?\W*(?:yes|no)\b)", bare(piece.value), re.I)
        if found:
            return Reading(found[1].lower(), piece.rule)
    if re.match(r"\W*(?:yes|no)\b", text, re.I):
        return None
    words = set(re.findall(r"\b(?:yes|no)\b", text.casefold()))
    return Reading(words.pop(), "the only one of yes and no that occurs") if len(words) == 1 else None
