"""What counts as a right answer to a question. No torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gold:
    """What counts as a right answer.

    Attributes:
        answer: the letter of a choice, a number, LaTeX, yes or no, or a text.
        choices: of multiple-choice questions: the options' texts in the order of their letters.
        accepted: every annotator's answer (TextVQA has ten), or further texts that count as right.
        precision: decimals to which a number is rounded before it is compared (MathVista); None: not rounded.
    """

    answer: str
    choices: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    precision: int | None = None
