"""Benchmarks' first chart, score against budget, with all that must be said about it; and scores against cost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from core.analysis import tables
from core.charts import scores as score_charts
from dashboard import state, widgets
from dashboard.text import plain
from dashboard.views.benchmarks.controls import pick_point

if TYPE_CHECKING:
    from core.analysis.regime_map import RegimeMap


def render_scores(
    table: pd.DataFrame,
    points: pd.DataFrame,
    group: str,
    criteria: Sequence[str],
    *,
    n_layers: int,
    measure: str,
    intervals: str,
    regimes: "RegimeMap | None",
    references: pd.DataFrame | None,
    picked: str,
    budget: int,
) -> None:
    """The curves of a group, their key and their caveats. A click on a mark chooses the plan and the budget.

    Args:
        table, points: as of `tables.score_table`, and its `tables.curves`.
        references: scores that were not measured here, see `tables.reference_points`.
        picked, budget: of the mark whose items are shown; "" if no criterion is chosen.
    """
    chart = f"scores_{picked}_{budget}"  # a chart of its own for each choice: a click that repeats one still counts
    envelope = tables.random_envelope(table, [group], measure)
    widgets.criteria_legend(score_charts.ordered(criteria))
    widgets.figure(
        score_charts.score_chart,
        points,
        envelope,
        tables.full_score(table, group) if measure == "score" else 1.0,
        n_layers,
        measure=measure,
        intervals=intervals,
        regimes={b.n_drop: b.label for b in regimes.budgets} if regimes else None,
        boundaries=regimes.boundaries if regimes else (),
        references=references,
        picked=(picked, budget) if picked else None,
        table=tables.drawn_numbers(points, envelope, references),
        name="scores",
        alt_text=f"{measure} on {group} against dropped layers, for {', '.join(criteria) or 'random plans only'}",
        columns=widgets.SHARES,
        on_select=lambda: pick_point(chart),
        selects="point",
        key=chart,
    )
    widgets.regime_legend(
        "A dashed line is where a regime ends or begins, the bar at its foot the 95 % interval. Grey: 10th to 90th "
        "percentile of the random plans, dotted their median. Marks of one budget stand slightly apart, so that equal "
        "scores do not hide each other."
    )
    if references is not None and len(references):
        sources = references[["benchmark", "origin"]].drop_duplicates().itertuples(index=False)
        named = ", ".join(f"{plain(benchmark)} ({origin})" for benchmark, origin in sources)
        st.caption(f":material/radio_button_unchecked: Hollow marks were not measured here: {named}.")
    if same := tables.coinciding(points):
        said = "; ".join(f"**{plain(names)}** at {tables.as_ranges(budgets)}" for names, budgets in same)
        st.caption(f":material/join: The same layers, so one plan: {said} layers dropped.")


def render_costs(table: pd.DataFrame, costs: pd.DataFrame, group: str, criteria: Sequence[str]) -> tuple[str, int]:
    """Score against cost with its Pareto front; returns the cost that was chosen and the number of items, if drawn."""
    known = {name: column for name, column in score_charts.COSTS.items() if column in costs}
    cost = known[state.choice("cost", "Against", list(known))]
    frame = tables.cost_frame(table, costs, cost, group, criteria)
    whole = costs[costs.plan_id.isin(table[table.n_drop == 0].plan_id)][cost]
    if frame.empty or whole.empty:
        widgets.note("The full model was not measured on these items: a sweep measures it first.")
        return cost, 0
    widgets.figure(
        score_charts.cost_chart,
        frame,
        cost,
        (float(whole.iloc[0]), tables.full_score(table, group)),
        name="cost",
        alt_text=f"Score on {group} against {cost} of every measured plan, Pareto front marked",
        columns=widgets.SHARES,
    )
    st.caption(
        f"Ringed and joined: the Pareto front, {frame.plan_id[frame.front].nunique()} plans that no other measured one "
        "beats. It was chosen on these items, so it flatters its plans: confirm one on others. Grey: random plans."
    )
    return cost, int(frame.n.max())
