"""Benchmarks: curves, paired tests, flipped items, and the way to one of them in Compare."""

from dataclasses import replace

from tests.app.conftest import texts


def test_shows_scores_regimes_pairs_and_flipped_items(recorded, engine, open_page):
    at = open_page("benchmarks", budget="6", curves=["math_aware", "uniform"])
    assert not at.exception
    assert len(at.get("vega_lite_chart")) == 1
    pairs, flipped = at.dataframe[0].value, at.dataframe[1].value
    assert len(pairs) == 3  # full, math_aware, uniform
    assert set(pairs["n"]) == {40}
    assert {"lost", "gained"} >= set(flipped["change"])
    read = texts(at)
    assert "Exact McNemar test on the same 40 math items" in read
    assert "may go unseen" in read
    assert "layers dropped" in read


def test_by_task_and_retention(recorded, engine, open_page):
    at = open_page("benchmarks", by="task", measure="retention", domain="general", task="exists")
    assert not at.exception
    assert at.selectbox(key="task").value == "exists"


def test_says_which_plans_coincide(recorded, engine, open_page):
    at = open_page("benchmarks")
    assert "The same layers, so one plan" in texts(at)


def test_without_runs_it_points_to_the_runs_page(nothing, engine, open_page, monkeypatch):
    from dashboard import services
    from tests.app.synthetic import SPEC

    monkeypatch.setattr(services, "spec", lambda model_id: SPEC)
    at = open_page("benchmarks")
    assert not at.exception
    assert "Start a sweep or import runs" in [link.value for link in at.page_link]


def test_bad_values_in_the_link_never_crash(recorded, engine, open_page):
    at = open_page("benchmarks", domain="x", by="y", measure="z", curves=["q"], budget="-1", interval="w")
    assert not at.exception
    assert len(at.warning) == 6


def test_scores_are_never_mixed_over_item_sets(recorded, engine, open_page):
    """A small sweep of one's own asks some of the recorded items again: its runs are another set, to choose by hand."""
    from cache.run_store import RunStore
    from core.runs.library import user_runs_path
    from core.runs.records import ItemSet
    from dashboard import services

    with RunStore(user_runs_path()) as store:
        for record in [r for r in services.records("tiny") if r.plan.criterion in ("full", "uniform")]:
            small = {"item_ids": record.item_ids[:10], "correct": record.correct[:10], "gold_nll": record.gold_nll[:10]}
            store.put(replace(record, data_hash=f"own{record.domain}", **small))
        store.put_items(ItemSet("own", "math", "test", "ownmath", ()))
    at = open_page("benchmarks", curves=["uniform"])
    assert not at.exception
    assert set(at.dataframe[0].value["n"]) == {40}
    at = open_page("benchmarks", curves=["uniform"], data="10 items, ownmath")
    assert not at.exception
    assert set(at.dataframe[0].value["n"]) == {10}
