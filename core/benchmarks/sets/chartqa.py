"""ChartQA: questions about charts, half written by people, half generated."""

from typing import Any

from core.benchmarks.registry import Harness, Item, benchmark


@benchmark(
    "chartqa",
    title="ChartQA",
    domain="general",
    dataset="lmms-lab-encoder/ChartQA",
    aliases=("lmms-lab/ChartQA",),
    revision="9e63b7df1592a1c2158e735cc1725454aef0d6d9",
    columns={"image": "image", "question": "text", "answer": "text", "type": "text"},
    metric="relaxed_accuracy",
    max_new_tokens=16,
    licence="GPL-3.0",
    rows=2500,
    harness=Harness("chartqa", "relaxed_overall", vlmevalkit="ChartQA_TEST"),
    note="Numbers within 5 % count as right, years too.",
)
def chartqa(row: dict[str, Any]) -> Item | str:
    """Questions about charts: a number within 5 %, or the same text. `type` tells people's from generated ones."""
    question = f"{row['question']}\nAnswer the question with a single word."
    return Item(question, row["answer"], row["type"], row["image"])
