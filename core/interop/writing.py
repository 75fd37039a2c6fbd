"""Our runs as result files of lmms-eval's layout, marked as Strata's, so that readers of those files take them.

`config.model` is "strata", so that nobody takes them for what lmms-eval measured. Where the gold answer was
teacher-forced nothing was written, so the samples of such runs hold outcomes and no answers.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import __version__
from core.errors import StoreError
from core.interop.files import name, number

if TYPE_CHECKING:
    from core.records.items import ItemSet
    from core.records.runs import RunRecord

NULL_HASH = "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"  # sha256 of "null": theirs is no other


def write_lmms_eval(
    records: Iterable["RunRecord"], item_sets: Mapping[str, "ItemSet"], folder: Path
) -> tuple[Path, ...]:
    """Write MODEL/TIME_results.json and a file of samples for each benchmark, one set for each plan and setting.

    Args:
        item_sets: by data hash: questions and gold answers of the samples.
    Returns:
        The files, results first. Existing ones of the same names are replaced.
    Raises:
        StoreError: nothing to write, or a folder that cannot be written.
    """
    runs: dict[tuple[Any, ...], list[RunRecord]] = {}
    for r in records:
        if r.n_scored:
            setting = (r.model.model_id, r.model.revision, r.model.dtype, r.device, r.origin)
            runs.setdefault((*setting, r.plan.plan_id, r.plan.criterion, r.plan.seed), []).append(r)
    if not runs:
        raise StoreError("nothing to write: none of these runs has a scored item")
    written: list[Path] = []
    try:
        for run in runs.values():
            written += _write_run(run, item_sets, Path(folder), written)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror}; give another folder") from error
    return tuple(written)


def _write_run(
    run: list["RunRecord"], item_sets: Mapping[str, "ItemSet"], folder: Path, taken: list[Path]
) -> list[Path]:
    plan, model = run[0].plan, run[0].model
    model_name = model.model_id if not plan.n_drop else f"{model.model_id}-drop{plan.n_drop}-{plan.plan_id}"
    sanitized = (
        "__".join(re.sub(r"[^\w.-]", "_", part) for part in model_name.strip("/").split("/")[-2:]).strip(".") or "model"
    )
    stamp, place = _stamp(max(r.created for r in run)), folder / sanitized
    place.mkdir(parents=True, exist_ok=True)
    results = place / f"{stamp}_results.json"
    while results in taken:  # plans that several criteria chose, or other settings of the same time
        stamp = _next(stamp)
        results = place / f"{stamp}_results.json"
    tasks: dict[str, RunRecord] = {}
    for r in sorted(run, key=lambda r: r.n_scored):  # of two item sets of a benchmark, the one with more outcomes
        tasks[re.sub(r"[^\w.-]", "_", r.benchmark)] = r
    document = {
        "results": {
            t: {"alias": t, f"{_metric(r)},none": r.graded_score, "samples": r.n_scored} for t, r in tasks.items()
        },
        "group_subtasks": {t: [] for t in tasks},
        "configs": {t: _config(t, r, item_sets.get(r.data_hash)) for t, r in tasks.items()},
        "versions": dict.fromkeys(tasks, "Strata"),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {t: {_metric(r): True} for t, r in tasks.items()},
        "n-samples": {t: {"original": len(r.item_ids), "effective": r.n_scored} for t, r in tasks.items()},
        "config": {
            "model": "strata",
            "model_args": f"pretrained={model.model_id},revision={model.revision},dtype={model.dtype}",
            "batch_size": None,
            "device": run[0].device,
            "limit": None,
            "gen_kwargs": "",
        },
        "strata": {"version": __version__, "origin": run[0].origin, "plan": plan.to_dict()},
        "git_hash": f"strata-{__version__}",
        "date": stamp,
        "task_hashes": {},
        "model_source": "strata",
        "model_name": model_name,
        "model_name_sanitized": sanitized,
    }
    _replace(results, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    files = [results]
    for task, record in tasks.items():
        lines = [json.dumps(row, ensure_ascii=False) for row in _rows(record, item_sets.get(record.data_hash))]
        files.append(place / f"{stamp}_samples_{task}.jsonl")
        _replace(files[-1], "".join(f"{line}\n" for line in lines))
    return files


def _config(task: str, record: "RunRecord", items: "ItemSet | None") -> dict[str, Any]:
    tokens = items.max_new_tokens if items else 0
    return {
        "task": task,
        "dataset_path": items.dataset if items else "",
        "test_split": items.split if items else "",
        "metric_list": [{"metric": _metric(record), "aggregation": "mean", "higher_is_better": True}],
        "output_type": "generate_until",
        "generation_kwargs": {"max_new_tokens": tokens, "do_sample": False},
        "metadata": {"data_hash": record.data_hash, "metric": record.metric},
    }


def _rows(record: "RunRecord", items: "ItemSet | None") -> Iterable[dict[str, Any]]:
    known = {i.item_id: i for i in items.items} if items else {}
    outcomes = record.outcomes
    for place, item_id in enumerate(record.item_ids):
        if (outcome := outcomes.get(item_id)) is not None:
            item, said = known.get(item_id), outcome.answer
            yield {
                "doc_id": place,
                "target": item.answer if item else "",
                "filtered_resps": said.text if said else "",
                "doc_hash": NULL_HASH,
                _metric(record): said.value if said else float(outcome.correct),
                "input": item.question if item else "",
                "strata_item": item_id,
                "strata_gold_nll": number(outcome.gold_nll),
                **({"strata_rule": said.rule, "strata_failure": said.failure} if said else {}),
            }


def _metric(record: "RunRecord") -> str:
    return name(record.metric.rpartition(":")[2]).replace(",", "_") or "exact_match"


def _stamp(created: str) -> str:
    try:
        return datetime.fromisoformat(created).strftime("%Y%m%d_%H%M%S")
    except ValueError:
        return datetime.now(UTC).strftime("%Y%m%d_%H%M%S")


def _next(stamp: str) -> str:
    return (datetime.strptime(stamp, "%Y%m%d_%H%M%S") + timedelta(seconds=1)).strftime("%Y%m%d_%H%M%S")


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
