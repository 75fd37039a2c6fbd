"""ScienceQA, the questions with a picture."""

from typing import Any

from core.benchmarks.prompts import LETTER, letter_of, lettered
from core.benchmarks.registry import Harness, Item, benchmark


@benchmark(
    "scienceqa",
    title="ScienceQA (image)",
    domain="general",
    dataset="lmms-lab-encoder/ScienceQA",
    aliases=("lmms-lab/ScienceQA",),
    config="ScienceQA-IMG",
    calibration="train",
    files="{config}/{split}-*.parquet",
    revision="69dd4d6b67373d38f96a5badd5d24d0eb5bcdc50",
    columns={"image": "image", "question": "text", "choices": "texts", "answer": "integer", "hint": "text"},
    metric="multiple_choice",
    max_new_tokens=16,
    licence="CC BY-NC-SA 4.0",
    rows=2017,
    harness=Harness("scienceqa_img", "exact_match", vlmevalkit="ScienceQA_TEST"),
)
def scienceqa(row: dict[str, Any]) -> Item | str:
    """School science questions with a picture and two to five choices; `answer` is an index."""
    choices = tuple(row["choices"])
    context = f"Context: {row['hint']}\n" if row["hint"] else ""
    return Item(
        question=f"{context}{row['question']}\n{lettered(choices)}{LETTER}",
        answer=letter_of(row["answer"], choices),
        task=row.get("subject") or "",
        image=row["image"],
        choices=choices,
    )
