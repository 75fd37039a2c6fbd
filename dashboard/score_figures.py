"""Figures of scores: tables of `dashboard.results` in, Altair chart out. Criteria look as `dashboard.figures` says."""

from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dashboard.figures import NEUTRAL, STYLES, Style, style_of
from dashboard.results import label

DODGE = 0.07  # layers between neighbouring criteria at one budget, so that equal scores stay apart
REGIME_COLORS = {
    "ranking-sensitive": "#0f7c95",
    "converged": "#7b8894",
    "structure-dominated": "#c8553d",
    "undetermined": "#a37a00",
}
REGIME_INITIALS = {"ranking-sensitive": "R", "converged": "C", "structure-dominated": "S", "undetermined": "?"}
STRIP = 0.075  # height of the regime row, in units of the score axis
AXIS = {"score": "exact match ↑", "retention": "share of the full model's score ↑"}


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
    budget: int | None = None,
    height: int = 380,
) -> alt.LayerChart:
    """Score against budget, one curve per criterion, over the envelope of the random plans.

    Args:
        points: as `results.curves` makes it, of one group.
        envelope: as `results.random_envelope` makes it, of the same group.
        full: the full model's value on the same axis; NaN draws no line.
        intervals: "bands", "bars" or "none".
        regimes: label of each budget, drawn as a strip of colour along the bottom.
        budget: a budget to mark with a vertical line.
    """
    names = ordered(list(points.criterion))
    shift = {c: (i - (len(names) - 1) / 2) * min(DODGE, 0.5 / max(len(names), 1)) for i, c in enumerate(names)}
    points = points.assign(x=points.n_drop + points.criterion.map(shift).astype(float))
    budgets = sorted({*points.n_drop, *envelope.n_drop})
    top = max([1.0, *points.high.dropna(), *envelope.high]) if measure == "retention" else 1.0
    ticks = [b for b in budgets if len(budgets) <= 16 or b % 2 == 0]
    x_scale = alt.Scale(domain=[min(budgets, default=1) - 0.4, max(budgets, default=1) + 0.4], nice=False)
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

    pick = alt.selection_point("curve", fields=["label"], on="pointerover", clear="pointerout")
    layers: list[alt.Chart | alt.LayerChart] = _envelope(envelope, x, y, y_scale) if len(envelope) else []
    for name in names:
        layers += _curve(points[points.criterion == name], style_of(name), pick, intervals, x, y, y_scale)
    faded = alt.condition(pick, alt.value(1.0), alt.value(0.15))
    labels = [label(c) for c in names]
    colors = alt.Scale(domain=labels, range=[style_of(c).color for c in names])
    shapes = alt.Scale(domain=labels, range=[style_of(c).shape for c in names])
    layers.append(
        alt.Chart(points)
        .mark_point(filled=True, size=64, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color("label:N", scale=colors, legend=None),
            shape=alt.Shape("label:N", scale=shapes, legend=None),
            opacity=faded,
            tooltip=[
                alt.Tooltip("label:N", title="criterion"),
                alt.Tooltip("n_drop:O", title="layers dropped"),
                alt.Tooltip("value:Q", title=AXIS[measure].removesuffix(" ↑"), format=".1%"),
                alt.Tooltip("low:Q", title="95 % from", format=".1%"),
                alt.Tooltip("high:Q", title="to", format=".1%"),
                alt.Tooltip("n:Q", title="items"),
                alt.Tooltip("plan_id:N", title="plan"),
            ],
        )
        .add_params(pick)
    )
    if np.isfinite(full):
        line = alt.Chart(pd.DataFrame({"value": [full], "text": ["full model"]}))
        layers.append(line.mark_rule(strokeWidth=1, color=NEUTRAL).encode(y=y))
        note = line.mark_text(align="right", dx=-4, dy=10 if full > 0.93 * top else -7, color=NEUTRAL)
        layers.append(note.encode(y=y, x=alt.value("width"), text="text:N"))
    if budget is not None and budget in budgets:
        mark = alt.Chart(pd.DataFrame({"x": [float(budget)]}))
        layers.append(mark.mark_rule(strokeDash=[3, 3], strokeWidth=1.5, color=NEUTRAL).encode(x=x))
    if regimes:
        layers.append(_regime_strip(regimes, x_scale, y_scale))
    return alt.layer(*layers).properties(height=height)


def _envelope(envelope: pd.DataFrame, x: alt.X, y: alt.Y, y_scale: alt.Scale) -> list[alt.Chart | alt.LayerChart]:
    """What random plans reach: 5th to 95th percentile and median."""
    names = (("low", "5 %"), ("median", "median"), ("high", "95 %"))
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


def _curve(
    rows: pd.DataFrame, style: Style, pick: alt.Parameter, intervals: str, x: alt.X, y: alt.Y, y_scale: alt.Scale
) -> list[alt.Chart | alt.LayerChart]:
    """One criterion's line with its intervals; faded while the pointer is on another one."""

    def opacity(shown: float) -> Any:
        return alt.condition(pick, alt.value(shown), alt.value(0.15 * shown))

    base = alt.Chart(rows).encode(x=x)
    low = alt.Y("low:Q", scale=y_scale)
    drawn: list[alt.Chart | alt.LayerChart] = []
    if intervals == "bands":
        drawn.append(base.mark_area(color=style.color).encode(y=low, y2="high:Q", opacity=opacity(0.12)))
        for bound in ("low", "high"):
            edge = base.mark_line(color=style.color, strokeWidth=0.8)
            drawn.append(edge.encode(y=alt.Y(f"{bound}:Q", scale=y_scale), opacity=opacity(0.5)))
    elif intervals == "bars":
        rule = base.mark_rule(color=style.color, strokeWidth=1.5)
        drawn.append(rule.encode(y=low, y2="high:Q", opacity=opacity(1.0)))
    line = base.mark_line(color=style.color, strokeDash=list(style.dash), strokeWidth=2)
    drawn.append(line.encode(y=y, opacity=opacity(1.0)))
    return drawn


def _regime_strip(regimes: Mapping[int, str], x_scale: alt.Scale, y_scale: alt.Scale) -> alt.LayerChart:
    """A row of cells below zero, one per budget, with the regime's initial; its name is in the tooltip."""
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
            "top": -0.2 * STRIP,
            "middle": -0.6 * STRIP,
        }
    )
    base = alt.Chart(frame).encode(tooltip=[alt.Tooltip("n_drop:O", title="layers dropped"), alt.Tooltip("regime:N")])
    cells = base.mark_rect(stroke=NEUTRAL, strokeWidth=0.5, opacity=0.25).encode(
        x=alt.X("left:Q", scale=x_scale),
        x2="right:Q",
        y=alt.Y("bottom:Q", scale=y_scale),
        y2="top:Q",
        color=alt.Color("fill:N", scale=None),
    )
    text = base.mark_text(fontSize=11, fontWeight="bold").encode(
        x=alt.X("x:Q", scale=x_scale),
        y=alt.Y("middle:Q", scale=y_scale),
        text="initial:N",
        color=alt.Color("fill:N", scale=None),
    )
    return alt.layer(cells, text)
