"""NuminaMath-1.5: competition problems as text, the math side of the paper's calibration."""

from typing import Any

from core.benchmarks.registry import Item, benchmark


@benchmark(
    "numinamath",
    title="NuminaMath-1.5",
    domain="math",
    dataset="AI-MO/NuminaMath-1.5",
    aliases=("project-numina/NuminaMath-1.5",),
    split="train",
    columns={"problem": "text", "answer": "text", "problem_type": "text", "source": "text"},
    metric="math",
    max_new_tokens=1024,
    licence="Apache-2.0",
    rows=896215,
    streaming=True,
    note="Text only: no picture, so no image token takes part in a similarity or a score.",
)
def numinamath(row: dict[str, Any]) -> Item | str:
    """Competition problems with a final answer; text only. Proofs and problems without an answer are left out."""
    answer = (row["answer"] or "").strip()
    if not answer or answer.casefold() in ("proof", "notfound"):
        return "without a final answer (proofs)"
    question = f"{row['problem'].strip()}\nPut your final answer in one \\boxed{{}}."
    return Item(question, answer, row["problem_type"] or "")
