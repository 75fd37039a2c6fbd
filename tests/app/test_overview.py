"""Overview: what the user reads with a recording, without one, and with a link to a model that is not there."""

from dashboard import services, widgets
from tests.app.conftest import texts


def test_shows_the_regime_chart_of_both_domains_and_the_tour(recorded, engine, open_page):
    at = open_page("overview")
    assert not at.exception
    charts = at.get("vega_lite_chart")
    assert len(charts) == 2
    read = texts(at)
    for chart, domain in zip(charts, ("math", "general"), strict=True):
        story = widgets.regime_story(services.scores.view("tiny").regime_labels(domain))
        assert chart.proto.alt.endswith(story) and f"Layers dropped: {story}." in read
    assert "n = 40 items" in read and "synthetic CPU" in read and "10th to 90th percentile" in read
    assert [(link.value, link.proto.query_string) for link in at.page_link][:4] == [
        ("1 · See what each layer does", "tasks=true"),
        ("2 · Choose what to drop", "budget=6"),
        ("3 · Watch it answer", "budget=6"),
        ("4 · Weigh the evidence", "measure=retention"),
    ]


def test_says_what_is_live_and_what_is_recorded(recorded, engine, open_page, monkeypatch):
    runs = len(services.scores.view("tiny").setting)
    said = texts(open_page("overview"))
    assert ":green-badge[live] **Answers, calibration, sweeps** on CPU" in said
    assert ":blue-badge[recorded] **Similarities** of 48 samples, 2026-01-02" in said
    assert f":blue-badge[recorded] **Scores** of {runs} runs, 2026-01-02" in said
    monkeypatch.setattr(services.models, "live", lambda model_id="tiny": False)
    said = texts(open_page("overview"))
    assert ":gray-badge[missing] **Answers** torch or the weights are not here" in said and "[live]" not in said


def test_ones_own_calibration_and_runs_are_named(recorded, engine, open_page):
    from cache.run_store import RunStore
    from core.library.finding import user_runs_path

    services.similarities.atlas("tiny").save(services.similarities.path_of("tiny", "own"))
    with RunStore(user_runs_path()) as store:
        store.put(services.scores.view("tiny").setting[0])
    said = texts(open_page("overview"))
    assert ":violet-badge[yours] **Similarities** of 48 samples" in said
    assert ":violet-badge[yours] **Scores** of 1 runs" in said


def test_without_anything_it_says_what_to_install(nothing, open_page):
    at = open_page("overview")
    assert not at.exception
    assert "requirements.txt" in at.error[0].value


def test_an_unknown_model_in_the_link_is_ignored_with_a_notice(recorded, engine, open_page):
    at = open_page("overview", model="qwen9")
    assert not at.exception
    assert "model = qwen9" in at.warning[0].value
    assert "tiny · 16 layers" in texts(at)


def test_a_domain_without_a_decided_regime_says_so():
    assert widgets.regime_story({1: "undetermined"}) == "no regime could be decided yet"
    labels = {1: "converged", 2: "ranking-sensitive", 3: "ranking-sensitive", 4: "undetermined"}
    assert widgets.regime_story(labels) == "converged at 1; ranking-sensitive at 2 to 3"
