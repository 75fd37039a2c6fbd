"""Results of lmms-eval: a results file, a file of samples, or a folder that holds both.

Rows are known by `doc_id`, prompt and gold answer. The files' own hashes name nothing: `doc_hash` is the hash of the
text "null" in every row, and `task_hashes` follow from the number of rows.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import StoreError
from core.interop.files import cell, files_below, name, number, read_json
from core.interop.lmms_rows import Rows, identity, read_log, read_rows, read_samples, row_metrics
from core.interop.names import Version, benchmark_of, lmms_metric
from core.interop.records import ImportedRun, ImportedTask, ImportReport, resolve_dataset_id
from core.interop.verdicts import settled

HARNESS = "lmms-eval"
RESULTS = re.compile(r"(?:([\dT_-]+)_)?results\.json")
SAMPLES = re.compile(r"(?:([\dT_-]+)_)?samples_(.+)\.jsonl")
STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)")
# of EleutherAI's lm-evaluation-harness, from which lmms-eval is descended
LM_EVAL = re.compile(r"(?:results|samples_.+)_\d{4}-\d\d-\d\dT[\d.:-]+\.jsonl?")
NOT_READ = (
    "results of EleutherAI's lm-evaluation-harness, which are not read: give results of lmms-eval or of VLMEvalKit"
)
VERSION = re.compile(r"v?(\d+)\.(\d+)(?![\w])")
MODEL_KEYS = ("peft", "delta", "pretrained", "model", "model_version", "model_name", "model_id", "path", "engine")
NO_METRIC = re.compile(
    r"samples|alias| *|submission|paired_\w+|"
    r".*_(?:stderr(?:_\w+)?|expected_accuracy|consensus_accuracy|internal_variance|consistency_rate)"
)


def read_lmms_eval(path: Path) -> ImportReport:
    """Read results: one file by itself, or every run of a folder, samples with the results of the same time.

    Raises:
        StoreError: one file that cannot be read, or a folder without results. In a folder, files that cannot be read
            are the report's problems, and all others are read.
    """
    path = Path(path)
    runs: dict[tuple[Path, str], tuple[list[Path], dict[str, Path]]] = {}
    files, problems = files_below(path) if path.is_dir() else ([path], [])
    foreign = [file for file in files if LM_EVAL.fullmatch(file.name)]
    for file in files:
        if file in foreign:
            continue
        if found := RESULTS.fullmatch(file.name):
            runs.setdefault((file.parent, found[1] or ""), ([], {}))[0].append(file)
        elif found := SAMPLES.fullmatch(file.name):
            runs.setdefault((file.parent, found[1] or ""), ([], {}))[1][found[2]] = file
    for file in files:  # TASK.json beside results.json, or by itself: the layout of versions 0.1 to 0.2
        group = runs.get((file.parent, "")) or (
            runs.setdefault((file.parent, ""), ([], {})) if not path.is_dir() else None
        )
        if group and file.suffix == ".json" and file not in group[0] and not RESULTS.fullmatch(file.name):
            try:
                if read_log(file):
                    group[1][file.stem] = file
            except StoreError as error:
                problems.append(str(error))
    runs = {key: group for key, group in runs.items() if any(group)}
    if foreign:
        problems.append(f"{foreign[0].name}: {NOT_READ}")
    if not runs:
        named = "..._results.json and ..._samples_TASK.jsonl"
        raise StoreError(
            problems[0]
            if problems and (foreign or not path.is_dir())
            else f"no results of lmms-eval at {path}: give a file, or the folder, that it named {named}"
        )
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
    damaged: set[str] = set()
    for task, file in (*(("", file) for file in results), *samples.items()):
        said = len(notes)
        try:
            if task:
                rows[task] = read_rows(file, notes)
                damaged |= {task} if len(notes) > said else set()
                document = document or (read_log(file) or {} if file.suffix == ".json" else {})
            else:
                document = _document(file)
            source.append(file.name)
        except StoreError as error:
            problems.append(str(error))
    if not source:
        return None
    config = _dict(document.get("config")) or _dict(document.get("args"))
    limit = number(config.get("limit"))
    if limit is not None:
        notes.append(f"a smoke run: limited to {limit:g} rows a task, so its scores are no measurement")
    stated = name(document.get("lmms_eval_version") or document.get("git_hash"))
    version = _version(stated)
    tasks = [
        t
        for task in {**_dict(document.get("results")), **rows}
        for t in _read_task(document, task, rows, version, notes, whole=task not in damaged)
    ]
    return ImportedRun(
        harness=HARNESS,
        harness_version=stated,
        adapter=" ".join(filter(None, (name(config.get("model")), name(config.get("model_backend"))))),
        model_ref=name(document.get("model_name"))
        or _model_of(config.get("model_args"))
        or name((*results, *samples.values())[0].parent.name),
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
    keys = [k for entry in found["results"].values() for k in _dict(entry) if not NO_METRIC.fullmatch(k)]
    if "lm_eval_version" in found or (keys and not any("," in k for k in keys)):  # no filters: before its version 0.4
        raise StoreError(f"{file.name}: {NOT_READ}")
    return found


def _version(stated: str) -> Version | None:
    found = VERSION.match(stated)
    return tuple(int(part) for part in found.groups()) if found else None


def _model_of(model_args: Any) -> str:
    """What was loaded, as lmms-eval names it after its arguments."""
    pairs = (
        model_args if isinstance(model_args, dict) else dict(p.partition("=")[::2] for p in cell(model_args).split(","))
    )
    return next((name(pairs[key]) for key in MODEL_KEYS if pairs.get(key)), "")


def _generation(document: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Decoding settings by task; those of the command line, which come on top, under ""."""
    configs = {name(t): _dict(c).get("generation_kwargs") for t, c in _dict(document.get("configs")).items()}
    found = {task: kwargs for task, kwargs in configs.items() if isinstance(kwargs, dict)}
    return {**found, **({"": config["gen_kwargs"]} if config.get("gen_kwargs") else {})}


# ------------------------------------------------------------------------------------------------ one task


def _read_task(
    document: dict[str, Any],
    task: str,
    every: Mapping[str, Rows],
    version: Version | None,
    notes: list[str],
    *,
    whole: bool,
) -> list[ImportedTask]:
    """Every metric of a task."""
    rows, called = every.get(task, []), name(task) or "unnamed"
    config, entry = _dict(_dict(document.get("configs")).get(task)), _dict(_dict(document.get("results")).get(task))
    adapter = cell((_dict(document.get("config")) or _dict(document.get("args"))).get("model"))
    stated = _stated(entry, task, adapter, version)
    if not stated:
        stated = [(metric, "", None) for metric in row_metrics(rows, task, adapter, version)]
    if not stated and (rows or any(not NO_METRIC.fullmatch(k.partition(",")[0]) for k in entry)):
        notes.append(f"{called}: nothing in it is a score that is known: it is not taken")
    repeated = len(rows) - len({(*identity(r, i), cell(r.get("filter"))) for i, r in enumerate(rows)})
    if repeated:
        notes.append(
            f"{called}: {repeated} rows repeat a doc_id (runs appended to one file, or several filters): all are "
            "kept in file order, and one of each is counted"
        )
    rows_stated = number(_dict(_dict(document.get("n-samples")).get(task)).get("effective"))
    key, domain = benchmark_of(called, adapter)
    tasks = []
    for metric, filter_name, value in stated:
        which = lmms_metric(task, metric, adapter, version)
        filters = [f for m, f, _ in stated if m == metric]
        found = ImportedTask(
            key=key,
            task=called,
            domain=domain,
            dataset_id=resolve_dataset_id(name(config.get("dataset_path"))),
            split=name(config.get("test_split") or config.get("validation_split")),
            metric=name(metric),
            unit=which.unit,
            filter=name(filter_name),
            value=None,
            stated=value,
            n_rows=None,
            samples=read_samples(rows, metric, which, filter_name, filters),
            n_stated=int(rows_stated) if rows_stated is not None and rows_stated >= 1 else None,
        )
        tasks.append(settled(found, which, notes, whole=whole))
    return tasks


def _stated(
    entry: Mapping[str, Any], task: str, adapter: str, version: Version | None
) -> list[tuple[str, str, float | None]]:
    """(metric, filter, value) of a row of results; a known metric may be "N/A" or null, others are then left out."""
    found = []
    for key, value in entry.items():
        metric, _, filter_name = key.partition(",")
        known = lmms_metric(task, metric, adapter, version).how != "unknown"
        as_number = None if isinstance(value, str) else number(value)
        if not NO_METRIC.fullmatch(metric) and (known or as_number is not None):
            found.append((metric, filter_name, as_number))
    return found


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _iso(stamp: str) -> str:
    found = STAMP.fullmatch(stamp)
    return "{}-{}-{}T{}:{}:{}".format(*found.groups()) if found else ""
