"""LLaVA-OneVision-Data, general configurations: held-out general questions, and the general side of a calibration."""

import re
from typing import Any

from core.benchmarks.prompts import choices_in
from core.benchmarks.registry import Item, benchmark

MATH = re.compile(r"(clevr-math|geo|unigeo|tabmwp|mavis_math|mathqa|intergps|iconqa|super-clevr|raven)", re.IGNORECASE)
MAX_WORDS = 5  # of a gold answer; what is longer cannot be judged by comparing texts


def math_fault(config: str) -> str:
    """Configurations about mathematics are kept out of the general set."""
    name = config.replace("(MathV360K)", "")
    return "is about mathematics, and this set is general: choose another" if MATH.match(name) else ""


@benchmark(
    "llava_onevision",
    title="LLaVA-OneVision (general)",
    domain="general",
    dataset="lmms-lab/LLaVA-OneVision-Data",
    aliases=("lmms-lab-encoder/LLaVA-OneVision-Data",),
    config="aokvqa(cauldron,llava_format)",
    config_fault=math_fault,
    split="train",
    files="{config}/{split}-*.parquet",
    revision="7ca5e5bf8b2006d5dfa0549756198474f0897f63",
    columns={"id": "text", "image": "image", "conversations": "turns", "data_source": "text"},
    metric="choice_or_text",
    max_new_tokens=16,
    licence="Apache-2.0 (collection); unknown (parts)",
    streaming=True,
    note=(
        "The paper scores on LLaVA-OneVision without naming the parts, the rows or the metric, so its number and this "
        f"one are not comparable. Only rows whose gold has at most {MAX_WORDS} words are asked."
    ),
)
def llava_onevision(row: dict[str, Any]) -> Item | str:
    """The first question and answer of a conversation about a picture, where the answer is short enough to compare."""
    turns = {turn["from"]: turn["value"] for turn in reversed(row["conversations"])}  # the first of each speaker stays
    question, answer = turns.get("human", "").replace("<image>", "").strip(), turns.get("gpt", "").strip()
    answer = re.sub(r"\AAnswer:\s*", "", answer).rstrip(".")
    if not question or not answer:
        return "without a question and an answer"
    if row["image"] is None:
        return "without a picture"
    if len(answer.split()) > MAX_WORDS:
        return f"with a gold of more than {MAX_WORDS} words"
    choices = choices_in(question) if re.fullmatch("[A-Z]", answer) else ()
    return Item(question, answer, row["data_source"] or "", row["image"], choices)
