"""Jobs and what is stored: background work, runs in and out, disk use."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from core import settings
from core.analysis import tables
from core.benchmarks import get_benchmark, list_benchmarks
from core.errors import StoreError
from core.library.finding import user_runs_path, user_trials_path
from core.measure import jobs
from core.measure.jobs import Job
from core.measure.sweep import EMBEDDED
from core.records.runs import RunRecord
from dashboard.services import answers, models, scores

MOST_RUNNING = 2  # jobs at once: each loads a model of its own and shares the processors with everybody's answers

# ------------------------------------------------------------------------------------------------ what is stored


def run_groups(recorded: bool) -> pd.DataFrame:
    """What is recorded, or what was measured here: one row per model and benchmark."""
    rows: dict[tuple[str, ...], list[RunRecord]] = {}
    for r in scores.sources().recorded if recorded else scores.sources().own:
        rows.setdefault((r.model.model_id, r.model.revision[:10], r.benchmark, r.data_hash[:8], r.origin), []).append(r)
    table = [
        {
            "model": key[0],
            "revision": key[1],
            "benchmark": key[2],
            "data": key[3],
            "origin": key[4],
            "runs": len(group),
            "finished": sum(r.complete for r in group),
            "criteria": len({r.plan.criterion for r in group}),
            "budgets": tables.as_ranges(sorted({r.plan.n_drop for r in group})),
            "n": max(len(r.item_ids) for r in group),
            "device": " / ".join(sorted({r.device for r in group if r.device})),
            "date": max(r.created for r in group)[:10],
        }
        for key, group in rows.items()
    ]
    return pd.DataFrame(table)


def export_runs() -> bytes:
    """The user's runs as one Parquet file."""
    from cache.run_store import RunStore

    with tempfile.TemporaryDirectory() as folder, RunStore(user_runs_path()) as runs:
        path = Path(folder) / "runs.parquet"
        runs.export_parquet(path)
        return path.read_bytes()


def import_runs(data: bytes) -> int:
    """Merge an uploaded Parquet file of runs into the user's store; returns the number of runs in it."""
    from cache.run_store import RunStore

    models.limits().check_work("importing runs")
    with tempfile.TemporaryDirectory() as folder, RunStore(user_runs_path()) as runs:
        path = Path(folder) / "upload.parquet"
        path.write_bytes(data)
        return runs.import_parquet(path)


def disk_use() -> list[tuple[str, str, int]]:
    """(what, where, bytes) of everything that Strata keeps on this disk."""
    own = settings.data_dir()
    places = {
        "recorded set": settings.RECORDED_DIR,
        "your runs": user_runs_path(),
        "your searches": user_trials_path(),
        "your similarities": own / "atlases",
        "your answers": answers.answers_folder(),
        "jobs and their logs": own / "jobs",
    }
    return [(what, settings.shown(path), _bytes_in(path)) for what, path in places.items()]


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # a job has just replaced it
            continue
    return total


# ------------------------------------------------------------------------------------------------ jobs


def benchmarks() -> tuple[str, ...]:
    """Benchmarks that are fetched from the Hub, by key."""
    return tuple(b.key for b in list_benchmarks() if b.dataset)


def benchmark_label(key: str) -> str:
    return key if key in EMBEDDED else get_benchmark(key).title


def every_job() -> list[Job]:
    """Background jobs, of whoever started them here; the last one first."""
    return jobs.list_jobs()


def start(command: str, options: Mapping[str, object]) -> Job:
    """Start `python -m core <command>` in the background; it goes on when the page is left.

    Args:
        options: by long name without dashes; None and False are left out, True is a flag, lists are joined by commas.
    Raises:
        StoreError: too many jobs run already, or their folder cannot be written.
    """
    models.limits().check_work("starting jobs")
    if sum(j.status == "running" for j in every_job()) >= MOST_RUNNING:
        raise StoreError(f"{MOST_RUNNING} jobs run already: wait for one, or cancel it")
    return jobs.start_job((command, *_arguments(options)))


def _arguments(options: Mapping[str, object]) -> Sequence[str]:
    found: list[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        found.append(f"--{name}")
        if value is not True:
            found.append(",".join(map(str, value)) if isinstance(value, list) else str(value))
    return found


def resume(job_id: str) -> None:
    models.limits().check_work("starting jobs")
    jobs.resume_job(job_id)


def cancel(job_id: str) -> None:
    models.limits().check_work("cancelling jobs")
    jobs.cancel_job(job_id)


def log_end(job_id: str, lines: int = 15) -> str:
    """The last lines that a job printed."""
    return "\n".join(jobs.job_log(job_id).splitlines()[-lines:])
