"""RealWorldQA: photos taken from cars and elsewhere, with short questions."""

from typing import Any

from core.benchmarks.prompts import choices_in
from core.benchmarks.registry import Harness, Item, benchmark


@benchmark(
    "realworldqa",
    title="RealWorldQA",
    domain="general",
    dataset="lmms-lab-encoder/RealWorldQA",
    aliases=("lmms-lab/RealWorldQA",),
    revision="907c4e5228fd1703c710ed937601cb5f89ab8d5c",
    columns={"image": "image", "question": "text", "answer": "text"},
    metric="choice_or_text",
    max_new_tokens=16,
    licence="CC BY-ND 4.0",
    rows=765,
    harness=Harness("realworldqa", "exact_match", vlmevalkit="RealWorldQA"),
)
def realworldqa(row: dict[str, Any]) -> Item | str:
    """Photos of the real world; options and instruction stand in the question, the gold is a letter, word or number."""
    question, answer = row["question"].strip(), row["answer"].strip()
    # choices would make a metric look for letters, so they are given only where the gold is one
    choices = choices_in(question) if len(answer) == 1 and answer.isalpha() else ()
    return Item(question, answer, "multiple choice" if choices else "open", row["image"], choices)
