"""Charts of plans: plans and tables of `core.analysis.plan_tables` in, Altair out. Nothing here knows Streamlit."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from core.analysis.plan_tables import PARTS, QUANTITIES, interval_text
from core.analysis.tables import label
from core.charts.style import ACCENT, INK, NEUTRAL, ROW, Drawn, layer_axis, style_of
from core.records.plan import PruningPlan

PART_COLORS = {"decoder": ACCENT, "vision tower": "#8a6d4b", "projector": "#94558d", "output head": NEUTRAL}
PART_COLORS |= {"everything else": PART_COLORS["vision tower"]}
NAMES = alt.Axis(labelLimit=150, labelPadding=8)


def strip_frame(plans: Sequence[PruningPlan], protected: frozenset[int]) -> pd.DataFrame:
    """One row per plan and layer: columns criterion, label, layer, state (kept | dropped | protected)."""
    rows = []
    for plan in plans:
        for layer in range(plan.n_layers):
            state = "dropped" if layer in plan.dropped else "protected" if layer in protected else "kept"
            rows.append((plan.criterion, label(plan.criterion), layer, state))
    return pd.DataFrame(rows, columns=["criterion", "label", "layer", "state"])


def layer_strips(frame: pd.DataFrame) -> Drawn:
    """One strip of layers per plan: kept filled, dropped hollow and crossed, protected marked with a bar."""
    names = list(dict.fromkeys(frame.criterion))
    labels = list(dict.fromkeys(frame.label))
    colors = alt.Scale(domain=names, range=[style_of(c).color for c in names])
    pick = alt.selection_point("cell", fields=["criterion", "layer"], on="click", clear="dblclick", toggle=False)
    base = alt.Chart(frame).encode(
        x=layer_axis().scale(paddingInner=0.06, paddingOuter=0),
        y=alt.Y("label:N", sort=labels, title=None, axis=NAMES, scale=alt.Scale(paddingInner=0.12, paddingOuter=0.06)),
        tooltip=[alt.Tooltip("label:N", title="plan"), alt.Tooltip("layer:O"), alt.Tooltip("state:N")],
    )
    cells = (
        base.mark_rect(strokeWidth=1.5, cornerRadius=3, cursor="pointer")
        .encode(
            color=alt.Color("criterion:N", scale=colors, legend=None),
            stroke=alt.Stroke("criterion:N", scale=colors, legend=None),
            fillOpacity=alt.condition("datum.state == 'dropped'", alt.value(0), alt.value(1)),
            strokeOpacity=alt.condition("datum.state == 'dropped'", alt.value(0.7), alt.value(1)),
        )
        .add_params(pick)
    )
    crosses = base.transform_filter("datum.state == 'dropped'").mark_text(
        text="×", fontSize=17, fontWeight="bold", color=INK
    )
    guards = base.transform_filter("datum.state == 'protected'").mark_tick(
        color="#ffffff", thickness=2, size=10, orient="horizontal", opacity=1
    )
    return alt.layer(cells, crosses, guards).properties(height=alt.Step(ROW))


def overlap_map(frame: pd.DataFrame) -> Drawn:
    """How many dropped layers each pair of plans shares, written into the cells; the more of them, the deeper."""
    names = list(dict.fromkeys(frame.a))
    shown = frame.assign(text=[f"{s} of {e}" for s, e in zip(frame.shared, frame.either, strict=True)])
    fitting = alt.ExprRef(f"width / {len(names)} - 6")
    across = alt.Axis(labelAngle=0, labelLimit=fitting, labelOverlap=False, labelFlush=False)
    base = alt.Chart(shown).encode(
        x=alt.X("a:N", sort=names, title=None, axis=across),
        y=alt.Y("b:N", sort=names, title=None, axis=NAMES),
        tooltip=["a:N", "b:N", "shared:Q", "either:Q", alt.Tooltip("overlap:Q", format=".0%")],
    )
    opacity = alt.Opacity("overlap:Q", scale=alt.Scale(domain=[0, 1], range=[0.03, 0.42]), legend=None)
    cells = base.mark_rect(color=ACCENT, stroke=NEUTRAL, strokeWidth=0.5).encode(opacity=opacity)
    text = base.mark_text(fontSize=12, color=INK).encode(text="text:N")
    return alt.layer(cells, text).properties(height=alt.Step(ROW))


def cost_bars(frame: pd.DataFrame, quantity: str) -> Drawn:
    """One stacked bar per plan: first what no plan removes, up to the line, then the decoder; the end says how much."""
    rows = frame[frame.quantity == quantity]
    rows = rows[rows.value > 0]
    names = list(dict.fromkeys(rows.plan))
    parts = [p for p in (*PARTS, *dict.fromkeys(rows.part)) if p in set(rows.part)]
    parts = sorted(dict.fromkeys(parts), key=lambda p: p == "decoder")
    rows = rows.assign(order=rows.part.map(parts.index))
    totals = rows.groupby(["criterion", "plan"], sort=False)[["value", "share"]].sum().reset_index()
    totals["text"] = [f"{100 * s:.0f} %" for s in totals.share]
    end = 1.12 * float(totals.value.max())
    y = alt.Y("plan:N", sort=names, title=None, axis=NAMES)
    scale = alt.Scale(domain=[0, end], nice=False)
    title = f"{QUANTITIES[quantity]} · less is cheaper"
    bars = (
        alt.Chart(rows)
        .mark_bar(height=18)
        .encode(
            x=alt.X("value:Q", title=title, scale=scale, axis=alt.Axis(format="~s", tickCount=5)),
            y=y,
            color=alt.Color(
                "part:N",
                sort=parts,
                scale=alt.Scale(domain=parts, range=[PART_COLORS[p] for p in parts]),
                legend=alt.Legend(title=None, orient="top", padding=0),
            ),
            order="order:Q",
            tooltip=[
                alt.Tooltip("plan:N"),
                alt.Tooltip("part:N"),
                alt.Tooltip("value:Q", title=QUANTITIES[quantity], format=",.0f"),
                alt.Tooltip("share:Q", title="of the full model's total", format=".1%"),
            ],
        )
    )
    ends = alt.Chart(totals).mark_text(align="left", dx=5, color=INK).encode(x="value:Q", y=y, text="text:N")
    drawn: list[alt.Chart] = [bars, ends]
    floor = float(rows[(rows.plan == names[-1]) & (rows.part != "decoder")].value.sum())
    if floor:
        line = alt.Chart(pd.DataFrame({"value": [floor]})).mark_rule(strokeDash=[4, 3], strokeWidth=1.5, color=INK)
        drawn.append(line.encode(x="value:Q"))
    return alt.layer(*drawn).properties(height=alt.Step(28))


def plan_score_chart(frame: pd.DataFrame) -> Drawn:
    """The score of each plan with its interval, and the full model's as a line; hollow: the nearest plan's score."""
    names = list(dict.fromkeys(frame.plan))
    styles = [style_of(c) for c in dict.fromkeys(frame.criterion)]
    scale = alt.Scale(domain=[0, 1], nice=False)
    colors = alt.Scale(domain=names, range=[s.color for s in styles])
    text = [interval_text(*values) for values in zip(frame.score, frame.low, frame.high, strict=True)]
    base = alt.Chart(frame.assign(exact=frame.distance == 0, text=text)).encode(
        y=alt.Y("plan:N", sort=names, title=None, axis=NAMES),
        color=alt.Color("plan:N", scale=colors, legend=None),
        tooltip=[
            alt.Tooltip("plan:N"),
            alt.Tooltip("score:Q", title="right answers", format=".1%"),
            alt.Tooltip("low:Q", title="95 % from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
            alt.Tooltip("n:Q", title="items"),
            alt.Tooltip("measured:N"),
        ],
    )
    x = alt.X(
        "score:Q",
        title="right answers, more is better →",
        scale=scale,
        axis=alt.Axis(format=".0%", tickCount=5),
    )
    rules = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", scale=scale), x2="high:Q")
    shapes = alt.Shape("plan:N", scale=alt.Scale(domain=names, range=[s.shape for s in styles]), legend=None)
    points = base.encode(x=x, shape=shapes)
    drawn: list[alt.Chart] = [
        rules,
        points.transform_filter("datum.exact").mark_point(filled=True, size=90, opacity=1),
        points.transform_filter("!datum.exact").mark_point(filled=False, size=90, strokeWidth=2, opacity=1),
    ]
    words = base.encode(text="text:N", color=alt.value(INK))  # beside the interval, on the side that has room
    after = words.transform_filter("datum.low <= 0.6").mark_text(align="left", dx=7)
    before = words.transform_filter("datum.low > 0.6").mark_text(align="right", dx=-7)
    drawn += [after.encode(x=alt.X("high:Q", scale=scale)), before.encode(x=alt.X("low:Q", scale=scale))]
    full = frame.full.dropna().unique()[:1]
    if len(full):
        line = alt.Chart(pd.DataFrame({"score": full})).mark_rule(strokeDash=[4, 3], strokeWidth=1.5, color=INK)
        drawn.append(line.encode(x=alt.X("score:Q", scale=scale)))
    return alt.layer(*drawn).properties(height=alt.Step(ROW))
