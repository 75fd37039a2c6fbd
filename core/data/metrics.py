"""Metrics by name: how a text is judged against a gold answer. They describe themselves, as criteria do.

A metric first reads what the answer says (`reading_answers`, `reading_numbers`) and then compares it. The rule of a
score names both, so that a reader sees a strict match apart from a relaxed one, and a change of format apart from a
change of answers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from string import ascii_uppercase

from core.data.math_answers import latex_in, same_value
from core.data.reading_answers import (
    BOXED,
    LAST_LINE,
    STATED,
    Reading,
    bare,
    pieces,
    plain,
    read_letter,
    read_yes_no,
)
from core.data.reading_numbers import (
    Number,
    joined,
    near_number,
    numbers_in,
    same_number,
    whole_number,
)
from core.data.vqa_answers import soft_accuracy

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


@dataclass(frozen=True)
class Metric:
    """How answers are judged.

    Attributes:
        whole: the text is judged as it is, and counts only if it ended by itself; else what it says is read first.
    """

    name: str
    label: str
    judge: Callable[[str, Gold], Score]
    whole: bool = False

    @property
    def description(self) -> str:
        return (self.judge.__doc__ or "").split("\n")[0].strip()

    def score(self, answer: str, gold: Gold) -> Score:
        if self.whole:
            return self.judge(answer, gold)
        if not answer.strip():
            return Score(False, "nothing was answered", "empty")
        text = plain(answer)
        return self.judge(text, gold) if text else Score(False, "reasoning without an answer", "unparsable")


METRICS: dict[str, Metric] = {}


def metric(
    name: str, label: str, whole: bool = False
) -> Callable[[Callable[[str, Gold], Score]], Callable[[str, Gold], Score]]:
    def register(judge: Callable[[str, Gold], Score]) -> Callable[[str, Gold], Score]:
        METRICS[name] = Metric(name, label, judge, whole)
        return judge

    return register


def _right(rule: str, parsed: str, how: str = "") -> Score:
    return Score(True, f"{rule} ({how})" if how else rule, "correct", 1.0, parsed[:200])


def _wrong(rule: str, parsed: str, how: str = "") -> Score:
    return Score(False, f"{rule} ({how})" if how else rule, "wrong", 0.0, parsed[:200])


def _unparsable(rule: str) -> Score:
    return Score(False, rule, "unparsable")


@metric("exact_match", "Exact match", whole=True)
def exact_match(answer: str, gold: Gold) -> Score:
    """The same text, but for spaces around it: case, wording and the steps of a calculation count."""
    given, wanted = answer.strip(), gold.answer.strip()
    if given == wanted:
        rule = "the same text" if answer == gold.answer else "the same text after trimming spaces"
        return Score(True, rule, "correct", 1.0, given)
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


# ------------------------------------------------------------------------------------------------ options, yes or no


@metric("multiple_choice", "Multiple choice")
def multiple_choice(text: str, gold: Gold) -> Score:
    """The letter of the right option, read from the answer by layers; never guessed."""
    wanted = _gold_letter(gold) or gold.answer.strip().upper()
    last = max("J", wanted) if len(wanted) == 1 and wanted in ascii_uppercase else "J"
    return _letter_score(read_letter(text, gold.choices, last), wanted)


def _letter_score(read: Reading | None, wanted: str) -> Score:
    if read is None:
        return _unparsable("no option, or more than one, could be read")
    return _right(read.rule, read.value) if read.value == wanted else _wrong("another option", read.value, read.rule)


def _gold_letter(gold: Gold) -> str:
    """The letter of the gold option, which may be given by its text; "" if the question has no options."""
    answer = gold.answer.strip()
    if re.fullmatch("[A-Z]", answer) and (not gold.choices or answer <= ascii_uppercase[len(gold.choices[:26]) - 1]):
        return answer
    same = [i for i, choice in enumerate(gold.choices[:26]) if choice.strip() == answer]
    return ascii_uppercase[same[0]] if same else ""


@metric("choice_or_text", "Multiple choice, or a short text")
def choice_or_text(text: str, gold: Gold) -> Score:
    """The letter of the right option where there are options; else the same text, as in Short answer."""
    return multiple_choice(text, gold) if _gold_letter(gold) else short_answer(text, gold)


@metric("choice_or_math", "Multiple choice, or mathematics")
def choice_or_math(text: str, gold: Gold) -> Score:
    """The letter of the right option or its value where there are options; else as in Mathematics."""
    wanted = _gold_letter(gold)
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
            return _letter_score(Reading(ascii_uppercase[equal[0]], how), wanted)
    return score


@metric("yes_no", "Yes or no")
def yes_no(text: str, gold: Gold) -> Score:
    """Yes or no: the first word, else what is stated, else the only one of the two that occurs."""
    read = read_yes_no(text)
    if read is None:
        return _unparsable("neither yes nor no could be read")
    same = read.value == gold.answer.strip(" .").casefold()
    return _right(read.rule, read.value) if same else _wrong("the other one", read.value, read.rule)


# ------------------------------------------------------------------------------------------------ texts


@metric("short_answer", "Short answer")
def short_answer(text: str, gold: Gold) -> Score:
    """The same text but for case, punctuation and a final dot; as a whole, or as it is stated or boxed."""
    parts = pieces(text)
    whole = Reading(" ".join(text.split()), "")
    for piece in [whole, *(p for p in parts if p.rule != LAST_LINE)]:
        for wanted in (gold.answer, *gold.accepted):
            if rule := _same_text(piece.value, wanted):
                return _right(rule, piece.value, piece.rule)
    return _wrong("another text", parts[0].value)


def _same_text(given: str, gold: str) -> str:
    if given.strip() == gold.strip():
        return "the same text"
    wanted = _words(gold)
    return "the same text but for case and punctuation" if wanted and _words(given) == wanted else ""


def _words(text: str) -> str:
    """A text in lower case without punctuation; signs, decimal points and what stands between digits stay."""
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", bare(text).casefold())
    text = re.sub(r"(?<!\d)[.:/,](?!\d)|[.:/,](?!\d)|(?<=[^\W\d])[-_]|[;!?\"'’“”()\[\]{}_#*\\$]", " ", text)
    return " ".join(text.split())


@metric("vqa_accuracy", "VQA accuracy")
def vqa_accuracy(text: str, gold: Gold) -> Score:
    """The share of annotators who gave this answer, full from four of ten on; articles, case, punctuation aside."""
    annotators = gold.accepted or (gold.answer,)
    value, n = soft_accuracy(text, annotators)
    rule = f"given by {n} of {len(annotators)} annotators" if n else "given by no annotator"
    right = value >= 0.5
    return Score(right, rule, "correct" if right else "wrong", float(value), text[:200])


# ------------------------------------------------------------------------------------------------ numbers, mathematics


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
        return _unparsable("no number could be read")
    rule = same_number(found[0], wanted, gold.precision)
    return _right(rule, found[0].text, found[1]) if rule else _wrong("another number", found[0].text, found[1])


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
        return _unparsable("no number could be read")
    given, how = found
    if rule := same_number(given, wanted) or near_number(given, wanted):
        return _right(rule, given.text, how)
    return _wrong("more than 5 % off the gold number" if wanted.value else "another number", given.text, how)


def _read_number(text: str) -> tuple[Number, str] | None:
    """The number that is boxed, stated, the whole answer, or the last of the last line that has one; and how it was."""
    lines = (Reading(line, LAST_LINE) for line in reversed(text.split("\n")))
    return next((found for piece in chain(pieces(text), lines) if (found := _number_of(piece))), None)


def _number_of(piece: Reading) -> tuple[Number, str] | None:
    """The number in a part of an answer: all of a box; the first that is stated; the last of a line."""
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
    return _unparsable("no formula could be read") if latex_in(gold.answer) else short_answer(text, gold)


def _compare(piece: Reading, gold: Gold) -> Score | None:
    """The score of a part of an answer; None if nothing in it can be compared with the gold answer."""
    wanted = whole_number(gold.answer)
    if not wanted and not latex_in(gold.answer):
        rule = _same_text(piece.value, gold.answer)
        return _right(rule, piece.value, piece.rule) if rule else None
    if _compact(piece.value) == _compact(gold.answer):
        return _right("the same text", piece.value, piece.rule)
    if wanted and (found := _number_of(piece)):
        rule = same_number(found[0], wanted, gold.precision)
        return _right(rule, found[0].text, found[1]) if rule else _wrong("another number", found[0].text, found[1])
    shown = re.findall(r"\$[^$]{1,300}\$|\\\(.{1,300}?\\\)|\\\[.{1,300}?\\\]", piece.value)[-1:]
    for part in [piece.value, *shown, piece.value.rpartition("=")[2]]:
        formula = part.split("\\approx")[0]
        same = same_value(gold.answer, formula, gold.precision)
        if same is not None:
            return (
                _right("the same value", formula, piece.rule) if same else _wrong("another value", formula, piece.rule)
            )
    return None


def _compact(text: str) -> str:
    return "".join(bare(text).split())  # brackets stay: (1, 2) is not [1, 2]


def _first_right(text: str, gold: Gold, judge: Callable[[str, Gold], Score]) -> Score:
    """The score by the first gold answer that is met, else by the first of them."""
    scores = [judge(text, replace(gold, answer=answer, accepted=())) for answer in (gold.answer, *gold.accepted)]
    return next((score for score in scores if score.correct), scores[0])
