"""Pieces of prompts that several benchmarks share: options by letter, and options that stand in a question's text.

The instructions are those that lmms-eval gives by default, so that its results and ours answer the same question.
"""

import re
from collections.abc import Sequence
from string import ascii_uppercase

LETTER = "\nAnswer with the option's letter from the given choices directly."
PHRASE = "\nAnswer the question using a single word or phrase."


def lettered(choices: Sequence[str]) -> str:
    """Options under each other: "A. red", "B. blue"."""
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False))


def letter_of(index: int, choices: Sequence[str]) -> str:
    """The letter of a choice by its index.

    Raises:
        IndexError: there is no such choice.
    """
    if not 0 <= index < min(len(choices), len(ascii_uppercase)):
        raise IndexError(f"answer {index} of {len(choices)} choices")
    return ascii_uppercase[index]


def choices_in(text: str) -> tuple[str, ...]:
    """The options in a question's own text, each on a line as "A. red" or "(A) red".

    None unless there are two or more that count up from A.
    """
    found = re.findall(r"^\s*(?:([A-Z])[.):]|\(([A-Z])\))\s+(\S.*?)\s*$", text, re.MULTILINE)
    letters = "".join(a or b for a, b, _ in found)
    return tuple(option for *_, option in found) if len(found) > 1 and ascii_uppercase.startswith(letters) else ()
