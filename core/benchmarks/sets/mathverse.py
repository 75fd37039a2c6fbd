"""MathVerse: the same problems with more and more of their text moved into the picture."""

import re
from typing import Any

from core.benchmarks.prompts import choices_in
from core.benchmarks.registry import Harness, Item, benchmark


@benchmark(
    "mathverse",
    title="MathVerse (testmini)",
    domain="math",
    dataset="CaraJ/MathVerse-lmmseval",
    config="testmini",
    split="testmini",
    files="{split}.parquet",
    revision="04f6aea2ffe67122955689df7cd482586d7e8e99",
    columns={
        "image": "image",
        "query_wo": "text",
        "question": "text",
        "answer": "text",
        "question_type": "text",
        "problem_version": "text",
        "problem_index": "text|integer",
    },
    metric="choice_or_math",
    max_new_tokens=1024,
    licence="MIT",
    rows=3940,
    harness=Harness("mathverse_testmini", "gpt_eval_score", vlmevalkit="MathVerse_MINI"),
    note="Judged by rules; the published protocol lets a language model judge every row.",
)
def mathverse(row: dict[str, Any]) -> Item | str:
    """Geometry and functions; the task is how much of the problem stands in the picture. Some rows are text only."""
    choices: tuple[str, ...] = ()
    answer = row["answer"].strip()
    if row["question_type"] == "multi-choice" and re.fullmatch("[A-Z]", answer):
        choices = choices_in(re.sub(r"\s*\b([A-F]):\s*", r"\n\1: ", row["question"].partition("Choices:")[2]))
    group = f"problem {row['problem_index']}"  # the versions of one problem belong together
    return Item(row["query_wo"], answer, row["problem_version"], row["image"], choices, group=group)
