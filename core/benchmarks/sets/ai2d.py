"""AI2D: questions about diagrams of school science."""

from typing import Any

from core.benchmarks.prompts import LETTER, letter_of, lettered
from core.benchmarks.registry import Harness, Item, benchmark


@benchmark(
    "ai2d",
    title="AI2D",
    domain="general",
    dataset="lmms-lab-encoder/ai2d",
    aliases=("lmms-lab/ai2d",),
    revision="c83a9b9692933aff8349157c88a413df9d02c4e5",
    columns={"image": "image", "question": "text", "options": "texts", "answer": "text"},
    metric="multiple_choice",
    max_new_tokens=16,
    licence="unknown",
    rows=3088,
    harness=Harness("ai2d", "exact_match", vlmevalkit="AI2D_TEST"),
)
def ai2d(row: dict[str, Any]) -> Item | str:
    """Diagrams with choices; `answer` is a text that holds an index."""
    choices = tuple(row["options"])
    question = f"{row['question']}\n{lettered(choices)}{LETTER}"
    return Item(question, letter_of(int(row["answer"]), choices), "", row["image"], choices)
