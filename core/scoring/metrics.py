"""Metrics by name, and those on letters and words: how a text is judged against a gold answer.

They describe themselves, as criteria do. A metric first reads what the answer says (`reading_answers`) and then
compares it. The rule of a score names both, so that a reader sees a strict match apart from a relaxed one, and a change
of format apart from a change of answers. Those on numbers are in `math_metrics`; `scoring` knows all of them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from string import ascii_uppercase

from core.records.gold import Gold
from core.scoring.readings import LAST_LINE, Reading, bare, pieces, plain, read_letter, read_yes_no
from core.scoring.vqa import soft_accuracy

NUMBER = re.compile(r"\d+(?:[.:]\d+)*")  # 7, 3.5, 10:35


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


Judge = Callable[[str, Gold], Score]


@dataclass(frozen=True)
class Metric:
    """How answers are judged.

    Attributes:
        whole: the text is judged as it is, and counts only if it ended by itself; else what it says is read first.
    """

    name: str
    label: str
    judge: Judge
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


def metric(name: str, label: str, whole: bool = False) -> Callable[[Judge], Judge]:
    def register(judge: Judge) -> Judge:
        METRICS[name] = Metric(name, label, judge, whole)
        return judge

    return register


def right(rule: str, parsed: str, how: str = "") -> Score:
    return Score(True, f"{rule} ({how})" if how else rule, "correct", 1.0, parsed[:200])


def wrong(rule: str, parsed: str, how: str = "") -> Score:
    return Score(False, f"{rule} ({how})" if how else rule, "wrong", 0.0, parsed[:200])


def unparsable(rule: str) -> Score:
    return Score(False, rule, "unparsable")


@metric("exact_match", "Exact match", whole=True)
def exact_match(answer: str, gold: Gold) -> Score:
    """The same text, but for spaces around it: case, wording and the steps of a calculation count."""
    given, wanted = answer.strip(), gold.answer.strip()
    if given == wanted:
        rule = "the same text" if answer == gold.answer else "the same text after trimming spaces"
        return Score(True, rule, "correct", 1.0)
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
    wanted = gold_letter(gold) or gold.answer.strip().upper()
    last = max("J", wanted) if len(wanted) == 1 and wanted in ascii_uppercase else "J"
    return letter_score(read_letter(text, gold.choices, last), wanted)


def letter_score(read: Reading | None, wanted: str) -> Score:
    if read is None:
        return unparsable("no option, or more than one, could be read")
    return right(read.rule, read.value) if read.value == wanted else wrong("another option", read.value, read.rule)


def gold_letter(gold: Gold) -> str:
    """The letter of the gold option, which may be given by its text; "" if the question has no options."""
    answer = gold.answer.strip()
    if re.fullmatch("[A-Z]", answer) and (not gold.choices or answer <= ascii_uppercase[len(gold.choices[:26]) - 1]):
        return answer
    same = [i for i, choice in enumerate(gold.choices[:26]) if choice.strip() == answer]
    return ascii_uppercase[same[0]] if same else ""


@metric("choice_or_text", "Multiple choice, or a short text")
def choice_or_text(text: str, gold: Gold) -> Score:
    """The letter of the right option where there are options; else the same text, as in Short answer."""
    return multiple_choice(text, gold) if gold_letter(gold) else short_answer(text, gold)


@metric("yes_no", "Yes or no")
def yes_no(text: str, gold: Gold) -> Score:
    """Yes or no: the first word, else what is stated, else the only one of the two that occurs."""
    read = read_yes_no(text)
    if read is None:
        return unparsable("neither yes nor no could be read")
    same = read.value == gold.answer.strip(" .").casefold()
    return right(read.rule, read.value) if same else wrong("the other one", read.value, read.rule)


# ------------------------------------------------------------------------------------------------ texts


@metric("short_answer", "Short answer")
def short_answer(text: str, gold: Gold) -> Score:
    """The same text but for case, punctuation and a final dot; as a whole, or as it is stated or boxed."""
    parts = pieces(text)
    whole = Reading(" ".join(text.split()), "")
    for piece in [whole, *(p for p in parts if p.rule != LAST_LINE)]:
        for wanted in (gold.answer, *gold.accepted):
            if rule := same_text(piece.value, wanted):
                return right(rule, piece.value, piece.rule)
    return wrong("another text", parts[0].value)


def same_text(given: str, gold: str) -> str:
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
