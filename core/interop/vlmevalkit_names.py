"""What a file of VLMEvalKit is called: MODEL_DATASET, then the judge and what it holds.

All three may contain "_". A data set is known by its whole name: what comes behind a known one must be a judge and a
kind of file, or the data set is another one, which keeps its own name.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from core.errors import StoreError
from core.interop.names import VLMEVALKIT

KIND = "acc|acc_all|score|score_fine|results?|auxmatch|extract|judge|PREV|rating|tmp"
JUDGE = (  # the names of VLMEvalKit's judges hold no "_", but for the one that is none
    r"exact_matching|openai|(?:chat)?gpt[\w.-]*?|(?:qwen|deepseek|llama|claude|gemini|internlm|kimi|glm|doubao|mistral|"
    r"gemma|grok|minimax)\d*(?:[.-][\w.-]*?)?|o[134](?:-[\w.-]*?)?"
)


class FileName(NamedTuple):
    """The parts of a file's name; `judge` and `holds` are "" where it has none."""

    model: str
    dataset: str
    judge: str
    holds: str


def split_name(stem: str, models: Iterable[str], datasets: Iterable[str] = (), judges: Iterable[str] = ()) -> FileName:
    """The parts of a file's name.

    Args:
        models: names that it may begin with: of its folder, of status.json.
        datasets, judges: that are known of this run, beside those that VLMEvalKit is known to have.
    Raises:
        StoreError: neither the model's name nor a data set's is known.
    """
    judge = "|".join([*(re.escape(j) for j in judges if j), JUDGE])
    tail = re.compile(rf"(?:_(?P<judge>{judge}))?(?:_(?P<holds>(?:{KIND})(?:_(?:{KIND}))*))?", re.IGNORECASE)
    known = sorted(filter(None, {*VLMEVALKIT, *datasets}), key=len, reverse=True)
    for model in sorted(filter(None, models), key=len, reverse=True):
        if not stem.startswith(f"{model}_"):
            continue
        rest = stem[len(model) + 1 :]
        for dataset in known:
            if rest.startswith(dataset) and (found := tail.fullmatch(rest, len(dataset))):
                return FileName(model, dataset, found["judge"] or "", found["holds"] or "")
        for end in range(1, len(rest) + 1):  # the shortest name that leaves nothing but a judge and a kind
            if found := tail.fullmatch(rest, end):
                return FileName(model, rest[:end], found["judge"] or "", found["holds"] or "")
    for dataset in known:
        model, named, rest = stem.partition(f"_{dataset}")
        if model and named and (found := tail.fullmatch(rest)):
            return FileName(model, dataset, found["judge"] or "", found["holds"] or "")
    raise StoreError("of which model and data set is this? Keep it in its model's folder, named MODEL_DATASET")
