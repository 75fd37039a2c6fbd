"""V* Bench: small details in large pictures."""

import re
from typing import Any

from core.benchmarks.prompts import LETTER, lettered
from core.benchmarks.registry import Harness, Item, benchmark

OPTION = re.compile(r"\(([A-D])\)\s*(.*?)\s*(?=\([A-D]\)|\Z)", re.DOTALL)
INSTRUCTION = re.compile(r"\s*\n\s*Answer with the option's letter.*\Z", re.DOTALL)


@benchmark(
    "vstar",
    title="V* Bench",
    domain="general",
    dataset="lmms-lab-encoder/vstar-bench",
    aliases=("lmms-lab/vstar-bench",),
    columns={"image": "image", "text": "text", "label": "text", "category": "text", "question_id": "text|integer"},
    metric="multiple_choice",
    max_new_tokens=16,
    licence="unknown",
    rows=191,
    harness=Harness("vstar_bench", "vstar_overall_acc", percent=True, vlmevalkit="VStarBench"),
)
def vstar(row: dict[str, Any]) -> Item | str:
    """Attributes and positions of small things in large pictures; options and instruction stand in the text.

    They are told apart from the question, so that the instruction is given once (lmms-eval adds its own to it).
    """
    question, *rest = INSTRUCTION.sub("", row["text"]).partition("(A)")
    found = OPTION.findall("".join(rest))
    if "".join(letter for letter, _ in found) != "ABCD"[: len(found)] or len(found) < 2:
        return "without options in the text"
    choices = tuple(option for _, option in found)
    prompt = f"{question.strip()}\n{lettered(choices)}{LETTER}"
    return Item(prompt, row["label"].strip().upper(), row["category"], row["image"], choices)
