"""A public instance: visitors ask the models of its list within bounds, and start nothing."""

import pytest

from core.errors import LimitError
from core.limits import Limits
from dashboard import services
from tests.app.conftest import texts
from tests.unit.test_limits import HOSTILE


@pytest.fixture
def demo(recorded, engine, monkeypatch):
    monkeypatch.setattr(services.models, "limits", lambda: bounds)
    bounds = Limits(models=(), work=False, question_chars=200, session_tokens=200, upload_bytes=1000)
    return engine


@pytest.mark.parametrize("page", ["overview", "compare"])
def test_hostile_model_ids_of_a_link_reach_nothing(demo, open_page, page) -> None:
    for model_id in [h for h in HOSTILE if h][::3]:
        at = open_page(page, model=model_id)
        assert not at.exception, model_id
        assert "tiny" in texts(at)
    assert not demo.requests
    assert not any(services.models.offered(h) for h in HOSTILE)


def test_a_session_has_a_budget_of_tokens(demo, open_page) -> None:
    at = open_page("compare", budget="3", a="deepest")
    at.button(key="ask").click().run()
    at.button(key="ask").click().run()
    assert not at.error and len(demo.requests) == 2  # 2 x 96 of 200 tokens
    at.button(key="ask").click().run()
    assert not at.exception and len(demo.requests) == 2
    assert "this session has used 192 of its 200 tokens" in at.error[0].value


def test_uploads_are_bounded(demo) -> None:
    with pytest.raises(LimitError, match="MB"):
        services.samples.uploaded(b"x" * 1001, "What is it?")


def test_nothing_is_started_or_kept(demo) -> None:
    atlas = services.similarities.atlas("tiny")
    plan = services.plans.plan(atlas, "deepest", 2)
    refused = (
        lambda: services.jobs.start("sweep", {"model": "tiny"}),
        lambda: services.jobs.resume("x"),
        lambda: services.jobs.cancel("x"),
        lambda: services.jobs.import_runs(b""),
        lambda: services.plans.measure_speed("tiny", [None]),
        lambda: services.plans.export_zip(services.models.spec("tiny"), plan, atlas),
        lambda: services.answers.record_answers("tiny", [], services.samples.gallery("tiny")[0]),
        lambda: services.similarities.recompute("tiny", 2, 0),
    )
    for start in refused:
        with pytest.raises(LimitError, match="switched off on this public instance"):
            start()


def test_the_runs_page_says_so_in_one_line(demo, open_page) -> None:
    at = open_page("runs")
    assert not at.exception
