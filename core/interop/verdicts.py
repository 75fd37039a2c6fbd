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
from core.interop.records import FLAGGED, ImportedSample, ImportedTask

LETTER = re.compile(r"[(\[]?([A-Z])[)\].:]?", re.IGNORECASE)
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


def settled(task: ImportedTask, metric: Metric, notes: list[str], *, whole: bool = True) -> ImportedTask:
    """The task with its value: what all of its rows give, else what is stated. What a reader must know is noted.

    Args:
        whole: False where rows are known to be missing: nothing is made of the rest.
    """
    counted = [s for s in task.samples if s.counted]
    scores = [s.score for s in counted if s.score is not None]
    ours = any(s.score_source == "recomputed" for s in counted if s.score is not None)
    found = None
    if whole and counted and len(scores) == len(counted) and not (ours and metric.judged):
        found = circular_mean(counted) if metric.how == "circular" else sum(scores) / len(scores)
    unit = _unit(task, metric, found)
    task = replace(task, unit=unit, how=metric.how, n_rows=len(counted) if whole and counted else task.n_stated)
    stated = within(task.stated_fraction)
    if metric.how in ("whole", "ratio"):
        found = None
    apart = found is not None and stated is not None and abs(found - stated) > FLAGGED
    if metric.how == "unknown":
        found = _of_unknown(task, found, notes)
    elif unit == "unknown" and task.stated is not None:
        notes.append(
            f"{task.task}: {task.metric} is {task.stated}, a percentage of older versions of the harness and a "
            "fraction of newer ones, and the file does not say its version: it is not taken"
        )
    elif stated is None and task.stated is not None:
        notes.append(f"{task.task}: {task.metric} is {task.stated}, which is no {unit}: it is not taken")
    elif task.stated is None and not counted:
        why = ", which lmms-eval writes for exactly 0 and where nothing was judged" if metric.judged else ""
        notes.append(f"{task.task}: {task.metric} has no value in the file{why}: it is not taken")
    if counted and len(scores) < len(counted) and metric.how != "whole":
        notes.append(
            f"{task.task}: {len(counted) - len(scores)} of {len(counted)} rows have no score for {task.metric}"
        )
    if apart and found is not None and stated is not None:
        then = "as they are read here: what it states is taken" if ours else "they may not be of the same run"
        notes.append(
            f"{task.task}: the rows give {task.metric} {100 * found:.1f}, the file states {100 * stated:.1f}: {then}"
        )
    fewer = task.n_stated is not None and len(counted) < task.n_stated
    return replace(
        task,
        value=stated if found is None or (apart and ours) else found,
        samples=task.samples if metric.how in ("rows", "graded", "circular", "unknown") else (),
        decided=found is not None and not (apart and (ours or fewer)),
    )


def _unit(task: ImportedTask, metric: Metric, found: float | None) -> str:
    """fraction | percent | unknown: of two units, the one that can hold the number, or that the rows give it in."""
    if metric.unit != "either" or task.stated is None:
        return metric.unit if metric.unit != "either" else "unknown"
    read = {"fraction": within(task.stated), "percent": within(task.stated / 100)}
    able = [u for u, value in read.items() if value is not None]
    same = [u for u in able if found is not None and abs((read[u] or 0.0) - found) <= FLAGGED]
    chosen = same or able
    return chosen[0] if len(chosen) == 1 or (chosen and task.stated == 0) else "unknown"


def _of_unknown(task: ImportedTask, found: float | None, notes: list[str]) -> float | None:
    """What the rows give, where no number that is stated contradicts it."""
    if task.stated is None:
        return found
    fits = found is not None and min(abs(found - task.stated), abs(100 * found - task.stated) / 100) <= FLAGGED
    then = "its rows give the same" if fits else "it is not taken for a score"
    notes.append(f"{task.task}: the unit of {task.metric} is not known ({task.stated} is stated): {then}")
    return found if fits else None


def circular_mean(samples: Sequence[ImportedSample]) -> float | None:
    """The share of questions of which every copy is right; None without the data set's own numbers, which it needs."""
    groups: dict[int, bool] = {}
    for s in samples:
        if not s.native_id.isascii() or not s.native_id.isdigit():
            return None
        question = int(s.native_id) % BASE
        groups[question] = groups.get(question, True) and s.score == 1
    return sum(groups.values()) / len(groups)
