"""Charts of answers: items that flipped, kinds of failure, divergence; they look as `core.charts.style` says."""

from typing import TYPE_CHECKING

import altair as alt
import numpy as np
import pandas as pd

from core.charts.style import HIGH, INK, NEUTRAL, STYLES, Drawn, style_of

if TYPE_CHECKING:
    pass


def flip_chart(frame: pd.DataFrame) -> Drawn:
    """Items lost to the left of 0 and gained to the right, by task, in percent of the task's items.

    Args:
        frame: as `tables.flips_by_task` makes it.
    """
    rows = frame.melt(["task", "n"], ["lost", "gained"], "change", "items")
    rows["share"] = np.where(rows.change == "lost", -1, 1) * rows["items"] / rows.n
    base = alt.Chart(rows).encode(
        y=alt.Y("task:N", sort=list(frame.task), title=None, axis=alt.Axis(labelLimit=150)),
        tooltip=["task:N", "change:N", "items:Q", alt.Tooltip("n:Q", title="items of the task")],
    )
    bars = base.mark_bar(height=12).encode(
        x=alt.X(
            "share:Q",
            title="← lost · share of items · gained →",
            axis=alt.Axis(format="+.0%", tickCount=5),
        ),
        color=alt.Color(
            "change:N",
            scale=alt.Scale(domain=["lost", "gained"], range=[HIGH, STYLES["non_math_aware"].color]),
            legend=None,
        ),
    )
    zero = alt.Chart(pd.DataFrame({"x": [0]})).mark_rule(color=NEUTRAL).encode(x="x:Q")
    return alt.layer(bars, zero).properties(height=alt.Step(22))


FAILURES = {  # colour-blind safe, from answers that were understood to those that were not
    "wrong": "#66788a",
    "truncated": "#c9a227",
    "unparsable": "#c8553d",
    "repeating": "#8a63b5",
    "empty": "#3f74c9",
}


def failure_chart(frame: pd.DataFrame, height: int = 240) -> Drawn:
    """Kinds of failure against layers dropped, one criterion's plans; the full model is at 0.

    Args:
        frame: as `tables.failure_table` makes it.
    """
    kinds = [k for k in FAILURES if k in set(frame.failure)]
    rank = frame.assign(order=frame.failure.map({k: i for i, k in enumerate(kinds)}))
    return (
        alt.Chart(rank)
        .mark_bar(size=14, stroke=INK, strokeWidth=0.4)
        .encode(
            x=alt.X("n_drop:O", title="decoder layers dropped", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("share:Q", title="← share of the items", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "failure:N",
                scale=alt.Scale(domain=kinds, range=[FAILURES[k] for k in kinds]),
                legend=alt.Legend(title=None, symbolStrokeWidth=0),
            ),
            order="order:Q",
            tooltip=["failure:N", alt.Tooltip("share:Q", format=".1%"), "n_drop:Q", "n:Q"],
        )
        .properties(height=height)
    )


def divergence_chart(frame: pd.DataFrame) -> Drawn:
    """KL from the full model at every token of its answer, one row of bars per plan.

    Args:
        frame: as `divergence_frame` makes it.
    """
    names = list(dict.fromkeys(frame.pane))
    styles = [style_of(c) for c in frame.drop_duplicates("pane").criterion]
    cells = alt.Chart(frame.assign(place=frame.step.astype(str).str.zfill(3) + " " + frame.token))
    return (
        cells.mark_bar(size=14)
        .encode(
            x=alt.X(
                "place:O",
                title="token of the full model's answer",
                axis=alt.Axis(labelExpr="substring(datum.label, 4)", labelAngle=0, labelLimit=60, labelOverlap=True),
            ),
            y=alt.Y("kl:Q", title="KL, nats", axis=alt.Axis(tickCount=4)),
            xOffset=alt.XOffset("pane:N", sort=names),
            color=alt.Color(
                "pane:N",
                scale=alt.Scale(domain=names, range=[s.color for s in styles]),
                legend=alt.Legend(orient="top", title=None),
            ),
            tooltip=[
                alt.Tooltip("pane:N", title="plan"),
                alt.Tooltip("step:Q", title="token"),
                alt.Tooltip("token:N", title="text"),
                alt.Tooltip("kl:Q", title="KL, nats", format=".3f"),
                alt.Tooltip("full_nll:Q", title="NLL, full model", format=".3f"),
                alt.Tooltip("plan_nll:Q", title="NLL, plan", format=".3f"),
            ],
        )
        .properties(height=260)
    )
