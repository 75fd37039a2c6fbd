"""The rows of lmms-eval's files of samples: which metrics they hold, and which of them a metric counts."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import StoreError
from core.interop.files import cell, name, read_json, read_json_lines
from core.interop.names import Metric, Version, lmms_metric
from core.interop.records import ImportedSample, prompt_hash
from core.interop.verdicts import row_score

NO_SCORE = re.compile(  # what a row holds beside its metrics
    r"doc(?:_id|_hash)?|(?:prompt|target)_hash|target|arguments|(?:filtered_)?resps|input(?:_media)?|token_counts|"
    r"submission|filter|metrics"
)
NATIVE = ("question_id", "id", "index", "sample_index", "pid")
PARSED = ("parsed_pred", "prediction", "extract")
GOLD = ("answer", "ground_truth")

Rows = list[dict[str, Any]]


def read_log(file: Path) -> dict[str, Any] | None:
    """A task's file as lmms-eval 0.1 to 0.2 wrote it, settings and rows ("logs") in one; None: something else.

    Raises:
        StoreError: not JSON, or more than may be read as a whole.
    """
    found = read_json(file)
    logs = found.get("logs") if isinstance(found, dict) else None
    return found if isinstance(logs, list) and isinstance(found.get("args"), dict) else None


def read_rows(file: Path, notes: list[str]) -> Rows:
    """The rows of a file of samples, of either layout."""
    if file.suffix.lower() != ".json":
        return read_json_lines(file, notes)
    logs = (read_log(file) or {}).get("logs", [])
    rows = [row for row in logs if isinstance(row, dict)]
    if not rows:
        raise StoreError(f"{file.name}: its logs hold no rows")
    if len(rows) < len(logs):
        notes.append(f"{file.name}: {len(logs) - len(rows)} of its logs are no rows: they were left out")
    return rows


def row_metrics(rows: Rows, task: str, adapter: str, version: Version | None) -> list[str]:
    """The metrics that rows without a results file hold: all numbers, and what is known to be a metric."""
    keys = dict.fromkeys(k for row in rows for k in row)
    how = {k: lmms_metric(task, k, adapter, version).how for k in keys if not NO_SCORE.fullmatch(k)}
    if known := [k for k, found in how.items() if found != "unknown"]:
        return [k for k in known if how[k] not in ("whole", "ratio")]  # rows do not say what those are
    return [k for k in how if any(row_score(row.get(k))[0] is not None for row in rows)]


def read_samples(
    rows: Rows, metric: str, which: Metric, filter_name: str, filters: Sequence[str]
) -> tuple[ImportedSample, ...]:
    """The rows that a metric is of, by doc_id; of rows that repeat one, the one at the filter's place is counted.

    Args:
        filters: of the metric, in the order of the file. Rows that name their filter are taken by that name.
    """
    if any(cell(row.get("filter")) in filters for row in rows):
        rows, filters = [row for row in rows if cell(row.get("filter")) == filter_name], [filter_name]
    if which.how in ("part", "unknown"):
        rows = [row for row in rows if metric in row]
    elif which.how in ("whole", "ratio"):
        return ()
    ids = [identity(row, i) for i, row in enumerate(rows)]
    times = Counter(ids)
    chosen = filters.index(filter_name) if max(times.values(), default=0) == len(filters) else 0
    seen: Counter[tuple[str, ...]] = Counter()
    samples = []
    for row, same in zip(rows, ids, strict=True):
        samples.append(_read_sample(row, metric, same[0], counted=seen[same] == min(chosen, times[same] - 1)))
        seen[same] += 1
    return tuple(sorted(samples, key=lambda s: _order(s.sample_key)))


def _read_sample(row: dict[str, Any], metric: str, doc_id: str, *, counted: bool) -> ImportedSample:
    value = row.get(metric)
    detail = value if isinstance(value, dict) else {}
    score, source = row_score(value)
    parsed, prompt = _leaf(row.get("filtered_resps")), cell(row.get("input"))
    return ImportedSample(
        sample_key=doc_id,
        native_id=name(_first(detail, NATIVE)),
        prompt_sha256=prompt_hash(prompt),
        prompt=prompt,
        gold=cell(row.get("target")) or cell(_first(detail, GOLD)),
        raw=_leaf(row.get("resps")) or parsed,
        parsed=_leaf(_first(detail, PARSED)) or parsed,
        score=score,
        score_source=source,
        counted=counted,
    )


def identity(row: Mapping[str, Any], place: int) -> tuple[str, ...]:
    """Its number, and what it asks: rows that share a number and ask otherwise are none of them a repetition."""
    return name(row.get("doc_id")) or f"row {place}", cell(row.get("input")), cell(row.get("target"))


def _order(key: str) -> tuple[int, int, str]:
    return (0, int(key), "") if key.isascii() and key.isdigit() and len(key) < 19 else (1, 0, key)


def _leaf(value: Any) -> str:
    """The first answer of an answer, a list of them or a list of lists."""
    while isinstance(value, list):
        value = value[0] if value else None
    return cell(value)


def _first(detail: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((detail[k] for k in keys if detail.get(k) is not None), None)
