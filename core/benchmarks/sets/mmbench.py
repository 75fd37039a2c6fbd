"""MMBench, English development set: abilities from recognition to reasoning, as choices."""

from typing import Any

from core.benchmarks.prompts import LETTER, lettered
from core.benchmarks.registry import Harness, Item, benchmark

CIRCULAR = 1_000_000  # an index from here on repeats a question with its options rotated


@benchmark(
    "mmbench",
    title="MMBench (en, dev)",
    domain="general",
    dataset="lmms-lab-encoder/MMBench",
    aliases=("lmms-lab/MMBench",),
    config="en",
    split="dev",
    files="{config}/{split}-*.parquet",
    revision="56ba1af8954932c4804bd3f522e05ed96e63b654",
    columns={
        "image": "image",
        "question": "text",
        "hint": "text",
        "A": "text",
        "B": "text",
        "C": "text",
        "D": "text",
        "answer": "text",
        "index": "text|integer",
        "category": "text",
    },
    metric="multiple_choice",
    max_new_tokens=64,
    licence="unknown",
    rows=4329,
    harness=Harness("mmbench_en_dev_static", "gpt_eval_score", percent=True, vlmevalkit="MMBench_DEV_EN"),
    note=(
        "Each question once (vanilla accuracy); published scores also ask it with its options rotated and count it "
        "only if all are right, so they are lower."
    ),
)
def mmbench(row: dict[str, Any]) -> Item | str:
    """Two to four choices about a picture; rows that repeat a question with its options rotated are left out."""
    if int(row["index"]) >= CIRCULAR:
        return "that repeat a question with its options rotated"
    choices: list[str] = []
    for letter in "ABCD":
        if _missing(row[letter]):
            break
        choices.append(row[letter])
    hint = "" if _missing(row["hint"]) else f"{row['hint']} "
    question = f"{hint}{row['question']} There are several options:\n{lettered(choices)}\n{LETTER}"
    return Item(question, row["answer"].strip(), row["category"], row["image"], tuple(choices))


def _missing(text: str | None) -> bool:
    return not text or text == "nan"
