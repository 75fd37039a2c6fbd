"""Runs: what is listed, what jobs are asked to do and how they are watched, and import of good and of damaged files."""

import time
from dataclasses import replace

import pytest

from cache import load_recorded
from core.errors import StoreError
from core.measure import jobs
from core.measure.jobs import Job, get_job, list_jobs
from tests.app.conftest import texts


class FakeJobs:
    """Jobs that do what the test says, in place of processes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.held: list[Job] = []
        self.calls: list[tuple[str, object]] = []
        for name in ("start_job", "list_jobs", "cancel_job", "resume_job", "job_log"):
            monkeypatch.setattr(jobs, name, getattr(self, name))

    def start_job(self, arguments: tuple[str, ...]) -> Job:
        self.calls.append(("start", arguments))
        self.held.insert(0, Job(f"job{len(self.held)}", arguments, "2026-01-02T03:04:05+00:00", "running"))
        return self.held[0]

    def list_jobs(self) -> list[Job]:
        return list(self.held)

    def set(self, **values: object) -> None:
        self.held[0] = replace(self.held[0], **values)

    def cancel_job(self, job_id: str) -> None:
        self.calls.append(("cancel", job_id))
        self.set(status="cancelled", message="stopped; finished items are kept")

    def resume_job(self, job_id: str) -> None:
        self.calls.append(("resume", job_id))
        self.set(status="running", message="")

    def job_log(self, job_id: str) -> str:
        return "\n".join(f"line {i}" for i in range(40))


@pytest.fixture
def fake_jobs(monkeypatch):
    return FakeJobs(monkeypatch)


def progress(at) -> list[tuple[float, str]]:
    return [(p.proto.value, p.proto.text) for p in at.get("progress")]


def test_lists_the_recorded_set(recorded, engine, open_page):
    at = open_page("runs")
    assert not at.exception
    table = at.dataframe[0].value
    assert set(table["benchmark"]) == {"drawn-math", "drawn-general"}
    assert set(table["n"]) == {40}
    assert "Nothing yet: start a sweep below" in texts(at)
    assert "No jobs yet: start one below" in texts(at)


def test_a_sweep_is_started_watched_cancelled_and_resumed(recorded, engine, open_page, fake_jobs):
    at = open_page("runs")
    at.slider(key="sweep_budgets").set_range(2, 3)
    at.slider(key="sweep_limit").set_value(16)
    at.button(key="start_sweep").click().run()
    assert not at.exception
    criteria = "math_aware,non_math_aware,mixed,uniform"
    asked = ("sweep", "--model", "tiny", "--criteria", criteria, "--budgets", "2-3", "--random", "4", "--limit", "16")
    assert fake_jobs.calls == [("start", asked)]
    assert progress(at) == [(0, "starting …")]
    fake_jobs.set(done=1200, total=4800, what="7 plans on tiny-math", eta_s=180.0)
    at.run()
    assert progress(at) == [(25, "1,200 of 4,800 · 7 plans on tiny-math · about 3 min left")]
    at.button(key="cancel_job0").click().run()
    assert fake_jobs.calls[1:] == [("cancel", "job0")]
    assert at.button(key="cancel_job0").disabled and not at.button(key="resume_job0").disabled
    assert not progress(at) and "finished items are kept" in texts(at)
    at.button(key="resume_job0").click().run()
    assert fake_jobs.calls[2:] == [("resume", "job0")]
    assert at.button(key="resume_job0").disabled and not at.button(key="cancel_job0").disabled
    assert len(progress(at)) == 1
    fake_jobs.set(status="done")
    at.run()
    assert not progress(at) and "done" in texts(at)
    assert [link.proto.label for link in at.get("page_link")] == ["See the scores"]
    assert not at.exception


def test_calibrations_and_searches_get_what_was_chosen(recorded, engine, open_page, fake_jobs):
    at = open_page("runs")
    at.segmented_control(key="job").set_value("calibrate").run()
    at.slider(key="calibrate_samples").set_value(64)
    at.toggle(key="calibrate_greedy").set_value(True)
    at.button(key="start_calibrate").click().run()
    at.segmented_control(key="job").set_value("search").run()
    at.slider(key="search_budget").set_value(3)
    at.button(key="start_search").click().run()
    assert not at.exception
    assert [call[1] for call in fake_jobs.calls] == [
        ("calibrate", "--model", "tiny", "--samples", "64", "--seed", "1", "--greedy"),
        ("search", "--model", "tiny", "--domain", "math", "--budget", "3", "--plans", "300"),
    ]
    at.button(key="start_search").click().run()
    assert len(fake_jobs.calls) == 2 and "2 jobs run already" in at.error[0].value


def test_the_end_of_the_log_is_shown_on_request(recorded, engine, open_page, fake_jobs):
    fake_jobs.start_job(("sweep", "--model", "tiny"))
    fake_jobs.set(status="failed", message="unknown criterion '<b>x</b>'")
    at = open_page("runs")
    assert "unknown criterion" in texts(at) and "line 39" not in texts(at)
    at.session_state["log_job0"] = True
    at.run()
    read = texts(at)
    assert "line 39" in read and "line 25" in read and "line 24" not in read
    assert "python -m core sweep --model tiny" in read


def test_a_job_that_cannot_start_gives_one_line(recorded, engine, open_page, fake_jobs, monkeypatch):
    def start(arguments):
        raise StoreError("cannot change a job in /nowhere: set STRATA_HOME to another place")

    monkeypatch.setattr(jobs, "start_job", start)
    at = open_page("runs")
    at.button(key="start_sweep").click().run()
    assert at.error[0].value == "cannot change a job in /nowhere: set STRATA_HOME to another place"


@pytest.mark.slow
def test_a_real_job_outlives_the_page_that_started_it_and_its_runs_appear(engine, open_page):
    at = open_page("runs")
    at.pills(key="sweep_criteria").set_value(["uniform"])
    at.slider(key="sweep_budgets").set_range(1, 1)
    at.slider(key="sweep_random").set_value(0)
    at.slider(key="sweep_limit").set_value(16)
    at.button(key="start_sweep").click().run()
    [job] = list_jobs()
    assert "Nothing yet: start a sweep" in texts(at)
    for _ in range(2400):
        if get_job(job.job_id).status != "running":
            break
        time.sleep(0.05)
    at = open_page("runs")
    assert not at.exception and "done" in texts(at)
    assert "Nothing yet: start a sweep" not in texts(at)
    own = at.dataframe[1].value
    assert set(own.benchmark) == {"tiny-math", "tiny-general"} and set(own.finished) == {2} and set(own.n) == {16}


def test_import_of_runs_and_of_rubbish(recorded, engine, open_page):
    at = open_page("runs")
    at.file_uploader(key="import_file").upload("runs.parquet", (recorded / "tiny.runs.parquet").read_bytes()).run()
    at.button(key="import_runs").click().run()
    assert not at.exception
    n = len(load_recorded(recorded / "tiny.runs.parquet")[0])
    assert n > 100 and f"{n} runs imported" in at.success[0].value
    assert "Nothing yet" not in texts(at)
    at = open_page("runs")
    at.file_uploader(key="import_file").upload("runs.parquet", b"PAR1 rubbish PAR1").run()
    at.button(key="import_runs").click().run()
    assert not at.exception
    assert at.error


def test_without_a_model_the_page_says_how_to_get_one(nothing, open_page):
    at = open_page("runs")
    assert not at.exception
    assert "install requirements.txt" in texts(at)
