"""Figures: the data they draw and the marks that make them readable without colour."""

import pandas as pd
import pytest

from core.pruning import PruningPlan, build_plan, list_criteria
from dashboard import figures, results, score_figures
from tests.app.synthetic import LAYERS, make_atlas


@pytest.fixture(scope="module")
def atlas():
    return make_atlas(8)


def layers_of(chart) -> list[dict]:
    return chart.to_dict()["layer"]


def test_every_criterion_has_a_look_of_its_own():
    looks = [figures.style_of(c.name) for c in list_criteria()]
    assert len({(s.color, s.dash, s.shape) for s in looks}) == len(looks)
    own = [figures.style_of(c.name) for c in list_criteria() if c.group != "spaced"]  # spaced ones keep their base's
    assert len({s.color for s in own}) == len(own)
    assert len({s.shape for s in own}) == len(own)


def test_domain_aware_criteria_are_solid_and_baselines_are_not():
    for c in list_criteria():
        assert (figures.style_of(c.name).dash == figures.SOLID) == (c.group == "domain-aware")


def test_an_unknown_criterion_always_looks_the_same_and_a_variant_looks_like_its_base():
    assert figures.style_of("domain:birds") == figures.style_of("domain:birds")
    assert figures.style_of("spaced:mixed").color == figures.style_of("mixed").color


def test_marks_keep_a_contrast_of_3_on_both_backgrounds():
    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    for name, style in figures.STYLES.items():
        for background in ("#ffffff", "#10181f"):
            low, high = sorted((luminance(style.color), luminance(background)))
            assert (high + 0.05) / (low + 0.05) >= 3, (name, background)


def test_heatmap_has_one_row_per_domain_and_opens_into_tasks(atlas):
    closed = figures.heatmap_frame(atlas, "all", tasks=False)
    assert list(closed["row"].unique()) == ["math", "general"]
    assert len(closed) == 2 * LAYERS
    opened = figures.heatmap_frame(atlas, "all", tasks=True)
    assert opened["row"].nunique() == 2 + 4 + 4
    spec = figures.similarity_heatmap(closed).to_dict()
    assert spec["height"] == {"step": figures.ROW}
    assert spec["encoding"]["x"]["axis"]["labelAngle"] == 0
    assert spec["encoding"]["color"]["scale"] == {"type": "log", "scheme": "cividis", "reverse": True}
    assert [t["field"] for t in spec["encoding"]["tooltip"]] == ["domain", "task", "layer", "mean", "low", "high", "n"]


def test_difference_marks_the_layers_whose_interval_excludes_0(atlas):
    frame = figures.difference_frame(atlas, "math", "general", "all").set_index("layer")
    assert frame.clear[2] and frame.clear[8]  # built in on purpose
    assert frame.difference[2] > 0 > frame.difference[8]
    assert (frame.clear == ((frame.low > 0) | (frame.high < 0))).all()


def test_ranks_number_every_unprotected_layer_once(atlas):
    frame = figures.rank_frame(atlas, "all")
    for _, rows in frame.groupby("criterion"):
        assert sorted(rows["rank"].dropna()) == list(range(1, LAYERS - 1))
        assert rows[rows.layer.isin([0, LAYERS - 1])]["rank"].isna().all()
    first = frame[(frame.criterion == "math_aware") & (frame["rank"] == 1)].layer.item()
    assert build_plan(atlas, "math_aware", 1).dropped == (first,)


def test_span_map_has_every_span_and_one_best_per_length(atlas):
    frame = figures.span_frame(atlas, "math", "all")
    assert len(frame) == LAYERS * (LAYERS + 1) // 2
    assert frame[frame.best].length.tolist() == list(range(1, LAYERS + 1))


def test_strips_say_dropped_kept_and_protected():
    plan = PruningPlan("m", 6, (2, 3), "deepest")
    frame = figures.strip_frame([plan], frozenset({0, 5}))
    assert frame.state.tolist() == ["protected", "kept", "dropped", "dropped", "kept", "protected"]
    cells, crosses, _ = layers_of(figures.layer_strips(frame))
    assert crosses["mark"]["text"] == "×"
    assert crosses["transform"] == [{"filter": "datum.state == 'dropped'"}]
    assert cells["encoding"]["fillOpacity"]["condition"]["value"] < 0.1  # hollow


def points(criteria: list[str]) -> pd.DataFrame:
    rows = [(c, c, k, "math", 0.5, 0.4, 0.6, 40, f"p{k}") for c in criteria for k in (1, 2)]
    columns = ["criterion", "label", "n_drop", "group", "value", "low", "high", "n", "plan_id"]
    return pd.DataFrame(rows, columns=columns)


ENVELOPE = pd.DataFrame(
    [("math", 1, 0.3, 0.4, 0.5, 8), ("math", 2, 0.2, 0.3, 0.4, 8)],
    columns=["group", "n_drop", "low", "median", "high", "plans"],
)


def test_equal_scores_stand_apart_along_the_axis():
    chart = score_figures.score_chart(points(["mixed", "deepest"]), ENVELOPE, 0.9, 16).to_dict()
    drawn = [row["x"] for data in chart["datasets"].values() for row in data if row.get("criterion")]
    assert len(set(drawn)) == 4  # two criteria at two budgets, no two at the same place


@pytest.mark.parametrize("intervals", ["bands", "bars", "none"])
def test_score_chart_draws_envelope_full_model_regimes_and_intervals(intervals):
    chart = score_figures.score_chart(
        points(["mixed"]), ENVELOPE, 0.9, 16, intervals=intervals, regimes={1: "ranking-sensitive", 2: "converged"}
    ).to_dict()
    text = str(chart)
    assert "full model" in text and "'R'" in text and "random plans" in text
    kinds = [layer["mark"]["type"] for layer in chart["layer"] if "mark" in layer]
    assert kinds.count("area") == (2 if intervals == "bands" else 1)


def test_score_chart_survives_empty_tables():
    chart = score_figures.score_chart(points([]), ENVELOPE.iloc[:0], float("nan"), 16)
    assert chart.to_dict()["height"] == 380


def test_the_key_of_a_curve_shows_its_dash_and_colour():
    svg = figures.legend_key("uniform")
    assert figures.style_of("uniform").color in svg and 'stroke-dasharray="6,4"' in svg
    assert 'stroke-dasharray="none"' in figures.legend_key("math_aware")
    assert all(figures.style_of(c.name).shape in figures.GLYPHS for c in list_criteria())


def test_labels_are_the_names_of_the_command_line():
    assert [results.label(c.name) for c in list_criteria()] == [c.name for c in list_criteria()]
