"""TextVQA: reading text in photos."""

from collections import Counter
from typing import Any

from core.benchmarks.prompts import PHRASE
from core.benchmarks.registry import Harness, Item, benchmark


@benchmark(
    "textvqa",
    title="TextVQA (validation)",
    domain="general",
    dataset="lmms-lab-encoder/textvqa",
    aliases=("lmms-lab/textvqa",),
    split="validation",
    calibration="train",
    columns={"image": "image", "question": "text", "answers": "texts", "question_id": "integer"},
    metric="vqa_accuracy",
    max_new_tokens=16,
    licence="CC BY 4.0",
    rows=5000,
    harness=Harness("textvqa_val", "exact_match", vlmevalkit="TextVQA_VAL"),
    note="Graded by how many of ten people gave the answer; the gold text is what most of them gave.",
)
def textvqa(row: dict[str, Any]) -> Item | str:
    """Text in photos, answered by ten people; the commonest answer is the gold, the first of several."""
    answers = tuple(row["answers"] or ())
    given = Counter(a for a in answers if a.strip())
    if not given:
        return "without a published answer"
    gold = given.most_common(1)[0][0]
    return Item(row["question"].capitalize() + PHRASE, gold, "", row["image"], accepted=answers)
