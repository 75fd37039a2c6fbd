"""MathVista: mathematical reasoning about pictures of many kinds."""

import math
from typing import Any

from core.benchmarks.prompts import letter_of, lettered
from core.benchmarks.registry import Harness, Item, benchmark

CHOICE = "Answer with the option's letter from the given choices directly."
HINTS = {  # by answer type and decimals, as lmms-eval's format prompt asks
    ("integer", 0): "Answer the question using a single integer number.",
    ("float", 1): "Answer the question using a single floating-point number with one decimal place.",
    ("float", 2): "Answer the question using a single floating-point number with two decimal places.",
    ("list", 0): "Answer the question using a Python list.",
}


@benchmark(
    "mathvista",
    title="MathVista (testmini)",
    domain="math",
    dataset="AI4Math/MathVista",
    split="testmini",
    revision="2b6ad69445fbb5695c9b165475e8decdbeb97747",
    columns={
        "decoded_image": "image",
        "question": "text",
        "choices": "texts",
        "answer": "text",
        "unit": "text",
        "precision": "number",
        "question_type": "text",
        "answer_type": "text",
        "metadata": "struct",
    },
    metric="choice_or_math",
    max_new_tokens=1024,
    licence="CC BY-SA 4.0",
    rows=1000,
    harness=Harness("mathvista_testmini_format", "llm_as_judge_eval", percent=True, vlmevalkit="MathVista_MINI"),
    note="Judged by rules; the published protocol lets a language model read the answers first.",
)
def mathvista(row: dict[str, Any]) -> Item | str:
    """Choices, integers, decimals and lists about pictures. `decoded_image` is the picture, `image` only its name."""
    choices = tuple(row["choices"] or ())
    answer = (row["answer"] or "").strip()
    if not answer:
        return "without a published answer"
    decimals = row["precision"]
    precision = None if decimals is None or math.isnan(decimals) else int(decimals)
    if row["question_type"] == "multi_choice":
        if answer not in choices:
            return "whose answer is none of the choices"
        hint, answer = CHOICE, letter_of(choices.index(answer), choices)
    else:
        asked = precision or 0 if row["answer_type"] == "float" else 0
        hint, choices = HINTS.get((row["answer_type"], asked), ""), ()
    unit = f" (Unit: {row['unit']})" if row["unit"] else ""
    parts = [row["question"] + unit, lettered(choices), hint]
    question = "\n".join(part for part in parts if part).strip()
    task = str(row["metadata"].get("task") or "")
    return Item(question, answer, task, row["decoded_image"], choices, precision=precision)
