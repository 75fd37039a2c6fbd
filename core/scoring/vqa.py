"""VQA accuracy: an answer against those of several annotators, as the VQA and TextVQA evaluations define it."""

import re
from collections.abc import Sequence
from fractions import Fraction

ENOUGH = 3  # annotators that must agree for full marks

_ARTICLES = {"a", "an", "the"}
_SMALL = "zero one two three four five six seven eight nine ten"
_DIGITS = {"none": "0"} | {word: str(i) for i, word in enumerate(_SMALL.split())}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
    he'd've he's how'd how'll how's i'd've i'm i've isn't it'd it'd've it'll let's ma'am mightn't mightn't've
    might've mustn't must've needn't not've o'clock oughtn't shan't she'd've should've shouldn't shouldn't've
    somebody'd somebody'll somebody's someone'd someone'll someone's something'd something'll that's there'd
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're
    what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't
    would've wouldn't wouldn't've y'all you'd you'd've you'll you're you've
"""
_WITH_APOSTROPHES = {
    form: word  # all apostrophes, the first or the last may be missing
    for word in _CONTRACTIONS.split()
    for form in (word.replace("'", ""), word.replace("'", "", 1), "".join(word.rsplit("'", 1)))
}


def normalise(text: str) -> str:
    """A text as the VQA evaluation compares it: lower case, no articles, no punctuation, digits for small numbers.

    Punctuation beside a space goes, other punctuation becomes a space; a comma within a number makes all of it go.
    """
    text = " ".join(text.casefold().split())
    plain = text
    for mark in _PUNCTUATION:
        goes = f"{mark} " in text or f" {mark}" in text or re.search(r"\d,\d", text)
        plain = plain.replace(mark, "" if goes else " ")
    plain = re.sub(r"\.(?!\d)", "", plain)
    words = (_DIGITS.get(word, word) for word in plain.split())
    return " ".join(_WITH_APOSTROPHES.get(word, word) for word in words if word not in _ARTICLES)


def soft_accuracy(answer: str, annotators: Sequence[str]) -> tuple[Fraction, int]:
    """The accuracy in [0, 1] and how many annotators gave this answer.

    Each annotator in turn is left out, and the answer gets a third for each other one who gave it, at most 1; the
    accuracy is the mean (Antol et al. 2015, arXiv:1505.00468). Alone, an annotator must be matched.
    """
    given = _compared(answer)
    matches = [_compared(a) == given for a in annotators]
    n, total = sum(matches), len(matches)
    if total < 2:
        return Fraction(n), n
    parts = (min(Fraction(1), Fraction(n - matched, ENOUGH)) for matched in matches)
    return sum(parts, Fraction(0)) / total, n


def _compared(text: str) -> str:
    # of "A" or "?" nothing is left: such texts are compared as they are
    return normalise(text) or text.strip().casefold()
