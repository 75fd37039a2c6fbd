"""Figures: the data they draw and the marks that make them readable without colour."""

import pandas as pd
import pytest

from core.analysis import tables
from core.analysis.regimes import Boundary
from core.charts import answers as answer_charts
from core.charts import layers as layer_charts
from core.charts import scores as score_charts
from core.charts import style
from core.pruning import build_plan, list_criteria
from tests.app.synthetic import LAYERS, make_atlas


@pytest.fixture(scope="module")
def atlas():
    return make_atlas(8)


def layers_of(chart) -> list[dict]:
    return chart.to_dict()["layer"]


def test_every_criterion_has_a_look_of_its_own():
    looks = [style.style_of(c.name) for c in list_criteria()]
    assert len({(s.color, s.dash, s.shape) for s in looks}) == len(looks)
    own = [style.style_of(c.name) for c in list_criteria() if c.group != "spaced"]  # spaced ones keep their base's
    assert len({s.color for s in own}) == len(own)
    assert len({s.shape for s in own}) == len(own)


def test_domain_aware_criteria_are_solid_and_baselines_are_not():
    for c in list_criteria():
        assert (style.style_of(c.name).dash == style.SOLID) == (c.group == "domain-aware")


def test_an_unknown_criterion_always_looks_the_same_and_a_variant_looks_like_its_base():
    assert style.style_of("domain:birds") == style.style_of("domain:birds")
    assert style.style_of("spaced:mixed").color == style.style_of("mixed").color


def test_heatmap_has_one_row_per_domain_and_opens_into_tasks(atlas):
    closed = layer_charts.heatmap_frame(atlas, "all", tasks=False)
    assert list(closed["row"].unique()) == ["math", "general"]
    assert len(closed) == 2 * LAYERS
    opened = layer_charts.heatmap_frame(atlas, "all", tasks=True)
    assert opened["row"].nunique() == 2 + 4 + 4
    spec = layer_charts.similarity_heatmap(closed).to_dict()
    assert spec["height"] == {"step": style.ROW}
    assert spec["encoding"]["x"]["axis"]["labelAngle"] == 0
    assert spec["encoding"]["color"]["scale"] == {"type": "log", "scheme": "cividis", "reverse": True}
    assert [t["field"] for t in spec["encoding"]["tooltip"]] == ["domain", "task", "layer", "mean", "low", "high", "n"]


def test_difference_marks_the_layers_whose_interval_excludes_0(atlas):
    frame = layer_charts.difference_frame(atlas, "math", "general", "all").set_index("layer")
    assert frame.clear[2] and frame.clear[8]  # built in on purpose
    assert frame.difference[2] > 0 > frame.difference[8]
    assert (frame.clear == ((frame.low > 0) | (frame.high < 0))).all()


def test_ranks_number_every_unprotected_layer_once(atlas):
    frame = layer_charts.rank_frame(atlas, "all")
    for _, rows in frame.groupby("criterion"):
        assert sorted(rows["rank"].dropna()) == list(range(1, LAYERS - 1))
        assert rows[rows.layer.isin([0, LAYERS - 1])]["rank"].isna().all()
    first = frame[(frame.criterion == "math_aware") & (frame["rank"] == 1)].layer.item()
    assert build_plan(atlas, "math_aware", 1).dropped == (first,)


def test_span_map_has_every_span_and_one_best_per_length(atlas):
    frame = layer_charts.span_frame(atlas, "math", "all")
    assert len(frame) == LAYERS * (LAYERS + 1) // 2
    assert frame[frame.best].length.tolist() == list(range(1, LAYERS + 1))


def points(criteria: list[str]) -> pd.DataFrame:
    rows = [(c, c, k, "math", 0.5, 0.4, 0.6, 40, f"p{k}") for c in criteria for k in (1, 2)]
    columns = ["criterion", "label", "n_drop", "group", "value", "low", "high", "n", "plan_id"]
    return pd.DataFrame(rows, columns=columns)


ENVELOPE = pd.DataFrame(
    [("math", 1, 0.3, 0.4, 0.5, 8), ("math", 2, 0.2, 0.3, 0.4, 8)],
    columns=["group", "n_drop", "low", "median", "high", "plans"],
)


def test_equal_scores_stand_apart_along_the_axis():
    chart = score_charts.score_chart(points(["mixed", "deepest"]), ENVELOPE, 0.9, 16).to_dict()
    drawn = [row["x"] for data in chart["datasets"].values() for row in data if row.get("criterion")]
    assert len(set(drawn)) == 4  # two criteria at two budgets, no two at the same place


@pytest.mark.parametrize("intervals", ["bands", "bars", "none"])
def test_score_chart_draws_envelope_full_model_regimes_and_intervals(intervals):
    chart = score_charts.score_chart(
        points(["mixed"]), ENVELOPE, 0.9, 16, intervals=intervals, regimes={1: "ranking-sensitive", 2: "converged"}
    ).to_dict()
    text = str(chart)
    assert "full model" in text and "'R'" in text and "random plans" in text
    kinds = [layer["mark"]["type"] for layer in chart["layer"] if "mark" in layer]
    assert kinds.count("area") == (2 if intervals == "bands" else 1)


def test_score_chart_survives_empty_tables():
    chart = score_charts.score_chart(points([]), ENVELOPE.iloc[:0], float("nan"), 16)
    assert chart.to_dict()["height"] == 380


def test_the_key_of_a_curve_shows_its_dash_and_colour():
    svg = style.legend_key("uniform")
    assert style.style_of("uniform").color in svg and 'stroke-dasharray="6,4"' in svg
    assert 'stroke-dasharray="none"' in style.legend_key("math_aware")
    assert all(style.style_of(c.name).shape in style.GLYPHS for c in list_criteria())


def test_labels_are_the_names_of_the_command_line():
    assert [tables.label(c.name) for c in list_criteria()] == [c.name for c in list_criteria()]


def test_a_mark_is_clicked_by_criterion_and_budget_and_the_picked_one_wears_a_ring():
    chart = score_charts.score_chart(points(["mixed", "deepest"]), ENVELOPE, 0.9, 16, picked=("mixed", 2)).to_dict()
    click = next(p for p in chart["params"] if p["name"] == "point")
    assert click["select"]["fields"] == ["criterion", "n_drop"]
    ring = chart["layer"][-1]
    assert ring["mark"]["filled"] is False
    assert [(r["criterion"], r["n_drop"]) for r in chart["datasets"][ring["data"]["name"]]] == [("mixed", 2)]


def test_plans_of_a_search_are_marks_without_a_line():
    chart = score_charts.score_chart(points(["mixed", "search:local"]), ENVELOPE, 0.9, 16).to_dict()
    lines = [c for c in chart["layer"] if c["mark"]["type"] == "line" and "strokeDash" in c["encoding"]]
    assert {r["criterion"] for layer in lines for r in chart["datasets"][layer["data"]["name"]]} == {"mixed"}
    assert style.style_of("search:local").color == style.STYLES["search"].color


def test_boundaries_and_scores_from_elsewhere_are_drawn():
    references = points(["uniform"]).assign(label="uniform (imported)", origin="imported", benchmark="x")
    chart = score_charts.score_chart(
        points(["mixed"]),
        ENVELOPE,
        0.9,
        16,
        regimes={1: "ranking-sensitive", 2: "converged"},
        boundaries=[Boundary("ranking-sensitive", "ends", 1, 1, 2)],
        references=references,
    ).to_dict()
    rows = [row for data in chart["datasets"].values() for row in data]
    (edge,) = [row for row in rows if row.get("what")]
    assert (edge["x"], edge["low"], edge["high"], edge["what"]) == (1.5, 1.5, 2.5, "ranking-sensitive ends")
    assert {row["label"] for row in rows if row.get("origin")} == {"uniform (imported)"}


def test_lost_items_point_left_and_gained_ones_right():
    frame = pd.DataFrame({"task": ["count"], "lost": [3], "gained": [1], "n": [10]})
    chart = answer_charts.flip_chart(frame).to_dict()
    rows = [row for data in chart["datasets"].values() for row in data if "share" in row]
    assert {row["change"]: row["share"] for row in rows} == {"lost": -0.3, "gained": 0.1}


def test_the_front_is_joined_from_the_cheapest_plan_on():
    frame = pd.DataFrame(
        [
            ("mixed", "mixed", 2, "p2", 0.5, 0.4, 0.6, 40, 6.0, True),
            ("random", "random", 3, "p3", 0.2, 0.1, 0.3, 40, 5.0, True),
        ],
        columns=["criterion", "label", "n_drop", "plan_id", "score", "low", "high", "n", "decode_flops", "front"],
    )
    chart = score_charts.cost_chart(frame, "decode_flops", (8.0, 0.9)).to_dict()
    front = next(layer for layer in chart["layer"] if layer["mark"]["type"] == "line")
    assert [row["decode_flops"] for row in chart["datasets"][front["data"]["name"]]] == [5.0, 6.0]
    assert "estimated" in front["encoding"]["x"]["title"]


def test_divergence_has_a_bar_for_every_token_and_plan():
    frame = pd.DataFrame(
        [("mixed, −2", "mixed", 1, "'7'", 0.1, 0.2, 0.3), ("mixed, −2", "mixed", 2, "'7'", 0.4, 0.5, 0.6)],
        columns=["pane", "criterion", "step", "token", "kl", "full_nll", "plan_nll"],
    )
    chart = answer_charts.divergence_chart(frame).to_dict()
    rows = chart["datasets"][chart["data"]["name"]]
    assert len({row["place"] for row in rows}) == 2  # equal tokens keep places of their own
    assert chart["encoding"]["color"]["scale"]["range"] == [style.style_of("mixed").color]
