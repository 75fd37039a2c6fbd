"""The real app for a whole session of tests, and a page of a headless Chromium that stands on its overview."""

import pytest

from core import settings
from core.measure.jobs import cancel_job, list_jobs
from tests.app.synthetic import write_recording
from tests.browser.serve import browser_page, running_app

WAIT = 120_000  # ms; the machine may be busy


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """The real app over the recorded runs that ship, or over synthetic ones while there are none."""
    home = str(tmp_path_factory.mktemp("home"))
    environment = {"STRATA_HOME": home}
    if not (settings.RECORDED_DIR / "tiny.runs.parquet").exists():
        recording = tmp_path_factory.mktemp("recording")
        write_recording(recording)
        environment["STRATA_RECORDED"] = str(recording)
    with running_app(environment) as address:
        yield address
    with pytest.MonkeyPatch.context() as patch:  # a job outlives the app, and a test that failed
        patch.setenv("STRATA_HOME", home)
        for job in list_jobs():
            cancel_job(job.job_id)


@pytest.fixture
def page(app):
    with browser_page() as opened:
        opened.set_default_timeout(WAIT)
        problems: list[str] = []
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.goto(app)
        opened.get_by_role("heading", level=1).wait_for()
        yield opened
        assert not problems
        assert opened.locator("[data-testid=stException]").count() == 0
