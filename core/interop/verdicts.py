"""What a row scored and what its task then scores: read where the harness says so, recomputed where that is certain.

Recomputing is strict: a bare letter or a bare yes or no against a gold answer of that kind. Whatever would take a judge
or a guess stays unknown.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core.interop.files import cell, number
from core.interop.names import Metric
from core.interop.records import ImportedSample, ImportedTask

LETTER = re.compile(r"[(\[]?([A-Z])[)\].:]?", re.IGNORECASE)
SAME = 1e-6  # how near a mean must be to a stated value, to be what it states
BASE = 1_000_000  # copies of an MMBench question with turned options have its index plus a multiple of this


def row_score(value: Any) -> tuple[float | None, str]:
    """A row's score by a metric of lmms-eval, 0 to 1, and where it is from: harness | recomputed.

    The value is a number, or a mapping with `score`, `scores` (the first counts), `true_false`, or nothing but what was
    parsed and what is right.
    """
    if not isinstance(value, dict):
        return within(number(value)), "harness"
    for key in ("score", "scores", "true_false"):
        found = value.get(key)
        if found is not None:
            return within(number(found[0] if isinstance(found, list) and found else found)), "harness"
    if "parsed_pred" in value:
        return _parsed_score(value), "recomputed"
    gold = value.get("answer", value.get("ground_truth"))
    return bare_score(cell(gold), cell(value.get("prediction"))), "recomputed"


def within(score: float | None) -> float | None:
    return score if score is not None and 0 <= score <= 1 else None


def _parsed_score(value: dict[str, Any]) -> float | None:
    """MMMU: the parsed letter is the answer, or one of the parsed candidates equals an accepted answer."""
    parsed, gold = value["parsed_pred"], value.get("answer")
    found = parsed if isinstance(parsed, list) else [parsed]
    golden = gold if isinstance(gold, list) else [gold]
    if gold is None or not found:
        return None
    if value.get("question_type") == "multiple-choice":
        return float(cell(found[0]).strip() == cell(golden[0]).strip())
    return float(bool({_plain(f) for f in found} & {_plain(g) for g in golden}))


def _plain(value: Any) -> str | float:
    as_number = number(value)
    return cell(value).strip().casefold() if as_number is None else round(as_number, 2)


def bare_score(gold: str, answer: str) -> float | None:
    """1 or 0 where the gold answer is one letter, yes or no, and the answer is nothing but that; else None."""
    gold, answer = gold.strip().casefold(), answer.strip().casefold()
    if gold in ("yes", "no"):
        answer = answer.removesuffix(".")
        return float(answer == gold) if answer in ("yes", "no") else None
    letter = LETTER.fullmatch(answer)
    return float(letter[1] == gold) if letter and len(gold) == 1 and gold.isalpha() else None


def settled(task: ImportedTask, metric: Metric, notes: list[str]) -> ImportedTask:
    """The task with its value: from its rows where they decide it, else as stated. What a reader must know is noted."""
    task = replace(task, unit=metric.unit, how=metric.how)
    counted = [s for s in task.samples if s.counted]
    scores = [s.score for s in counted if s.score is not None]
    complete = bool(counted) and len(scores) == len(counted)
    mean = sum(scores) / len(scores) if complete else None
    value = task.stated_fraction
    if metric.how in ("rows", "graded", "part"):
        value = value if mean is None else mean
    elif metric.how == "circular" and complete:
        value = circular_mean(counted, value)
    elif metric.how == "unknown":
        states = task.stated is not None and mean is not None
        fits = states and min(abs(mean - task.stated), abs(100 * mean - task.stated)) < SAME  # type: ignore[operator]
        value = mean if fits or task.stated is None else None
        if mean is None or states:
            then = "its rows give the same" if fits else "it is not taken for a score"
            notes.append(f"{task.task}: the unit of {task.metric} is not known ({task.stated} is stated): {then}")
    if value != within(value):
        notes.append(f"{task.task}: {task.metric} is {task.stated}, which is no {metric.unit}: it is not taken")
    done = replace(
        task,
        value=within(value),
        n_rows=len(counted) or task.n_rows,
        samples=task.samples if metric.how in ("rows", "graded", "circular", "unknown") else (),
    )
    if counted and not complete and metric.how != "whole":
        notes.append(
            f"{task.task}: {len(counted) - len(scores)} of {len(counted)} rows have no score for {task.metric}"
        )
    if done.disagrees:
        stated = done.stated_fraction or 0.0
        notes.append(
            f"{task.task}: the rows give {task.metric} {100 * (value or 0.0):.1f}, the file states {100 * stated:.1f}: "
            "they may not be of the same run"
        )
    return done


def circular_mean(samples: Sequence[ImportedSample], otherwise: float | None) -> float | None:
    """The share of questions of which every copy is right; needs the data set's own numbers."""
    groups: dict[int, bool] = {}
    for s in samples:
        if not s.native_id.isascii() or not s.native_id.isdigit():
            return otherwise
        question = int(s.native_id) % BASE
        groups[question] = groups.get(question, True) and s.score == 1
    return sum(groups.values()) / len(groups)
