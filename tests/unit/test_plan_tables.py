"""Tables and figures of plans, on numbers worked out by hand."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from core.analysis import plan_tables
from core.analysis.plan_tables import Request
from core.charts import plans as plan_charts
from core.charts.style import ROW
from core.records.answers import Answer, TokenEvent
from core.records.plan import PruningPlan
from tests.app.synthetic import ANATOMY, LAYERS, SPEC


def plan(*dropped: int, criterion: str = "manual") -> PruningPlan:
    return PruningPlan("tiny", LAYERS, dropped, criterion)


# ------------------------------------------------------------------------------------------------ budget, structure


def test_a_budget_in_layers_percent_and_parameters():
    steps = plan_tables.budget_steps(SPEC, 14)
    row = steps.set_index("n_drop").loc[4]
    assert (row.percent, row.parameters, row.left) == (25.0, 2_800_000, pytest.approx(700 / 9))
    assert plan_tables.nearest_budget(steps, "percent", 30) == 5  # 31.25 is nearer than 25
    assert plan_tables.nearest_budget(steps, "parameters", 2.05e6) == 8
    assert plan_tables.nearest_budget(steps, "percent", 1e9) == 14


def test_structure_counts_runs_and_spacing():
    table = plan_tables.structure([plan(2, 3, 4, 8), plan(7), plan(1, 5, 9)])
    assert table.dropped.tolist() == ["2 to 4, 8", "7", "1, 5, 9"]
    assert table.longest_run.tolist() == [3, 1, 1]
    assert table.runs.tolist() == [2, 1, 3]
    assert table.spacing[0] == 2.0 and math.isnan(table.spacing[1]) and table.spacing[2] == 4.0


def test_overlap_of_what_is_dropped():
    a, b = plan(1, 2, 3, criterion="a"), plan(2, 3, 4, criterion="b")
    table = plan_tables.overlaps([a, b]).set_index(["a", "b"])
    assert tuple(table.loc[("a", "b")]) == (2, 4, 0.5)
    assert tuple(table.loc[("b", "b")]) == (3, 3, 1.0)
    assert plan_tables.coinciding([a, b, plan(3, 2, 1, criterion="c")]) == ["a = c"]


def test_the_nearest_plan_has_the_fewest_layers_that_differ():
    others = [plan(1, 2, criterion="random"), plan(2, 3, criterion="uniform"), plan(1, 2, 3, 4, criterion="block")]
    found, distance = plan_tables.nearest_plan(plan(1, 2, 3), others)
    assert (found.criterion, distance) == ("block", 1)  # one layer each; a named criterion before a random plan
    assert plan_tables.describe(found, plan(1, 2, 3)) == "block −4: also drops 4"
    assert plan_tables.describe(others[1], plan(1, 2)) == "uniform −2: also drops 3; keeps 1"
    assert plan_tables.nearest_plan(plan(1), []) is None


# ------------------------------------------------------------------------------------------------ cost, speed


def test_costs_are_split_into_what_stays_and_the_decoder():
    """6 of 16 layers of 200,000 parameters, 57 tokens before the answer, 15 steps with 65 keys on average."""
    table = plan_tables.costs([plan(1, 2, 3, 4, 5, 6)], SPEC, ANATOMY, Request(32, 25, 16))
    totals = plan_tables.cost_totals(table).set_index("plan")
    row = totals.loc["by hand"]
    assert row.parameters == 2_400_000 and row.weights == 4_800_000
    assert row["KV per token"] == 10 * 256 * 2
    assert row.prefill == 25e6 + 1.5e6 + 40_000 + 10 * (400_000 * 57 + 500 * 57**2)
    assert row.decode == 40_000 + 10 * (400_000 + 500 * 65)
    assert row["parameters %"] == pytest.approx(200 / 3)
    assert totals.loc["full model", [c for c in totals if c.endswith("%")]].tolist() == [pytest.approx(100)] * 5
    parts = table[(table.plan == "by hand") & (table.quantity == "prefill")].set_index("part").value
    assert parts["vision tower"] == 25e6 and parts["projector"] == 1.5e6 and parts["output head"] == 40_000
    floor = table[(table.part != "decoder") & (table.quantity == "prefill")].groupby("plan").value.sum()
    assert floor.nunique() == 1


def test_without_an_anatomy_only_parameters_are_known():
    table = plan_tables.costs([plan(1, 2)], SPEC, None, Request())
    assert set(table.quantity) == {"parameters"}
    assert table[table.criterion == "manual"].value.tolist() == [400_000, 2_800_000]
    assert "could not be counted" in plan_tables.costing(Request(), replace(ANATOMY, vision_counted=False))
    assert "could not be counted" not in plan_tables.costing(Request(), ANATOMY)


def answer(ttft: float, *later: float) -> Answer:
    events = tuple(TokenEvent(0, i, "x", t) for i, t in enumerate((ttft, *later)))
    return Answer("tiny", None, "?", "x", len(events), ttft, 0.0, "end", events)


def test_speed_is_a_median_and_a_rate_over_all_answers():
    speed = plan_tables.speed([answer(0.2, 0.3), answer(0.1, 0.2, 0.4), answer(0.9)])
    assert speed.ttft_s == 0.2
    assert speed.tokens_per_s == pytest.approx(3 / 0.4)  # three further tokens in 0.1 + 0.3 s
    assert (speed.answers, speed.tokens) == (3, 6)
    assert math.isnan(plan_tables.speed([answer(0.2)]).tokens_per_s)


def test_counted_stands_beside_measured():
    plans = [plan(*range(1, 7))]
    costs = plan_tables.costs(plans, SPEC, ANATOMY, Request(32, 25, 16))
    speeds = [plan_tables.Speed(0.06, 50.0, 3, 9), plan_tables.Speed(0.08, 40.0, 3, 9)]
    table = plan_tables.speed_table(plans, speeds, costs).set_index("plan")
    assert table.loc["by hand", "ttft %"] == pytest.approx(75.0)
    assert table.loc["full model", "prefill %"] == pytest.approx(100.0)
    assert 60 < table.loc["by hand", "prefill %"] < 70


# ------------------------------------------------------------------------------------------------ figures


def spec(chart) -> dict:
    return chart.to_dict()


def test_strips_say_dropped_kept_and_protected():
    frame = plan_charts.strip_frame([PruningPlan("m", 6, (2, 3), "deepest")], frozenset({0, 5}))
    assert frame.state.tolist() == ["protected", "kept", "dropped", "dropped", "kept", "protected"]
    cells, crosses, _ = spec(plan_charts.layer_strips(frame))["layer"]
    assert crosses["mark"]["text"] == "×"
    assert crosses["transform"] == [{"filter": "datum.state == 'dropped'"}]
    assert cells["encoding"]["fillOpacity"]["condition"]["value"] == 0  # hollow


@pytest.mark.parametrize("quantity", plan_tables.QUANTITIES)
def test_cost_bars_begin_with_the_floor(quantity):
    table = plan_tables.costs([plan(1, 2)], SPEC, ANATOMY, Request(32, 25, 16))
    chart = spec(plan_charts.cost_bars(table, quantity))
    parts = chart["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert parts[-1] == "decoder"
    floor = [layer for layer in chart["layer"] if layer["mark"]["type"] == "rule"]
    assert bool(floor) == (quantity != "KV per token")  # the cache belongs to the decoder alone


def test_a_score_of_the_nearest_plan_is_hollow():
    nearest = ("manual", "by hand", "math", 0.5, 0.4, 0.6, 40, 0.9, 2, "uniform −2: also drops 3")
    columns = ["criterion", "plan", "group", "score", "low", "high", "n", "full", "distance", "measured"]
    frame = pd.DataFrame([nearest, ("block", "block", "math", 0.7, 0.6, 0.8, 40, 0.9, 0, "this plan")], columns=columns)
    chart = spec(plan_charts.plan_score_chart(frame))
    marks = {str(layer.get("transform")): layer["mark"] for layer in chart["layer"] if layer["mark"]["type"] == "point"}
    assert marks["[{'filter': 'datum.exact'}]"]["filled"] and not marks["[{'filter': '!datum.exact'}]"]["filled"]
    assert chart["height"] == {"step": ROW}
    assert "50 % [40, 60]" in str(chart["datasets"])
