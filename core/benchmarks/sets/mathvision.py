"""MathVision: competition problems with pictures."""

from typing import Any

from core.benchmarks.prompts import lettered
from core.benchmarks.registry import Harness, Item, benchmark

INSTRUCTION = 'Please solve the problem step by step and put your answer in one "\\boxed{}".'
CHOICE = "\nAnswer the question with the option's letter from the given choices directly."


@benchmark(
    "mathvision",
    title="MathVision (MATH-V)",
    domain="math",
    dataset="MathLLMs/MathVision",
    revision="14b5e86a95856c4231a056b82f658584eae2b309",
    columns={
        "decoded_image": "image",
        "question": "text",
        "options": "texts",
        "answer": "text",
        "level": "integer|text",
        "subject": "text",
    },
    metric="choice_or_math",
    max_new_tokens=1024,
    licence="MIT",
    rows=3040,
    harness=Harness("mathvision_test", "mathvision_standard_eval", percent=True, vlmevalkit="MathVision"),
    note="Answers end after 1,024 tokens; lmms-eval lets them have 16,384.",
)
def mathvision(row: dict[str, Any]) -> Item | str:
    """Competition problems, with options or an open answer in LaTeX. `decoded_image` is the picture."""
    choices = tuple(row["options"] or ())
    question = INSTRUCTION + row["question"]
    if choices:
        question += f"\nChoices: {lettered(choices)}{CHOICE}"
    return Item(question, row["answer"].strip(), row["subject"], row["decoded_image"], choices)
