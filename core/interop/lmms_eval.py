"""Results of lmms-eval: a results file, a file of samples, or a folder that holds both.

Rows are known by `doc_id`, prompt and gold answer. The files' own hashes name nothing: `doc_hash` is the hash of the
text "null" in every row, and `task_hashes` follow from the number of rows.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import StoreError
from core.interop.files import cell, files_below, name, number, read_json, read_json_lines
from core.interop.names import Metric, benchmark_of, lmms_metric
from core.interop.records import (
    ImportedRun,
    ImportedSample,
    ImportedTask,
    ImportReport,
    prompt_hash,
    resolve_dataset_id,
)
from core.interop.verdicts import row_score, settled

HARNESS = "lmms-eval"
RESULTS = re.compile(r"(?:([\dT_-]+)_)?results\.json")
SAMPLES = re.compile(r"(?:([\dT_-]+)_)?samples_(.+)\.jsonl")
STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)")
NO_METRIC = re.compile(
    r"samples|alias| *|submission|paired_\w+|"
    r".*_(?:stderr(?:_\w+)?|expected_accuracy|consensus_accuracy|internal_variance|consistency_rate)"
)
NO_SCORE = re.compile(  # what a row holds beside its metrics
    r"doc(?:_id|_hash)?|(?:prompt|target)_hash|target|arguments|(?:filtered_)?resps|input(?:_media)?|token_counts|"
    r"submission|filter|metrics"
)
NATIVE = ("question_id", "id", "index", "sample_index", "pid")
PARSED = ("parsed_pred", "prediction", "extract")
GOLD = ("answer", "ground_truth")

Rows = list[dict[str, Any]]


def read_lmms_eval(path: Path) -> ImportReport:
    """Read results: one file by itself, or every run of a folder, samples with the results of the same time.

    Raises:
        StoreError: one file that cannot be read, or a folder without results. In a folder, files that cannot be read
            are the report's problems, and all others are read.
    """
    path = Path(path)
    runs: dict[tuple[Path, str], tuple[list[Path], dict[str, Path]]] = {}
    files, problems = files_below(path) if path.is_dir() else ([path], [])
    for file in files:
        if found := RESULTS.fullmatch(file.name):
            runs.setdefault((file.parent, found[1] or ""), ([], {}))[0].append(file)
        elif found := SAMPLES.fullmatch(file.name):
            runs.setdefault((file.parent, found[1] or ""), ([], {}))[1][found[2]] = file
    if not runs:
        named = "..._results.json and ..._samples_TASK.jsonl"
        raise StoreError(f"no results of lmms-eval at {path}: give a file, or the folder, that it named {named}")
    read = [_read_run(stamp, *group, problems) for (_, stamp), group in sorted(runs.items())]
    if problems and not path.is_dir():
        raise StoreError(problems[0])
    return ImportReport(tuple(run for run in read if run), tuple(problems))


def _read_run(stamp: str, results: list[Path], samples: Mapping[str, Path], problems: list[str]) -> ImportedRun | None:
    """One run; what cannot be read of it is added to the problems. None: nothing could be."""
    notes: list[str] = []
    source: list[str] = []
    document: dict[str, Any] = {}
    rows: dict[str, Rows] = {}
    for task, file in (*(("", file) for file in results), *samples.items()):
        try:
            if task:
                rows[task] = read_json_lines(file, notes)
            else:
                document = _document(file)
            source.append(file.name)
        except StoreError as error:
            problems.append(str(error))
    if not source:
        return None
    config = _dict(document.get("config"))
    limit = number(config.get("limit"))
    if limit is not None:
        notes.append(f"a smoke run: limited to {limit:g} rows a task, so its scores are no measurement")
    tasks = [t for task in {**document.get("results", {}), **rows} for t in _read_task(document, task, rows, notes)]
    return ImportedRun(
        harness=HARNESS,
        harness_version=name(document.get("lmms_eval_version") or document.get("git_hash")),
        adapter=" ".join(filter(None, (name(config.get("model")), name(config.get("model_backend"))))),
        model_ref=name(document.get("model_name")) or name((*results, *samples.values())[0].parent.name),
        created=_iso(cell(document.get("date"))) or _iso(stamp),
        limit=limit,
        generation=_generation(document, config),
        tasks=tuple(tasks),
        warnings=tuple(notes),
        source=tuple(source),
        plan=_dict(_dict(document.get("strata")).get("plan")),
    )


def _document(file: Path) -> dict[str, Any]:
    found = read_json(file)
    if not isinstance(found, dict) or not isinstance(found.get("results"), dict):
        raise StoreError(f"{file.name}: JSON, but not of lmms-eval: it has no table of results")
    return found


def _generation(document: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Decoding settings by task; those of the command line, which come on top, under ""."""
    configs = {name(t): _dict(c).get("generation_kwargs") for t, c in _dict(document.get("configs")).items()}
    found = {task: kwargs for task, kwargs in configs.items() if isinstance(kwargs, dict)}
    return {**found, **({"": config["gen_kwargs"]} if config.get("gen_kwargs") else {})}


# ------------------------------------------------------------------------------------------------ one task


def _read_task(document: dict[str, Any], task: str, every: Mapping[str, Rows], notes: list[str]) -> list[ImportedTask]:
    """Every metric of a task."""
    rows, called = every.get(task, []), name(task) or "unnamed"
    if repeated := len(rows) - len({_doc_id(r, i) for i, r in enumerate(rows)}):
        notes.append(
            f"{called}: {repeated} rows repeat a doc_id (runs appended to one file, or several filters): all are "
            "kept in file order, and one of each is counted"
        )
    adapter = cell(_dict(document.get("config")).get("model"))
    stated = _stated(_dict(document.get("results", {}).get(task)), task, adapter)
    if not stated:
        stated = [(metric, "", None) for metric in _row_metrics(rows, task, adapter)]
    config = _dict(_dict(document.get("configs")).get(task))
    split = config.get("test_split") or config.get("validation_split")
    rows_stated = number(_dict(_dict(document.get("n-samples")).get(task)).get("effective"))
    key, domain = benchmark_of(called)
    tasks = []
    for metric, filter_name, value in stated:
        which = lmms_metric(task, metric, adapter)
        filters = [f for m, f, _ in stated if m == metric]
        found = ImportedTask(
            key=key,
            task=called,
            domain=domain,
            dataset_id=resolve_dataset_id(name(config.get("dataset_path"))),
            split=name(split),
            metric=name(metric),
            unit=which.unit,
            filter=name(filter_name),
            value=None,
            stated=value,
            n_rows=int(rows_stated) if rows_stated is not None and rows_stated >= 1 else None,
            samples=_read_samples(rows, metric, which, filters.index(filter_name), len(filters)),
        )
        tasks.append(settled(found, which, notes))
    return tasks


def _stated(entry: Mapping[str, Any], task: str, adapter: str) -> list[tuple[str, str, float | None]]:
    """(metric, filter, value) of a row of results; a known metric may be "N/A" or null, others are then left out."""
    found = []
    for key, value in entry.items():
        metric, _, filter_name = key.partition(",")
        known = lmms_metric(task, metric, adapter).how != "unknown"
        as_number = None if isinstance(value, str) else number(value)
        if not NO_METRIC.fullmatch(metric) and (known or as_number is not None):
            found.append((metric, filter_name, as_number))
    return found


def _row_metrics(rows: Rows, task: str, adapter: str) -> list[str]:
    """The metrics that rows without a results file hold: all numbers, and what is known to be a metric."""
    keys = dict.fromkeys(k for row in rows for k in row)
    how = {k: lmms_metric(task, k, adapter).how for k in keys if not NO_SCORE.fullmatch(k)}
    if known := [k for k, found in how.items() if found != "unknown"]:
        return [k for k in known if how[k] not in ("whole", "ratio")]  # rows do not say what those are
    return [k for k in how if any(row_score(row.get(k))[0] is not None for row in rows)]


def _read_samples(rows: Rows, metric: str, which: Metric, place: int, filters: int) -> tuple[ImportedSample, ...]:
    """The rows that a metric is of, by doc_id; of rows that repeat one, the one at the filter's place is counted."""
    if which.how in ("part", "unknown"):
        rows = [row for row in rows if metric in row]
    elif which.how in ("whole", "ratio"):
        return ()
    ids = [_doc_id(row, i) for i, row in enumerate(rows)]
    times = Counter(ids)
    chosen = place if max(times.values(), default=0) == filters else 0
    seen: Counter[str] = Counter()
    samples = []
    for row, doc_id in zip(rows, ids, strict=True):
        samples.append(_read_sample(row, metric, doc_id, counted=seen[doc_id] == min(chosen, times[doc_id] - 1)))
        seen[doc_id] += 1
    return tuple(sorted(samples, key=lambda s: _order(s.sample_key)))


def _read_sample(row: dict[str, Any], metric: str, doc_id: str, *, counted: bool) -> ImportedSample:
    value = row.get(metric)
    detail = _dict(value)
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


def _doc_id(row: Mapping[str, Any], place: int) -> str:
    return name(row.get("doc_id")) or f"row {place}"


def _order(key: str) -> tuple[int, int, str]:
    return (0, int(key), "") if key.isascii() and key.isdigit() and len(key) < 19 else (1, 0, key)


def _leaf(value: Any) -> str:
    """The first answer of an answer, a list of them or a list of lists."""
    while isinstance(value, list):
        value = value[0] if value else None
    return cell(value)


def _first(detail: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((detail[k] for k in keys if detail.get(k) is not None), None)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _iso(stamp: str) -> str:
    found = STAMP.fullmatch(stamp)
    return "{}-{}-{}T{}:{}:{}".format(*found.groups()) if found else ""
