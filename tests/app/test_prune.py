"""Prune: plans at a budget, coinciding plans, plans by hand, cost and measured scores."""

from core.pruning import build_plan
from tests.app.conftest import texts
from tests.app.synthetic import make_atlas


def test_the_link_sets_budget_and_criteria(recorded, engine, open_page):
    at = open_page("prune", budget="6", criteria=["math_aware", "deepest"])
    assert not at.exception
    assert at.slider(key="budget").value == 6
    assert "**6 of 16 layers** · 38 % of depth" in texts(at)
    table = at.dataframe[0].value
    assert list(table["plan"]) == ["math_aware", "deepest", "full model"]
    assert list(table["measured"]) == ["this plan", "this plan", "full model"]
    assert table["n math"].tolist() == [40, 40, 40]
    # 6 of 16 layers of 250,000 parameters out of 3.6 million
    assert round(table["parameters"][0], 2) == 2.1


def test_moving_the_slider_changes_the_plan(recorded, engine, open_page):
    at = open_page("prune", criteria=["deepest"])
    at.slider(key="budget").set_value(3).run()
    assert at.dataframe[0].value["dropped"][0] == "12 to 14"
    assert "python -m core plan --model tiny --criterion deepest --budget 3 --json" in [c.value for c in at.code]


def test_says_so_when_plans_coincide(recorded, engine, open_page):
    atlas = make_atlas()
    same = next(
        k for k in range(1, 9) if build_plan(atlas, "mixed", k).dropped == build_plan(atlas, "math_aware", k).dropped
    )
    at = open_page("prune", budget=str(same), criteria=["math_aware", "mixed"])
    assert "math_aware = mixed: the same layers, so one plan" in texts(at)


def test_a_plan_by_hand_is_shown_with_the_nearest_measured_one(recorded, engine, open_page):
    at = open_page("prune", manual=["1", "14"], criteria=["deepest"])
    assert not at.exception
    row = at.dataframe[0].value.set_index("plan").loc["by hand"]
    assert row["dropped"] == "1, 14"
    assert row["measured"].startswith("nearest")
    assert "not measured shows the scores of the nearest" in texts(at)


def test_bad_values_in_the_link_never_crash(recorded, engine, open_page):
    at = open_page("prune", budget="999", criteria=["mth"], manual=["0", "x"])
    assert not at.exception
    read = texts(at)
    assert "budget = 999" in read and "criteria = mth" in read and "manual = 0, x" in read
    assert at.slider(key="budget").value == 4


def test_without_runs_the_page_still_plans(recorded, engine, open_page, monkeypatch):
    from dashboard import services
    from tests.app.synthetic import SPEC

    monkeypatch.setattr(services, "records", lambda model_id: [])
    monkeypatch.setattr(services, "spec", lambda model_id: SPEC)
    monkeypatch.setattr(services, "outcomes", lambda *_: services.outcomes_frame([]))
    at = open_page("prune")
    assert not at.exception
    assert "No runs of this model yet" in texts(at)
