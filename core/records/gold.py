"""What counts as a right answer to a question. No torch."""

from dataclasses import dataclass


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
