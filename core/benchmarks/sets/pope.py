"""POPE: is a thing in the picture, or only expected there?"""

from typing import Any

from core.benchmarks.prompts import PHRASE
from core.benchmarks.registry import Harness, Item, benchmark


@benchmark(
    "pope",
    title="POPE",
    domain="general",
    dataset="lmms-lab-encoder/POPE",
    aliases=("lmms-lab/POPE",),
    revision="4db1276663dfa5eb8ad16a52d24c31a09e470896",
    columns={"image": "image", "question": "text", "answer": "text", "question_id": "text|integer", "category": "text"},
    metric="yes_no",
    max_new_tokens=128,
    licence="unknown",
    rows=9000,
    harness=Harness("pope", "pope_accuracy", vlmevalkit="POPE"),
)
def pope(row: dict[str, Any]) -> Item | str:
    """Is there a chair in the image? The task is how the absent things were chosen: adversarial, popular or random."""
    return Item(row["question"].strip() + PHRASE, row["answer"].strip().lower(), row["category"], row["image"])
