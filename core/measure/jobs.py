"""Jobs: commands in processes of their own, identified by folders, so that they outlive the process that started them.

A job is `python -m core ... --progress-file F`. Its folder has the command, its log, its last report, and a lock that
its process holds while it lives: if the lock is free the job has ended, even if another process has its number now.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from core import settings
from core.errors import StoreError
from core.files import replace_text

COMMANDS = ("sweep", "calibrate", "search")  # that take --progress-file
MOST_RUNNING = 2  # at once: each loads a model of its own and shares the processors with everybody's answers
MOST_KEPT = 50  # jobs; the oldest that do not run are forgotten
REPORT_S = 0.5  # seconds between a job's reports
LOG_BYTES = 4000  # of the end of a log


@dataclass(frozen=True)
class Job:
    """What is known about a job.

    Attributes:
        status: running | done | failed | cancelled | interrupted (its process died without a report: resume it).
        done, total: in the command's unit (outcomes, samples); total is 0 until it is known.
        what: the current step; "stopping …" from a cancel until the process is gone.
        message: how it ended, one line.
        eta_s: seconds left, None if unknown.
    """

    job_id: str
    arguments: tuple[str, ...]
    started: str  # ISO date and time, UTC
    status: str
    done: int = 0
    total: int = 0
    what: str = ""
    message: str = ""
    eta_s: float | None = None

    @property
    def command(self) -> str:
        return " ".join(("python -m core", *self.arguments))


class Report:
    """A running command's report on itself: one JSON file, replaced in one step.

    Raises:
        StoreError: the first write failed (later failures do not stop the command).
    """

    def __init__(self, path: Path):
        self.path, self.last_s = path, 0.0
        self.state: dict[str, Any] = {"status": "running"}
        self.first: tuple[float, int, str] | None = None  # when this stage was first reported, and how far it was
        try:
            _write_json(path, self.state)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}; give another --progress-file") from error

    def progress(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if self.first is None or self.first[2] != what or done < self.first[1]:
            self.first = (now, done, what)
        begun, at, _ = self.first
        left = (total - done) * (now - begun) / (done - at) if done > at else None
        self.state |= {"done": done, "total": total, "what": what, "eta_s": left}
        if now - self.last_s >= REPORT_S:
            self.last_s = now
            self._write()

    def finish(self, status: str, message: str = "") -> None:
        self.state |= {"status": status, "message": message, "eta_s": None}
        self._write()

    def _write(self) -> None:
        with suppress(OSError):
            _write_json(self.path, self.state)


def start_job(arguments: Sequence[str]) -> Job:
    """Start a command (arguments of `python -m core`) in the background, unless the same one is running.

    Raises:
        StoreError: `MOST_RUNNING` jobs run already, or the folder of the jobs cannot be written.
    """
    if arguments[0] not in COMMANDS:
        raise ValueError(f"{arguments[0]} does not report its progress")
    with _changing() as folder:
        for job in list_jobs():
            if job.arguments == tuple(arguments) and job.status == "running":
                return job
        _check_room()
        job_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{token_hex(2)}"
        (folder / job_id).mkdir()
        try:
            _launch(folder / job_id, arguments)
        except OSError:
            _forget(folder / job_id)
            raise
        for old in [j for j in list_jobs() if j.status != "running"][MOST_KEPT:]:
            _forget(folder / old.job_id)
        return get_job(job_id)


def resume_job(job_id: str) -> Job:
    """The same command again: what it finished before is kept, so it goes on from there.

    Raises:
        StoreError: as `start_job`, or there is no such job.
    """
    with _changing() as folder:
        job = get_job(job_id)
        if job.status != "running":
            _check_room()
            (folder / job_id / "progress.json").unlink(missing_ok=True)
            _launch(folder / job_id, job.arguments)
        return get_job(job_id)


def cancel_job(job_id: str) -> None:
    """Ask a job to stop; finished items are kept. Does nothing if it is not running."""
    with _changing() as folder:  # else the number may be the process's from before a resume
        if get_job(job_id).status != "running":
            return
        path = folder / job_id / "job.json"
        facts = _read_json(path)
        _write_json(path, facts | {"cancelled": True})
        with suppress(ProcessLookupError):
            # The command line treats it as Ctrl-C. SIGINT itself is ignored by what a shell began in the background.
            os.kill(facts["pid"], signal.SIGTERM)


def list_jobs() -> list[Job]:
    """Every job, the last one first."""
    ids = sorted((p.parent.name for p in _folder().glob("*/job.json")), reverse=True)
    return [get_job(job_id) for job_id in ids]


def get_job(job_id: str) -> Job:
    folder = _folder() / job_id
    alive = _alive(folder)  # first: a job that ends after this has written its last report before the file is read
    facts = _read_json(folder / "job.json")
    if not facts:
        raise StoreError(f"there is no job '{job_id}': it may be one of the oldest, which are forgotten")
    said = _read_json(folder / "progress.json")
    status = said.get("status", "running")
    if not alive and status == "running":
        status = "cancelled" if facts.get("cancelled") else "interrupted"
    stopping = alive and facts.get("cancelled")
    return Job(
        job_id,
        tuple(facts["arguments"]),
        facts["started"],
        "running" if alive else status,
        said.get("done", 0),
        said.get("total", 0),
        "stopping …" if stopping else said.get("what", ""),
        said.get("message", ""),
        None if stopping else said.get("eta_s"),
    )


def job_log(job_id: str) -> str:
    """The end of what a job printed."""
    with suppress(OSError), (_folder() / job_id / "log.txt").open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
        return file.read().decode(errors="replace")
    return ""


# ------------------------------------------------------------------------------------------------ inside


def _folder() -> Path:
    return settings.data_dir() / "jobs"


def _check_room() -> None:
    """Call it under the lock (`_changing`) that covers the start, or two starters at once both find room."""
    if sum(j.status == "running" for j in list_jobs()) >= MOST_RUNNING:
        raise StoreError(f"{MOST_RUNNING} jobs run already: wait for one, or cancel it")


def _launch(folder: Path, arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "core", *arguments, "--progress-file", str(folder / "progress.json")]
    with (folder / "lock").open("w") as lock, (folder / "log.txt").open("ab") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            command,
            cwd=settings.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C at the dashboard does not reach it
            pass_fds=(lock.fileno(),),  # the process keeps the lock
        )
        started = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            _write_json(folder / "job.json", {"arguments": list(arguments), "started": started, "pid": process.pid})
        except OSError:  # the disk is full: the job could not be found again
            process.kill()
            raise
    threading.Thread(target=process.wait, daemon=True).start()  # reaps it, else it stays a zombie


def _alive(folder: Path) -> bool:
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def _changing() -> Iterator[Path]:
    """The folder of the jobs, in which one process at a time starts, stops or forgets any."""
    folder = _folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    except OSError as error:
        raise StoreError(
            f"cannot change a job in {folder}: {error.strerror}; set STRATA_HOME to another place"
        ) from error


def _forget(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _write_json(path: Path, data: dict[str, Any]) -> None:
    replace_text(path, json.dumps(data))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}
