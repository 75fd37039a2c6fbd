"""Prune: what a budget would remove under several criteria, what that saves, and what it scored when measured."""

import streamlit as st

from core.analysis import plan_tables, tables
from core.charts import plans as plan_charts
from core.errors import StrataError
from core.records.plan import PruningPlan
from dashboard import services, state, widgets
from dashboard.charts import drawn
from dashboard.text import plain
from dashboard.views.prune import panels

Number = st.column_config.NumberColumn

model_id = widgets.header(
    "What would a budget remove?",
    "Each strip is one plan: filled layers are kept, hollow crossed ones are dropped, a bar marks protected layers. "
    "Click a cell to edit that plan by hand.",
)

try:
    model = services.spec(model_id)
    source = state.atlas_source(model_id)
    atlas = services.atlas(model_id, source)
except StrataError:
    widgets.no_atlas(model_id)
    st.stop()
protected = services.protected(model)


def edit(plans: list[PruningPlan], key: str) -> None:
    """A click on a strip's cell: copy that plan into the hand-made one, with the clicked layer changed over."""
    for cell in st.session_state[key].selection.get("cell") or []:
        plan = next((p for p in plans if p.criterion == cell["criterion"]), None)
        layer = int(cell["layer"])
        if plan is None:
            continue
        if layer in protected and layer not in plan.dropped:
            st.session_state["prune_notice"] = f"Layer {layer} is protected: no plan drops it."
        else:
            state.edit_manual(set(plan.dropped) ^ {layer})
    st.session_state["strip_version"] = st.session_state.get("strip_version", 0) + 1  # a new key clears the click


# ------------------------------------------------------------------------------------------------ the plans

left, right = st.columns([2, 3], gap="large")
with left:
    budget = state.budget(model)
    steps = plan_tables.budget_steps(model, services.largest_budget(model))
    with st.container(horizontal=True):
        for unit in [u for u in state.UNITS if u in steps]:
            state.budget_in(unit, steps, budget)
with right:
    chosen = state.criteria(services.criteria(atlas))

plans: list[PruningPlan] = []
for name in chosen:
    with widgets.show_errors():
        plans.append(services.plan(atlas, name, budget))
strips_here = st.container()
with st.container(horizontal=True, vertical_alignment="center"):
    with st.popover("Edit by hand", icon=":material/edit:"):
        manual = state.manual_layers(model)
    state.undo_buttons(manual)
    links_here = st.container(horizontal=True, width="content")
details_here = st.container()
if manual:
    plans.append(PruningPlan(model.model_id, model.n_layers, tuple(manual), "manual"))

with strips_here:
    at_budget = steps.set_index("n_drop").loc[budget]
    left_over = f" · {at_budget.left:.0f} % of parameters left" if "left" in steps else ""
    st.markdown(f"**{budget} of {model.n_layers} layers** · {at_budget.percent:.0f} % of depth{left_over}")
    if not plans:
        st.info("Choose at least one criterion above, or drop layers by hand below.", icon=":material/info:")
        st.stop()
    key = f"strips_{st.session_state.get('strip_version', 0)}"
    strips = plan_charts.strip_frame(plans, protected)
    widgets.figure(
        drawn(plan_charts.layer_strips, strips),
        strips,
        name="strips",
        alt_text="; ".join(f"{tables.label(p.criterion)} drops {tables.as_ranges(p.dropped)}" for p in plans),
        on_select=lambda: edit(plans, key),
        key=key,
        below=details_here,
    )
    notice = st.session_state.pop("prune_notice", None)
    if notice:
        st.caption(f":material/lock: {notice}")
    for names in plan_tables.coinciding(plans):
        st.badge(f"{plain(names)}: the same layers, so one plan", icon=":material/join:", color="blue")
with links_here:
    panes = dict(zip("ab", plans, strict=False))
    by_hand = [str(i) for i in manual] if "manual" in {p.criterion for p in panes.values()} else []
    st.page_link(
        "views/compare/page.py",
        label="Compare these" if len(panes) > 1 else "Compare with the full model",
        icon=":material/compare:",
        query_params=state.link(model_id, budget, manual=by_hand, **{k: p.criterion for k, p in panes.items()}),
    )
    st.page_link(
        "views/benchmarks/page.py",
        label="See scores",
        icon=":material/monitoring:",
        query_params=state.link(model_id, budget, curves=[p.criterion for p in plans if p.criterion != "manual"]),
    )
with details_here:
    widgets.atlas_provenance(atlas, source)

# ------------------------------------------------------------------------------------------------ score and regime

st.subheader(f"What they scored, and the regime at {budget} layers dropped", anchor=False)
records = services.chosen_records(model_id)
table = services.score_table(model_id)
scores = plan_tables.plan_scores(plans, records, table)
if scores.empty:
    widgets.no_runs(model_id)
else:
    grid = st.grid(2, min_column_width=360, gap="large")
    for domain in tables.ordered_groups(scores.group):
        rows, found = scores[scores.group == domain], None
        with grid.cell():
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{plain(domain)}**", width="content")
                with widgets.show_errors():
                    found = services.regime_map(model_id, domain)
                widgets.regime_badge(found.label_at(budget) if found else "undetermined")
            widgets.figure(
                drawn(plan_charts.plan_score_chart, rows),
                rows.drop(columns="criterion"),
                name=f"plan-scores-{domain}",
                alt_text=f"Measured share of right answers on {domain}: "
                + "; ".join(f"{r.plan} {plan_tables.interval_text(r.score, r.low, r.high)}" for r in rows.itertuples()),
                columns=widgets.SHARES,
            )
            for row in rows[rows.distance > 0].itertuples():
                st.caption(
                    f":material/near_me: **{plain(row.plan)}** was not measured. Hollow: the nearest measured plan, "
                    f"{plain(row.measured)} ({row.distance} layers differ)."
                )
            st.caption(found.explain(budget) if found else "No runs of this domain yet.")
    st.caption(f"Bars: 95 % Wilson intervals, n = {scores.n.max()} items. Dashed: the full model on the same items.")
    widgets.runs_provenance(records, model, int(table.n.max()))

# ------------------------------------------------------------------------------------------------ cost

st.subheader("What they cost", anchor=False)
panels.render_cost(model, plans)

# ------------------------------------------------------------------------------------------------ structure

st.subheader("How they differ", anchor=False)
left, right = st.columns(2, gap="large")
with left:
    st.caption("Layers that two plans both drop, of those that at least one of them drops.")
    overlaps = plan_tables.overlaps(plans)
    widgets.figure(
        drawn(plan_charts.overlap_map, overlaps),
        overlaps,
        name="overlap",
        alt_text="How many dropped layers each pair of plans shares",
        columns={"overlap": Number(format="%.2f")},
    )
with right:
    st.caption("Spacing: mean distance from one dropped layer to the next. Where structure decides, long runs hurt.")
    st.dataframe(
        plan_tables.structure(plans).drop(columns="criterion"),
        hide_index=True,
        alt="Dropped layers, longest run, number of runs and spacing of each plan",
        column_config={
            "plan": st.column_config.TextColumn("Plan", pinned=True),
            "dropped": st.column_config.TextColumn("Dropped layers"),
            "n_drop": Number("Layers"),
            "longest_run": Number("Longest run"),
            "runs": Number("Runs"),
            "spacing": Number("Spacing", format="%.1f"),
        },
    )

# ------------------------------------------------------------------------------------------------ take it along

st.subheader("Take a plan along", anchor=False)
taken = state.taken([p.criterion for p in plans])
panels.render_downloads(model, next(p for p in plans if p.criterion == taken), atlas)
