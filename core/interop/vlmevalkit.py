"""Results of VLMEvalKit: tables of predictions and of scores, status.json, or the folder of a run.

A run's folder is MODEL/EVAL_ID. A file is called MODEL_DATASET, then what it holds; both names may contain "_", so the
model is taken from the folder or from status.json, and of the data sets that fit, the longest is meant.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import StoreError
from core.interop.files import cell, files_below, name, number, read_json
from core.interop.names import UNKNOWN, VLMEVALKIT, VLMEVALKIT_KINDS, benchmark_of
from core.interop.records import ImportedRun, ImportedSample, ImportedTask, ImportReport, prompt_hash
from core.interop.tables import Row, read_table
from core.interop.verdicts import BASE, bare_score, settled, within

HARNESS = "vlmevalkit"
STATUS = "status.json"
TABLES = (".xlsx", ".tsv", ".csv", ".json", ".jsonl")
EVAL_ID = re.compile(r"T(\d{4})(\d\d)(\d\d)(?:-(\d\d)(\d\d)(\d\d)|_G([0-9a-fA-F]+))")
# what a file of an unknown data set holds, after its name
HOLDS = re.compile(r"_(?:acc|score|results?|auxmatch|extract|judge)$|_(?:[\w.-]*(?:gpt|exact_matching|openai)[\w.-]*)$")
FAILED = "Failed to obtain answer"
SCORES = ("hit", "score", "eval_score")  # columns of a row's score, in the order of their worth
PARSED = ("extracted", "extract", "res", "eval_pred")
GOLD = ("answer", "eval_gt")
OPTION = re.compile(r"[A-Z]")

Tables = dict[str, list[tuple[Path, str]]]  # data set -> its files and what comes behind its name


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
    if stated:
        models[model] = {dataset: [] for dataset in stated}
    place = folder.parent.name if EVAL_ID.fullmatch(folder.name) else folder.name
    for file in files:
        if file.name != STATUS:
            try:
                owner, dataset, rest = split_name(file.stem, [model, place], stated)
                models.setdefault(owner, {}).setdefault(dataset, []).append((file, rest))
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


def split_name(stem: str, models: Iterable[str], datasets: Iterable[str] = ()) -> tuple[str, str, str]:
    """(model, data set, what the file holds) of a file called MODEL_DATASET or MODEL_DATASET_WHAT.

    Raises:
        StoreError: neither the model's name nor a data set's is known.
    """
    known = sorted(filter(None, {*VLMEVALKIT, *datasets}), key=len, reverse=True)
    for model in sorted(filter(None, models), key=len, reverse=True):
        if stem.startswith(f"{model}_"):
            rest = stem[len(model) + 1 :]
            for dataset in known:
                if rest == dataset or rest.startswith(f"{dataset}_"):
                    return model, dataset, rest[len(dataset) + 1 :]
            dataset = HOLDS.sub("", HOLDS.sub("", rest)) or rest
            if dataset:
                return model, dataset, rest[len(dataset) + 1 :]
    for dataset in known:
        model, found, rest = stem.partition(f"_{dataset}")
        if model and found and (not rest or rest.startswith("_")):
            return model, dataset, rest[1:]
    raise StoreError("of which model and data set is this? Keep it in its model's folder, named MODEL_DATASET")


# ------------------------------------------------------------------------------------------------ one data set


def _read_dataset(
    dataset: str,
    files: Sequence[tuple[Path, str]],
    status: Mapping[str, Any],
    source: list[str],
    notes: list[str],
    problems: list[str],
) -> list[ImportedTask]:
    """Every metric of a data set: scores from its score table, else from status.json; rows from all its tables."""
    items: list[tuple[str, list[Row]]] = []
    scores: list[Row] = []
    for file, rest in files:
        try:
            rows = read_table(file, notes)
        except StoreError as error:
            problems.append(str(error))
            continue
        source.append(file.name)
        if "index" in rows[0]:
            items.append((rest, rows))
        else:
            scores = scores or rows
    for key in ("error_message", "skip_reason"):
        if status.get(key):
            notes.append(f"{dataset}: VLMEvalKit says: {name(status[key])}")
    kind, _ = VLMEVALKIT.get(dataset, ("", ""))
    key, domain = benchmark_of(dataset)
    samples, splits = _merge(items, kind, dataset, notes)
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
    return _tasks(blank, kind, scores or _status_rows(_dict(status.get("metrics"))), samples, splits, notes)


def _tasks(
    blank: ImportedTask,
    kind: str,
    scores: Sequence[Row],
    samples: Sequence[ImportedSample],
    splits: Sequence[str],
    notes: list[str],
) -> list[ImportedTask]:
    label, counts, metrics = VLMEVALKIT_KINDS[kind]
    rows = [r for r in scores if not counts or r.get(label) == counts] or ([{}] if samples else [])
    if not kind:  # whatever is called overall, or a table of one row
        rows = [r for r in scores if "Overall" in r.values()] or (list(scores) if len(scores) == 1 else [])
        numbers = [c for c in (rows[0] if rows else {}) if number(rows[0][c]) is not None]
        metrics = dict.fromkeys(numbers, UNKNOWN)
    tasks = []
    for row in rows:
        split = row.get(label, "") if not counts else ""
        for metric, which in metrics.items():
            own = [s for s, of in zip(samples, splits, strict=True) if len(rows) == 1 or of == split]
            stated = number(row.get(metric))
            if stated is None and (which.how in ("part", "whole") or not own):
                continue
            # parts and aggregates are taken as they are stated; the rows belong to the metric that they are the mean of
            rest = () if which.how in ("part", "whole", "unknown") else tuple(own)
            where = "" if split == "none" else split
            task = replace(blank, split=where, metric=metric, stated=stated, samples=rest, n_rows=len(own) or None)
            tasks.append(settled(task, which, notes))
    if not kind and samples:
        task = replace(blank, metric="score", samples=tuple(samples))
        tasks.append(settled(task, UNKNOWN, notes))
    return tasks


def _status_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """The score table that status.json flattened: "split=Overall|acc" is column acc of the row with split Overall."""
    rows: dict[str, Row] = {}
    for key, value in metrics.items():
        dims, _, column = name(key).rpartition("|")
        if "#" not in column:
            labels = dict(d.partition("=")[::2] for d in dims.split("|") if d)
            rows.setdefault(dims, labels)[column] = cell(value)
    return list(rows.values())


def _merge(
    items: Sequence[tuple[str, list[Row]]], kind: str, dataset: str, notes: list[str]
) -> tuple[list[ImportedSample], list[str]]:
    """The rows of every table of a data set put together by their index, and the split of each."""
    merged: dict[str, Row] = {}
    judged: set[str] = set()
    repeated = 0
    for _, rows in sorted(items, key=lambda table: len(table[0])):  # predictions, then what was made of them
        seen: set[str] = set()
        for row in rows:
            index = name(row["index"].removesuffix(".0"))
            repeated += index in seen
            if index in seen:
                continue
            seen.add(index)
            before = merged.setdefault(index, {})
            before.update({k: v for k, v in row.items() if v or k not in before})
            if any(row.get(c) for c in SCORES):
                judged.add(index)
    if repeated:
        notes.append(f"{dataset}: {repeated} rows repeat an index: the first of each is read")
    copies = [i for i in merged if i not in judged and i.isascii() and i.isdigit() and int(i) >= BASE]
    if kind == "circular" and judged and copies:
        notes.append(
            f"{dataset}: {len(copies)} rows are copies with turned options: a question is right if all its copies are "
            "(the group of a row is its index modulo 1,000,000)"
        )
        merged = {i: row for i, row in merged.items() if i in judged}
    failed = sum(FAILED in row.get("prediction", "") for row in merged.values())
    if failed:
        notes.append(f"{dataset}: {failed} rows hold no answer, because inference failed: they count as VLMEvalKit did")
    return [_sample(i, row) for i, row in merged.items()], [row.get("split", "") for row in merged.values()]


def _sample(index: str, row: Row) -> ImportedSample:
    raw = row.get("prediction", "")
    gold = _first(row, GOLD)
    stated = [_truth(row[c]) for c in SCORES if row.get(c)]
    score = stated[0] if stated else None if FAILED in raw else bare_score(gold, raw)
    options = "".join(f"\n{c}. {row[c]}" for c in sorted(row) if OPTION.fullmatch(c) and row[c])
    prompt = row.get("question", "") + options
    return ImportedSample(
        sample_key=index,
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


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
