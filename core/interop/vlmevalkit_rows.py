"""The rows of VLMEvalKit's tables: predictions and what was made of them, put together row by row."""

import re
from collections import Counter
from collections.abc import Sequence

from core.interop.files import name, number
from core.interop.names import EXPLODED
from core.interop.records import ImportedSample, prompt_hash
from core.interop.tables import Row
from core.interop.verdicts import BASE, bare_score, within

FAILED = "Failed to obtain answer"
SCORES = ("hit", "score", "eval_score")  # columns of a row's score, in the order of their worth
PARSED = ("extracted", "extract", "res", "eval_pred")
GOLD = ("answer", "eval_gt")
SPLIT = ("split", "problem_version")
OPTION = re.compile(r"[A-Z]")
Key = tuple[str, str, int]  # index, question where every table has it, which of the rows that share both


def merged_samples(
    tables: Sequence[Sequence[Row]], kind: str, dataset: str, notes: list[str]
) -> tuple[list[ImportedSample], list[str]]:
    """One sample for each row of a data set's tables, and the split of each.

    Rows that share an index and ask otherwise are rows of their own, and so are those that are there twice: the
    harness's figure is over all of them.

    Args:
        tables: predictions, then what was made of them: what is later in the list stands.
    """
    repeat = any(len({_index(row) for row in rows}) < len(rows) for rows in tables)
    asked = repeat and all("question" in rows[0] for rows in tables)
    merged: dict[Key, Row] = {}
    for rows in tables:
        seen: Counter[tuple[str, str]] = Counter()
        for row in rows:
            same = _index(row), row.get("question", "") if asked else ""
            before = merged.setdefault((*same, seen[same]), {})
            seen[same] += 1
            before.update({k: v for k, v in row.items() if v or k not in before})
    judged = {key for key, row in merged.items() if any(row.get(c) for c in SCORES)}
    shared = len(merged) - len({index for index, _, _ in merged})
    if shared:
        notes.append(f"{dataset}: {shared} rows repeat an index: each is a row of its own, as the harness counts them")
    copies = [i for i, _, _ in merged.keys() - judged if i.isascii() and i.isdigit() and int(i) >= BASE]
    if kind == "circular" and judged and copies:
        notes.append(
            f"{dataset}: {len(copies)} rows are copies with turned options: a question is right if all its copies are "
            "(the group of a row is its index modulo 1,000,000)"
        )
        merged = {key: row for key, row in merged.items() if key in judged}
    failed = sum(FAILED in row.get("prediction", "") for row in merged.values())
    if failed:
        notes.append(f"{dataset}: {failed} rows hold no answer, because inference failed: they count as VLMEvalKit did")
    times = Counter(index for index, _, _ in merged)
    place: Counter[str] = Counter()
    samples: list[ImportedSample] = []
    splits: list[str] = []
    for (index, _, _), row in merged.items():
        place[index] += 1
        key = f"{index}#{place[index]}" if times[index] > 1 else index
        parts = [c.strip() for c in row.get("category", "").split(",")] if dataset in EXPLODED else [""]
        for part in parts:
            samples.append(_sample(index, f"{key}/{part}" if len(parts) > 1 else key, row, judged=bool(judged)))
            splits.append(_first(row, SPLIT))
    return samples, splits


def _index(row: Row) -> str:
    return name(row["index"].removesuffix(".0"))


def _sample(index: str, key: str, row: Row, *, judged: bool) -> ImportedSample:
    """A row; where the harness judged some rows of a data set, no other row is judged here."""
    raw = row.get("prediction", "")
    gold = _first(row, GOLD)
    stated = [_truth(row[c]) for c in SCORES if row.get(c)]
    score = stated[0] if stated else None if judged or FAILED in raw else bare_score(gold, raw)
    options = "".join(f"\n{c}. {row[c]}" for c in sorted(row) if OPTION.fullmatch(c) and row[c])
    prompt = row.get("question", "") + options
    return ImportedSample(
        sample_key=key,
        native_id=index,
        prompt_sha256=prompt_hash(prompt),
        prompt=prompt,
        gold=gold,
        raw=raw,
        parsed=_first(row, PARSED) or raw,
        score=score,
        score_source="harness" if stated else "recomputed",
    )


def _truth(text: str) -> float | None:
    return {"true": 1.0, "false": 0.0}.get(text.lower(), within(number(text)))


def _first(row: Row, columns: Sequence[str]) -> str:
    return next((row[c] for c in columns if row.get(c)), "")
