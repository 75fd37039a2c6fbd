"""MMMU, validation set: college questions of thirty subjects."""

import ast
import re
from typing import Any

from core.benchmarks.prompts import LETTER, PHRASE, lettered
from core.benchmarks.registry import Harness, Item, benchmark

IMAGES = tuple(f"image_{i}" for i in range(1, 8))


@benchmark(
    "mmmu",
    title="MMMU (validation)",
    domain="general",
    dataset="lmms-lab-encoder/MMMU",
    aliases=("lmms-lab/MMMU",),
    split="validation",
    calibration="dev",
    revision="364f2e2eb107b36e07ff4c5a15f5947a759cef47",
    columns={
        "id": "text",
        "question": "text",
        "options": "text",
        "answer": "text",
        "question_type": "text",
        **dict.fromkeys(IMAGES, "image"),
    },
    metric="choice_or_math",
    max_new_tokens=16,
    licence="Apache-2.0",
    rows=900,
    harness=Harness("mmmu_val", "mmmu_acc", vlmevalkit="MMMU_DEV_VAL"),
    note="Of its subjects (the tasks), Math is mathematics; the set as a whole is general.",
)
def mmmu(row: dict[str, Any]) -> Item | str:
    """College questions with one picture; those with several are left out. `options` is a list written as text."""
    options = ast.literal_eval(row["options"] or "[]")
    choices = tuple(str(option) for option in options) if row["question_type"] == "multiple-choice" else ()
    question, instruction = row["question"], PHRASE
    if choices:
        question, instruction = f"{question}\n{lettered(choices)}", LETTER
    named = sorted({f"image_{number}" for number in re.findall(r"<image (\d+)>", question)} & set(IMAGES))
    if len(named) != 1 or row[named[0]] is None:
        return "with several pictures" if len(named) > 1 else "without a picture"
    answer, accepted = row["answer"].strip(), list[str]()
    if answer.startswith("[") and not choices:  # open questions may have several right answers, listed as text
        answer, *accepted = (str(a) for a in ast.literal_eval(answer))
    subject = re.sub(r"\A[a-z]+_|_\d+\Z", "", row["id"])  # validation_Art_Theory_3
    return Item(f"{question}\n{instruction}", answer, subject, row[named[0]], choices, tuple(accepted))
