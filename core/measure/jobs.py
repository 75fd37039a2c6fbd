"""Jobs: commands that run in processes of their own, known by their folders, so that they outlive who started them.

A job is `python -m core ... --progress-file F`. Its folder holds the command, its log, what it last said about itself,
and a lock that its process holds for as long as it lives: whoever can take the lock knows that it is gone, whatever
number its process had and whoever has that number now.
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

COMMANDS = ("sweep", "calibrate", "search")  # that take --progress-file
MOST_KEPT = 50  # jobs; the oldest that do not run are forgotten
REPORT_S = 0.5  # how often a job says how far it is
LOG_BYTES = 4000  # of the end of a log


@dataclass(frozen=True)
class Job:
    """What is known about a job.

    Attributes:
        status: running | done | failed | cancelled | interrupted (its process died without a word: resume it).
        done, total: outcomes, samples or what else the command counts; total is 0 until it is known.
        what: what it is doing; "stopping …" from a cancel until it is gone.
        message: how it ended, one line.
        eta_s: seconds that are left, None where nobody can say.
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
    """What a running command says about itself: one JSON file, put in its place in one step.

    Raises:
        StoreError: the file cannot be written (later on, a command does not break off over that).
    """

    def __init__(self, path: Path):
        self.path, self.last_s = path, 0.0
        self.state: dict[str, Any] = {"status": "running"}
        self.first: tuple[float, int, str] | None = None  # when this stage was first heard of, and how far it was then
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
    """Start a command (arguments of `python -m core`) in the background; one that runs already is not started again.

    Raises:
        StoreError: the folder of the jobs cannot be written.
    """
    if arguments[0] not in COMMANDS:
        raise ValueError(f"{arguments[0]} does not report its progress")
    with _changing() as folder:
        for job in list_jobs():
            if job.arguments == tuple(arguments) and job.status == "running":
                return job
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
    """The same command again: what it finished before is kept, so it goes on from there."""
    with _changing() as folder:
        job = get_job(job_id)
        if job.status != "running":
            (folder / job_id / "progress.json").unlink(missing_ok=True)
            _launch(folder / job_id, job.arguments)
        return get_job(job_id)


def cancel_job(job_id: str) -> None:
    """Ask a job to stop; it keeps the items that it finished. One that does not run is left as it is."""
    with _changing() as folder:  # else the number may be that of the process before a resume
        if get_job(job_id).status != "running":
            return
        path = folder / job_id / "job.json"
        facts = _read_json(path)
        _write_json(path, facts | {"cancelled": True})
        with suppress(ProcessLookupError):
            # The command line takes it as Ctrl-C. SIGINT itself is ignored by whatever a shell began in the background.
            os.kill(facts["pid"], signal.SIGTERM)


def list_jobs() -> list[Job]:
    """Every job, the last one first."""
    ids = sorted((p.parent.name for p in _folder().glob("*/job.json")), reverse=True)
    return [get_job(job_id) for job_id in ids]


def get_job(job_id: str) -> Job:
    folder = _folder() / job_id
    alive = _alive(folder)  # asked first: a job that ends now has said its last word when the file is read
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
            start_new_session=True,  # Ctrl-C at the dashboard is not meant for it
            pass_fds=(lock.fileno(),),  # the lock is the process's now
        )
        started = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            _write_json(folder / "job.json", {"arguments": list(arguments), "started": started, "pid": process.pid})
        except OSError:  # the disk is full: nobody would know of it
            process.kill()
            raise
    threading.Thread(target=process.wait, daemon=True).start()  # nobody else would take note of its end


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
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(data))
    os.replace(new, path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return {}
