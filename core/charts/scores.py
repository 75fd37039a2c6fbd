"""Charts of scores and answers: tables in, Altair chart out; they look as `core.charts.style` says."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from core.analysis.tables import label
from core.charts.style import ACCENT, INK, NEUTRAL, STYLES, Drawn, searched, style_of

if TYPE_CHECKING:
    from core.analysis.regime_map import Boundary

DODGE = 0.07  # layers between neighbouring criteria at one budget, so that equal scores stay apart
REGIME_COLORS = {
    "ranking-sensitive": "#0f7c95",
    "converged": "#7b8894",
    "structure-dominated": "#c8553d",
    "undetermined": "#a37a00",
}
REGIME_INITIALS = {"ranking-sensitive": "R", "converged": "C", "structure-dominated": "S", "undetermined": "?"}
STRIP = 0.075  # height of the regime row, in units of the score axis
AXIS = {"score": "right answers ↑", "retention": "share of the full model's score ↑"}
COSTS = {"decode FLOPs": "decode_flops", "parameters": "parameters"}
COST_AXIS = {
    "decode_flops": "← decode FLOPs per token, estimated",
    "parameters": "← parameters, counted",
}


def ordered(names: Iterable[str]) -> list[str]:
    """Criteria in the order in which every page lists them."""
    known = list(STYLES)
    return sorted(dict.fromkeys(names), key=lambda c: (known.index(c) if c in known else len(known), c))


def score_chart(
    points: pd.DataFrame,
    envelope: pd.DataFrame,
    full: float,
    n_layers: int,
    *,
    measure: str = "score",
    intervals: str = "bands",
    regimes: Mapping[int, str] | None = None,
    boundaries: "Sequence[Boundary]" = (),
    references: pd.DataFrame | None = None,
    picked: tuple[str, int] | None = None,
    height: int = 380,
) -> Drawn:
    """Score against budget, one curve per criterion, over the envelope of the random plans.

    A click on a mark is the selection "point", with the fields criterion and n_drop.

    Args:
        points: as `tables.curves` makes it, of one group.
        envelope: as `tables.random_envelope` makes it, of the same group.
        full: the full model's value on the same axis; NaN draws no line.
        intervals: "bands", "bars" or "none".
        regimes: label of each budget: a row of colour along the bottom and a faint shade above it.
        boundaries: where regimes end and begin, drawn with their intervals in the regime row.
        references: as `tables.reference_points` makes it: hollow marks.
        picked: criterion and budget of the mark with a ring.
    """
    names = ordered(list(points.criterion))
    shift = {c: (i - (len(names) - 1) / 2) * min(DODGE, 0.5 / max(len(names), 1)) for i, c in enumerate(names)}
    points = points.assign(x=points.n_drop + points.criterion.map(shift).astype(float))
    budgets = sorted({*points.n_drop, *envelope.n_drop})
    top = max([1.0, *points.high.dropna(), *envelope.high]) if measure == "retention" else 1.0
    ticks = [b for b in budgets if len(budgets) <= 16 or b % 2 == 0]
    x_scale = alt.Scale(domain=[min(budgets, default=1) - 0.5, max(budgets, default=1) + 0.5], nice=False)
    x = alt.X(
        "x:Q",
        title=f"layers dropped, of {n_layers}",
        scale=x_scale,
        axis=alt.Axis(values=ticks, format="d", grid=False, labelPadding=6, titlePadding=8),
    )
    y_scale = alt.Scale(domain=[-STRIP if regimes else 0, top], nice=False)
    y = alt.Y(
        "value:Q",
        title=AXIS[measure],
        scale=y_scale,
        axis=alt.Axis(format=".0%", values=[0, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4]),
    )
    layers: list[alt.Chart | alt.LayerChart] = []
    if regimes:
        layers += _regimes(regimes, boundaries, top, x_scale, y_scale)
    if len(envelope):
        layers += _envelope(envelope, x, y, y_scale)
    layers += _curves(points, names, measure, intervals, x, y, y_scale)
    if references is not None and len(references):
        layers.append(_references(references, measure, x, y))
    if np.isfinite(full):
        line = alt.Chart(pd.DataFrame({"value": [full], "text": ["full model"]}))
        layers.append(line.mark_rule(strokeWidth=1, color=NEUTRAL).encode(y=y))
        note = line.mark_text(align="right", dx=-4, dy=10 if full > 0.93 * top else -7, color=INK)
        layers.append(note.encode(y=y, x=alt.value("width"), text="text:N"))
    if picked is not None:
        ring = points[(points.criterion == picked[0]) & (points.n_drop == picked[1])]
        layers.append(_ring(ring).encode(x=x, y=y))
    return alt.layer(*layers).properties(height=height)


def _ring(rows: pd.DataFrame) -> alt.Chart:
    return alt.Chart(rows).mark_point(shape="circle", size=260, strokeWidth=2, filled=False, color=ACCENT, opacity=1)


def _envelope(envelope: pd.DataFrame, x: alt.X, y: alt.Y, y_scale: alt.Scale) -> list[alt.Chart | alt.LayerChart]:
    """What random plans reach: 10th to 90th percentile and median."""
    names = (("low", "10 %"), ("median", "median"), ("high", "90 %"))
    about = [
        alt.Tooltip("n_drop:O", title="layers dropped"),
        alt.Tooltip("plans:Q", title="random plans"),
        *(alt.Tooltip(f"{column}:Q", title=title, format=".1%") for column, title in names),
    ]
    base = alt.Chart(envelope.assign(x=envelope.n_drop.astype(float), value=envelope["median"]))
    low = alt.Y("low:Q", scale=y_scale)
    return [
        base.mark_area(color=NEUTRAL, opacity=0.17).encode(x=x, y=low, y2="high:Q", tooltip=about),
        base.mark_line(color=NEUTRAL, strokeDash=[2, 3], strokeWidth=1.5).encode(x=x, y=y, tooltip=about),
    ]


def _curves(
    points: pd.DataFrame, names: list[str], measure: str, intervals: str, x: alt.X, y: alt.Y, y_scale: alt.Scale
) -> list[alt.Chart | alt.LayerChart]:
    """Lines, marks and intervals of the criteria; the others fade while the pointer is on one."""
    hover = alt.selection_point("curve", fields=["label"], on="pointerover", clear="pointerout")
    click = alt.selection_point("point", fields=["criterion", "n_drop"], on="click", clear="dblclick", toggle=False)
    labels = [label(c) for c in names]
    styles = [style_of(c) for c in names]
    color = alt.Color("label:N", scale=alt.Scale(domain=labels, range=[s.color for s in styles]), legend=None)
    dashes = alt.Scale(domain=labels, range=[list(s.dash) for s in styles])
    shapes = alt.Scale(domain=labels, range=[s.shape for s in styles])

    def opacity(shown: float) -> Any:
        return alt.condition(hover, alt.value(shown), alt.value(0.15 * shown))

    alone = points.criterion.map(searched).astype(bool)
    joined = alt.Chart(points[~alone]).encode(x=x, color=color)
    apart = alt.Chart(points.assign(size=np.where(alone, 240, 72))).encode(x=x, color=color)
    low = alt.Y("low:Q", scale=y_scale)
    drawn: list[alt.Chart | alt.LayerChart] = []
    if intervals == "bands":
        drawn.append(joined.mark_area().encode(y=low, y2="high:Q", opacity=opacity(0.12)))
        for bound in ("low", "high"):
            edge = alt.Y(f"{bound}:Q", scale=y_scale)
            drawn.append(joined.mark_line(strokeWidth=0.8).encode(y=edge, opacity=opacity(0.5)))
        rules = alt.Chart(points[alone]).encode(x=x, color=color)
        drawn.append(rules.mark_rule(strokeWidth=1.5).encode(y=low, y2="high:Q", opacity=opacity(1.0)))
    elif intervals == "bars":
        drawn.append(apart.mark_rule(strokeWidth=1.5).encode(y=low, y2="high:Q", opacity=opacity(1.0)))
    dash = alt.StrokeDash("label:N", scale=dashes, legend=None)
    drawn.append(joined.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash, opacity=opacity(1.0)))
    marks = apart.mark_point(filled=True, cursor="pointer").encode(
        y=y,
        size=alt.Size("size:Q", scale=None),
        shape=alt.Shape("label:N", scale=shapes, legend=None),
        opacity=opacity(1.0),
        tooltip=_about(measure),
    )
    drawn.append(marks.add_params(hover, click))
    return drawn


def _about(measure: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("label:N", title="criterion"),
        alt.Tooltip("n_drop:O", title="layers dropped"),
        alt.Tooltip("value:Q", title=AXIS[measure].removesuffix(" ↑"), format=".1%"),
        alt.Tooltip("low:Q", title="95 % from", format=".1%"),
        alt.Tooltip("high:Q", title="to", format=".1%"),
        alt.Tooltip("n:Q", title="items"),
        alt.Tooltip("plan_id:N", title="plan"),
    ]


def _references(references: pd.DataFrame, measure: str, x: alt.X, y: alt.Y) -> alt.Chart:
    """Scores from elsewhere: hollow marks in their criterion's colour; the tooltip says where from."""
    looks = references.drop_duplicates("label")
    labels, styles = list(looks.label), [style_of(c) for c in looks.criterion]
    rows = references.assign(x=references.n_drop.astype(float))
    about = [*_about(measure), alt.Tooltip("origin:N"), alt.Tooltip("benchmark:N")]
    return (
        alt.Chart(rows)
        .mark_point(filled=False, size=90, strokeWidth=2, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color("label:N", scale=alt.Scale(domain=labels, range=[s.color for s in styles]), legend=None),
            shape=alt.Shape("label:N", scale=alt.Scale(domain=labels, range=[s.shape for s in styles]), legend=None),
            tooltip=about,
        )
    )


def _regimes(
    regimes: Mapping[int, str], boundaries: "Sequence[Boundary]", top: float, x_scale: alt.Scale, y_scale: alt.Scale
) -> list[alt.Chart | alt.LayerChart]:
    """A row of cells below zero, one per budget, with the regime's initial, a faint shade above it, and boundaries."""
    frame = pd.DataFrame(
        {
            "left": [k - 0.5 for k in regimes],
            "right": [k + 0.5 for k in regimes],
            "x": [float(k) for k in regimes],
            "n_drop": list(regimes),
            "regime": list(regimes.values()),
            "initial": [REGIME_INITIALS.get(r, "?") for r in regimes.values()],
            "fill": [REGIME_COLORS.get(r, NEUTRAL) for r in regimes.values()],
            "bottom": -STRIP,
            "zero": -0.2 * STRIP,
            "middle": -0.6 * STRIP,
            "top": top,
        }
    )
    base = alt.Chart(frame).encode(
        color=alt.Color("fill:N", scale=None),
        tooltip=[alt.Tooltip("n_drop:O", title="layers dropped"), alt.Tooltip("regime:N")],
    )
    area = base.encode(x=alt.X("left:Q", scale=x_scale), x2="right:Q")
    shade = area.mark_rect(opacity=0.05).encode(y=alt.Y("zero:Q", scale=y_scale), y2="top:Q")
    cells = area.mark_rect(stroke=NEUTRAL, strokeWidth=0.5, opacity=0.25).encode(
        y=alt.Y("bottom:Q", scale=y_scale), y2="zero:Q"
    )
    text = base.mark_text(fontSize=11, fontWeight="bold").encode(
        x=alt.X("x:Q", scale=x_scale), y=alt.Y("middle:Q", scale=y_scale), text="initial:N", color=alt.value(INK)
    )
    edges = pd.DataFrame(
        {
            "x": [b.after + 0.5 for b in boundaries],
            "low": [b.low + 0.5 for b in boundaries],
            "high": [b.high + 0.5 for b in boundaries],
            "what": [f"{b.regime} {b.edge}" for b in boundaries],
            "fill": [REGIME_COLORS.get(b.regime, NEUTRAL) for b in boundaries],
            "zero": -0.2 * STRIP,
            "top": top,
        }
    )
    marks = alt.Chart(edges).encode(
        color=alt.Color("fill:N", scale=None),
        tooltip=[
            alt.Tooltip("what:N", title="boundary"),
            alt.Tooltip("x:Q", title="after, layers"),
            alt.Tooltip("low:Q", title="95 % from"),
            alt.Tooltip("high:Q", title="to"),
        ],
    )
    at = alt.X("x:Q", scale=x_scale)
    lines = marks.mark_rule(strokeWidth=1.5, strokeDash=[4, 4]).encode(
        x=at, y=alt.Y("zero:Q", scale=y_scale), y2="top:Q"
    )
    spans = marks.mark_rule(strokeWidth=4, opacity=0.8).encode(
        x=alt.X("low:Q", scale=x_scale), x2="high:Q", y=alt.Y("zero:Q", scale=y_scale)
    )
    return [shade, cells, text] + ([lines, spans] if len(edges) else [])


# ------------------------------------------------------------------------------------------------ flips and costs


def cost_chart(frame: pd.DataFrame, cost: str, full: tuple[float, float], height: int = 340) -> Drawn:
    """Score against cost: every measured plan, the criteria in their colours, the Pareto front joined by steps.

    Args:
        frame: as `tables.cost_frame` makes it.
        cost: the column on the axis, a key of `COST_AXIS`.
        full: cost and score of the full model.
    """
    x = alt.X(
        f"{cost}:Q",
        title=COST_AXIS[cost],
        scale=alt.Scale(zero=False, nice=True, padding=12),
        axis=alt.Axis(format=".2~s", grid=False, tickCount=8),
    )
    y = alt.Y("score:Q", title=AXIS["score"], scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%"))
    about = [
        alt.Tooltip("label:N", title="criterion"),
        alt.Tooltip("n_drop:O", title="layers dropped"),
        alt.Tooltip("score:Q", format=".1%"),
        alt.Tooltip("low:Q", title="95 % from", format=".1%"),
        alt.Tooltip("high:Q", title="to", format=".1%"),
        alt.Tooltip(f"{cost}:Q", title=COST_AXIS[cost].removeprefix("← "), format=".3s"),
        alt.Tooltip("front:N", title="on the front"),
        alt.Tooltip("plan_id:N", title="plan"),
    ]
    named = frame[frame.criterion != "random"]
    names = ordered(list(named.criterion))
    labels, styles = [label(c) for c in names], [style_of(c) for c in names]
    color = alt.Color("label:N", scale=alt.Scale(domain=labels, range=[s.color for s in styles]), legend=None)
    shape = alt.Shape("label:N", scale=alt.Scale(domain=labels, range=[s.shape for s in styles]), legend=None)
    random = alt.Chart(frame[frame.criterion == "random"]).mark_point(
        shape="stroke", size=30, color=NEUTRAL, opacity=0.35
    )
    front = alt.Chart(frame[frame.front].sort_values(cost).drop_duplicates(cost))
    whole = alt.Chart(pd.DataFrame({cost: [full[0]], "score": [full[1]], "text": ["full model"]}))
    return alt.layer(
        random.encode(x=x, y=y, tooltip=about),
        front.mark_line(interpolate="step-after", color=ACCENT, strokeWidth=1.5).encode(x=x, y=y),
        alt.Chart(named).mark_point(filled=True, size=60, opacity=0.9).encode(x, y, color, shape, tooltip=about),
        alt.Chart(frame[frame.front])
        .mark_point(shape="circle", size=190, filled=False, color=ACCENT, strokeWidth=1.5, opacity=1)
        .encode(x=x, y=y, tooltip=about),
        whole.mark_point(shape="circle", filled=True, size=80, color=NEUTRAL, opacity=1).encode(x=x, y=y),
        whole.mark_text(align="right", dx=-9, color=INK).encode(x=x, y=y, text="text:N"),
    ).properties(height=height)
