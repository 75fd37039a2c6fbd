"""Results of VLMEvalKit: tables of predictions and of scores, status.json, or the folder of a run.

A run's folder is MODEL/EVAL_ID. A file is called MODEL_DATASET, then what it holds; see `vlmevalkit_names`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import StoreError
from core.interop.files import cell, files_below, name, number, read_json
from core.interop.names import UNKNOWN, VLMEVALKIT, VLMEVALKIT_KINDS, Metric, benchmark_of, split_key
from core.interop.records import ImportedRun, ImportedSample, ImportedTask, ImportReport
from core.interop.tables import Row, read_table
from core.interop.verdicts import settled
from core.interop.vlmevalkit_names import FileName, split_name
from core.interop.vlmevalkit_rows import merged_samples

HARNESS = "vlmevalkit"
STATUS = "status.json"
TABLES = (".xlsx", ".tsv", ".csv", ".json", ".jsonl")
EVAL_ID = re.compile(r"T(\d{4})(\d\d)(\d\d)(?:-(\d\d)(\d\d)(\d\d)|_G([0-9a-fA-F]+))")

Tables = dict[str, list[tuple[Path, FileName]]]  # data set -> its files and what their names say


def read_vlmevalkit(path: Path) -> ImportReport:
    """Read results: one file by itself, or every run of a folder, the tables of one run put together.

    Raises:
        StoreError: one file that cannot be read, or a folder without results. In a folder, files that cannot be read
            are the report's problems, and all others are read.
    """
    path = Path(path)
    files, problems = files_below(path) if path.is_dir() else ([path], [])
    folders: dict[Path, list[Path]] = {}
    for file in files:
        if file.suffix.lower() in TABLES or not path.is_dir():
            folders.setdefault(file.absolute().parent, []).append(file)
    if not folders:
        raise StoreError(f"no results of VLMEvalKit in {path}: give the folder MODEL/EVAL_ID of one run")
    runs = [run for folder, found in sorted(folders.items()) for run in _read_folder(folder, found, problems)]
    if problems and not path.is_dir():
        raise StoreError(problems[0])
    return ImportReport(tuple(runs), tuple(problems))


def _read_folder(folder: Path, files: Sequence[Path], problems: list[str]) -> list[ImportedRun]:
    """The runs of a folder, one for each model; what cannot be read is added to the problems."""
    status: dict[str, Any] = {}
    models: dict[str, Tables] = {}
    for file in files:
        if file.name == STATUS:
            try:
                status = _read_status(file)
            except StoreError as error:
                problems.append(str(error))
    model = name(status.get("model_name"))
    stated = _dict(status.get("datasets"))
    judges = [name(_dict(of).get("judge_model")) for of in stated.values()]
    if stated:
        models[model] = {dataset: [] for dataset in stated}
    place = folder.parent.name if EVAL_ID.fullmatch(folder.name) else folder.name
    for file in files:
        if file.name != STATUS:
            try:
                named = split_name(file.stem, [model, place], stated, judges)
                models.setdefault(named.model, {}).setdefault(named.dataset, []).append((file, named))
            except StoreError as error:
                problems.append(f"{file.name}: {error}")
    found = [_read_run(folder, m, tables, status if m == model else {}, problems) for m, tables in models.items()]
    return [run for run in found if run]


def _read_status(file: Path) -> dict[str, Any]:
    found = read_json(file)
    if not isinstance(found, dict) or not isinstance(found.get("datasets"), dict):
        raise StoreError(f"{file.name}: JSON, but not the status of a run of VLMEvalKit")
    return found | {"datasets": {name(d) or "unnamed": v for d, v in found["datasets"].items()}}


def _read_run(
    folder: Path, model: str, tables: Tables, status: Mapping[str, Any], problems: list[str]
) -> ImportedRun | None:
    """None: nothing of it could be read."""
    notes: list[str] = []
    source = [STATUS] if status else []
    tasks: list[ImportedTask] = []
    for dataset, files in tables.items():
        stated = _dict(_dict(status.get("datasets")).get(dataset))
        tasks += _read_dataset(dataset, files, stated, source, notes, problems)
    if not source:
        return None
    run = EVAL_ID.fullmatch(name(status.get("eval_id")) or folder.name)
    day = "-".join(run.groups()[:3]) if run else ""
    created = f"{day}T{run[4]}:{run[5]}:{run[6]}" if run and run[4] else day
    return ImportedRun(
        harness=HARNESS,
        harness_version=name(status.get("commit")) or (run and run[7]) or "",
        adapter="",
        model_ref=model,
        created=name(status.get("created_at")) or created,
        limit=None,
        generation={},
        tasks=tuple(tasks),
        warnings=tuple(notes),
        source=tuple(source),
    )


# ------------------------------------------------------------------------------------------------ one data set


def _read_dataset(
    dataset: str,
    files: Sequence[tuple[Path, FileName]],
    status: Mapping[str, Any],
    source: list[str],
    notes: list[str],
    problems: list[str],
) -> list[ImportedTask]:
    """Every metric of a data set, of each judge: scores from its score table, else from status.json; rows from tables.

    What several judges made of the same answers is told apart, and what names none of them stands by itself then.
    """
    items: dict[str, list[list[Row]]] = {}
    scores: dict[str, list[Row]] = {}
    damaged = False
    for file, named in sorted(files, key=lambda f: len(f[1].judge + f[1].holds)):  # predictions first
        said = len(notes)
        try:
            rows = read_table(file, notes)
        except StoreError as error:
            problems.append(str(error))
            damaged = True
            continue
        source.append(file.name)
        if "index" in rows[0]:
            damaged |= len(notes) > said
            items.setdefault(named.judge, []).append(rows)
        elif named.judge in scores:
            notes.append(f"{file.name}: another table of scores of {dataset}: it is not read")
        else:
            scores[named.judge] = rows
    for key in ("error_message", "skip_reason"):
        if status.get(key):
            notes.append(f"{dataset}: VLMEvalKit says: {name(status[key])}")
    kind, _ = VLMEVALKIT.get(dataset, ("", ""))
    key, domain = benchmark_of(dataset)
    answers = items.pop("", [])
    judges = sorted({*items, *scores} - {""})
    told = _status_rows(_dict(status.get("metrics")))
    blank = ImportedTask(
        key=key,
        task=dataset,
        domain=domain,
        dataset_id="",
        split="",
        metric="",
        unit="unknown",
        filter=name(status.get("judge_model")),
        value=None,
        stated=None,
        n_rows=None,
    )
    if len(judges) < 2:
        judge = judges[0] if judges else ""
        table = scores.pop(judge, None) or scores.pop("", None) or told
        found = [([*answers, *items.get(judge, [])], table, blank)]
        if scores:
            notes.append(f"{dataset}: two tables of scores: the one that names its judge ({judge}) is read")
    else:
        found = [
            ([*answers, *items.get(judge, [])], scores.get(judge, []), replace(blank, filter=judge)) for judge in judges
        ]
        found += [([], rest, blank) for rest in [scores.get("") or told] if rest]
    tasks: list[ImportedTask] = []
    for tables, table, of_judge in found:
        samples, splits = merged_samples(tables, kind, dataset, notes)
        tasks += _tasks(of_judge, kind, table, samples, splits, notes, whole=not damaged)
    if not tasks and files and not damaged:
        notes.append(f"{dataset}: nothing in its tables is a score that is known: it is not taken")
    return tasks


def _tasks(
    blank: ImportedTask,
    kind: str,
    scores: Sequence[Row],
    samples: Sequence[ImportedSample],
    splits: Sequence[str],
    notes: list[str],
    *,
    whole: bool,
) -> list[ImportedTask]:
    label, counts, metrics = VLMEVALKIT_KINDS[kind]
    rows = [r for r in scores if not counts or r.get(label) == counts]
    tasks: list[ImportedTask] = []
    if counts and not rows and scores:  # figures of parts, and none of all rows: none is made of them
        shown = [r for r in scores if r.get(label)]
        notes.append(f"{blank.task}: its table of scores has no row '{counts}': its {len(shown)} parts are as stated")
        parts = {m: replace(which, how="part", judged=False) for m, which in metrics.items()}
        tasks += _figures(blank, parts, shown, label, notes)
    if not kind:  # whatever is called overall, or a table of one row
        rows = [r for r in scores if "Overall" in r.values()] or (list(scores) if len(scores) == 1 else [])
        numbers = [c for c in (rows[0] if rows else {}) if number(rows[0][c]) is not None]
        metrics = dict.fromkeys(numbers, UNKNOWN)
        if samples and len(rows) == 1 and "Overall" in numbers:  # what the rows are the mean of, if of anything
            own = replace(blank, metric="Overall", stated=number(rows[0]["Overall"]), samples=tuple(samples))
            tasks.append(settled(own, UNKNOWN, notes, whole=whole))
            metrics, samples = {m: UNKNOWN for m in numbers if m != "Overall"}, ()
    for row in rows or ([{}] if samples and kind else []):
        split = row.get(label, "") if not counts else ""
        own_rows = [s for s, of in zip(samples, splits, strict=False) if len(rows) < 2 or of == split]
        for metric, which in metrics.items():
            stated = number(row.get(metric))
            if stated is None and (which.how in ("part", "whole") or not own_rows):
                continue
            # parts and aggregates are taken as they are stated; the rows belong to the metric that they are the mean of
            where = "" if split == "none" else split
            task = replace(
                blank,
                key=split_key(blank.key, blank.task, where),
                split=where,
                metric=metric,
                stated=stated,
                samples=() if which.how in ("part", "whole", "unknown") else tuple(own_rows),
                n_stated=_count(row.get("tot") or (len(own_rows) if whole and which.how == "whole" else None)),
            )
            tasks.append(settled(task, which, notes, whole=whole))
    if not kind and samples:
        task = replace(blank, metric="score", samples=tuple(samples))
        tasks.append(settled(task, UNKNOWN, notes, whole=whole))
    return tasks


def _figures(
    blank: ImportedTask, metrics: Mapping[str, Metric], rows: Sequence[Row], label: str, notes: list[str]
) -> list[ImportedTask]:
    """What a table states of each part of the rows."""
    found = [
        (which, replace(blank, split=row[label], metric=m, stated=number(row.get(m)), n_stated=_count(row.get("tot"))))
        for row in rows
        for m, which in metrics.items()
    ]
    return [settled(task, which, notes) for which, task in found if task.stated is not None]


def _count(text: Any) -> int | None:
    found = number(text)
    return int(found) if found is not None and found >= 1 else None


def _status_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """The score table that status.json flattened: "split=Overall|acc" is column acc of the row with split Overall."""
    rows: dict[str, Row] = {}
    for key, value in metrics.items():
        dims, _, column = name(key).rpartition("|")
        if "#" not in column:
            labels = dict(d.partition("=")[::2] for d in dims.split("|") if d)
            rows.setdefault(dims, labels)[column] = cell(value)
    return list(rows.values())


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
