"""What Prune draws of plans: their strips, where they lead, what they scored when measured, and how they differ."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.analysis import plan_tables, tables
from core.charts import plans as plan_charts
from core.library.run_view import RunView
from core.records.plan import PruningPlan
from dashboard import state, widgets
from dashboard.text import plain
from dashboard.views.prune.controls import edit

Number = st.column_config.NumberColumn


def render_strips(plans: Sequence[PruningPlan], protected: frozenset[int], below: DeltaGenerator) -> None:
    """One strip of layers a plan; a click on a cell edits the plan by hand. The table goes to `below`."""
    key = f"strips_{st.session_state.get('strip_version', 0)}"
    strips = plan_charts.strip_frame(plans, protected)
    widgets.figure(
        plan_charts.layer_strips,
        strips,
        name="strips",
        alt_text="; ".join(f"{tables.label(p.criterion)} drops {tables.as_ranges(p.dropped)}" for p in plans),
        on_select=lambda: edit(plans, protected, key),
        key=key,
        below=below,
    )
    if notice := st.session_state.pop("prune_notice", None):
        st.caption(f":material/lock: {notice}")
    widgets.same_layers(plans)


def render_links(model_id: str, budget: int, plans: Sequence[PruningPlan]) -> None:
    """The first two plans in Compare, and all in Benchmarks."""
    panes = dict(zip("ab", plans, strict=False))
    by_hand = next(([str(i) for i in p.dropped] for p in panes.values() if p.criterion == "manual"), [])
    widgets.compare_link(
        state.link(model_id, budget, manual=by_hand, **{k: p.criterion for k, p in panes.items()}),
        "Compare these" if len(panes) > 1 else "Compare with the full model",
    )
    st.page_link(
        "views/benchmarks/page.py",
        label="See scores",
        icon=":material/monitoring:",
        query_params=state.link(model_id, budget, curves=[p.criterion for p in plans if p.criterion != "manual"]),
    )


def render_scores(view: RunView, domain: str, rows: pd.DataFrame, budget: int) -> None:
    """The regime of a domain at the budget, and what each plan, or the nearest measured one, scored.

    Args:
        rows: of `plan_tables.plan_scores`.
    """
    found = None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{plain(domain)}**", width="content")
        with widgets.show_errors():
            found = view.regimes(domain)
        widgets.regime_badge(found.label_at(budget) if found else "undetermined")
    scores = rows.to_dict("records")
    said = [f"{r['plan']} {plan_tables.interval_text(r['score'], r['low'], r['high'])}" for r in scores]
    widgets.figure(
        plan_charts.plan_score_chart,
        rows,
        table=rows.drop(columns="criterion"),
        name=f"plan-scores-{domain}",
        alt_text=f"Measured share of right answers on {domain}: {'; '.join(said)}",
        columns=widgets.SHARES,
    )
    for row in scores:
        if row["distance"] > 0:
            st.caption(
                f":material/near_me: **{plain(row['plan'])}** was not measured. Hollow: the nearest measured plan, "
                f"{plain(row['measured'])} ({row['distance']} layers differ)."
            )
    st.caption(found.explain(budget) if found else "No runs of this domain yet.")


def render_structure(plans: Sequence[PruningPlan]) -> None:
    """Which dropped layers plans share, and how those of each are arranged."""
    left, right = st.columns(2, gap="large")
    with left:
        st.caption("Layers that two plans both drop, of those that at least one of them drops.")
        overlaps = plan_tables.overlaps(plans)
        widgets.figure(
            plan_charts.overlap_map,
            overlaps,
            name="overlap",
            alt_text="How many dropped layers each pair of plans shares",
            columns={"overlap": Number(format="%.2f")},
        )
    with right:
        st.caption(
            "Spacing: mean distance from one dropped layer to the next. Where structure decides, long runs hurt."
        )
        widgets.show_table(
            plan_tables.structure(plans).drop(columns="criterion"),
            "Dropped layers, longest run, number of runs and spacing of each plan",
            {
                "plan": st.column_config.TextColumn("Plan", pinned=True),
                "dropped": st.column_config.TextColumn("Dropped layers"),
                "n_drop": Number("Layers"),
                "longest_run": Number("Longest run"),
                "runs": Number("Runs"),
                "spacing": Number("Spacing", format="%.1f"),
            },
        )
