"""Jobs: commands in the background, watched, cancelled, killed and resumed by whoever opens their folder."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cache import RunStore
from core import settings
from core.errors import StoreError
from core.library import finding
from core.measure import jobs
from core.measure.jobs import Job, Report, cancel_job, get_job, job_log, list_jobs, resume_job, start_job
from tests.unit.test_cli import run

SWEEP = ["sweep", "--criteria", "uniform", "--budgets", "1-6", "--random", "0", "--limit", "192"]
PIECE = 7 * 64  # outcomes that are saved together: the full model and six plans, a chunk of items


def wait_for(job_id: str, *status: str, least_done: int = 0) -> Job:
    for _ in range(4000):
        job = get_job(job_id)
        if job.status in status and job.done >= least_done:
            return job
        assert job.status == "running", f"{job} {job_log(job_id)}"
        time.sleep(0.05)
    raise AssertionError(f"{job} {job_log(job_id)}")


@pytest.mark.slow
def test_a_sweep_is_watched_killed_resumed_cancelled_and_finished(strata_home: Path) -> None:
    """By processes that know nothing of each other: the one that starts it is gone before the next one looks."""
    starter = f"from core.measure.jobs import start_job; import sys; sys.stdout.write(start_job({SWEEP!r}).job_id)"
    started = subprocess.run(
        [sys.executable, "-c", starter], cwd=settings.ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    job_id = started.stdout
    assert [j.job_id for j in list_jobs()] == [job_id]
    running = wait_for(job_id, "running", least_done=PIECE + 1)
    assert PIECE < running.done < running.total == 2 * 192 * 7 and "plans on tiny-math" in running.what
    assert running.command == "python -m core " + " ".join(SWEEP)
    assert start_job(SWEEP).job_id == job_id  # no second one beside it

    os.kill(json.loads((strata_home / "jobs" / job_id / "job.json").read_text())["pid"], signal.SIGKILL)
    interrupted = wait_for(job_id, "interrupted")
    assert interrupted.done >= running.done

    assert resume_job(job_id).status == "running"
    resumed = wait_for(job_id, "running", least_done=PIECE + 1)
    assert resumed.total <= running.total - PIECE  # what was finished is not done again
    cancel_job(job_id)
    cancelled = wait_for(job_id, "cancelled")
    assert "finished items are kept" in cancelled.message

    resume_job(job_id)
    done = wait_for(job_id, "done")
    assert (done.eta_s, done.message, done.done) == (None, "", done.total)
    assert done.total <= resumed.total - PIECE
    assert "taken from the store" in job_log(job_id)
    with RunStore(finding.user_runs_path()) as store:
        records = store.records()
        assert records and all(r.complete for r in records)
    cancel_job(job_id)
    assert get_job(job_id) == done


def test_a_job_that_fails_says_why(strata_home: Path) -> None:
    job = start_job(["sweep", "--criteria", "mth_aware"])
    failed = wait_for(job.job_id, "failed")
    assert "did you mean 'math_aware'?" in failed.message
    assert "mth_aware" in job_log(job.job_id)


def test_a_cancel_in_the_midst_of_a_resume_stops_the_new_process(
    strata_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went to the process before, if to any, and was forgotten."""
    job_id = start_job(["sweep", "--criteria", "mth_aware"]).job_id
    wait_for(job_id, "failed")
    real, cancel = subprocess.Popen, threading.Thread(target=cancel_job, args=(job_id,))

    def slowly(*args: Any, **named: Any) -> Any:
        cancel.start()
        time.sleep(0.2)
        return real(*args, **named)

    monkeypatch.setattr(jobs.subprocess, "Popen", slowly)
    resume_job(job_id)
    cancel.join()
    assert get_job(job_id).what in ("stopping …", "")  # "" once it is gone
    wait_for(job_id, "cancelled")


def test_a_calibration_reports_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, _ = run(capsys, "calibrate", "--samples", "2", "--progress-file", str(tmp_path / "p.json"))
    said = json.loads((tmp_path / "p.json").read_text())
    assert code == 0 and (said["status"], said["what"], said["done"]) == ("done", "calibrating", said["total"])


def test_what_a_command_says_about_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now)
    report = Report(tmp_path / "progress.json")
    read = lambda: json.loads((tmp_path / "progress.json").read_text())  # noqa: E731
    assert read() == {"status": "running"}
    report.progress(10, 110, "a")  # the first ten were there before: the rate is not known yet
    assert read() == {"status": "running", "done": 10, "total": 110, "what": "a", "eta_s": None}
    now += 20.0
    report.progress(50, 110, "a")
    assert read()["eta_s"] == pytest.approx(30.0)  # 40 in 20 s, 60 to go
    now += 0.1
    report.progress(51, 110, "a")
    assert read()["done"] == 50  # not at every step
    report.progress(0, 5, "b")
    now += 1.0
    report.progress(1, 5, "b")
    assert read()["eta_s"] == pytest.approx(4.0)  # a new stage has a rate of its own
    report.finish("done")
    assert read() == {"status": "done", "done": 1, "total": 5, "what": "b", "eta_s": None, "message": ""}


def test_a_progress_file_that_cannot_be_written_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, stderr = run(capsys, "sweep", "--progress-file", str(tmp_path / "file" / "progress.json"))
    assert code == 2 and "give another --progress-file" in stderr and "Traceback" not in stderr


def test_unknown_jobs_and_unusable_folders_are_one_line(strata_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_jobs() == []
    for call in (get_job, resume_job, cancel_job):
        with pytest.raises(StoreError, match="no job 'nothing'"):
            call("nothing")
    assert job_log("nothing") == ""
    with pytest.raises(ValueError, match="progress"):
        start_job(["plan"])
    (strata_home / "file").write_text("")
    monkeypatch.setenv("STRATA_HOME", str(strata_home / "file"))
    with pytest.raises(StoreError, match="set STRATA_HOME"):
        start_job(SWEEP)


def test_a_full_disk_leaves_no_process_that_nobody_knows_of(strata_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, started = subprocess.Popen, []

    def keeping(*args: Any, **named: Any) -> Any:
        started.append(real(*args, **named))
        return started[0]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(jobs.subprocess, "Popen", keeping)
    monkeypatch.setattr(jobs, "_write_json", full)
    with pytest.raises(StoreError, match="No space left on device"):
        start_job(SWEEP)
    assert started[0].wait(20) == -signal.SIGKILL
    assert list_jobs() == [] and [p.name for p in (strata_home / "jobs").iterdir()] == ["lock"]


def test_the_oldest_jobs_are_forgotten(strata_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST_KEPT", 2)
    for day in range(1, 6):
        folder = strata_home / "jobs" / f"2026010{day}-000000-0000"
        folder.mkdir(parents=True)
        (folder / "job.json").write_text(json.dumps({"arguments": ["sweep"], "started": "2026", "pid": 1}))
    assert [j.status for j in list_jobs()] == ["interrupted"] * 5
    new = start_job(["sweep", "--criteria", "mth_aware"])
    wait_for(new.job_id, "failed")
    assert [j.job_id for j in list_jobs()] == [new.job_id, "20260105-000000-0000", "20260104-000000-0000"]
