"""Prune: what a budget would remove under several criteria, what that saves, and what it scored when measured."""

import streamlit as st

from core.analysis import plan_tables, tables
from core.errors import StrataError
from core.records.plan import PruningPlan
from dashboard import services, state, widgets
from dashboard.views.prune import controls, costs, downloads, panels

model_id = widgets.header(
    "What would a budget remove?",
    "Each strip is one plan: filled layers are kept, hollow crossed ones are dropped, a bar marks protected layers. "
    "Click a cell to edit that plan by hand.",
)
try:
    model = services.models.spec(model_id)
    source = state.atlas_source(model_id)
    atlas = services.similarities.atlas(model_id, source)
except StrataError:
    widgets.no_atlas(model_id)
    st.stop()

# ------------------------------------------------------------------------------------------------ the plans

left, right = st.columns([2, 3], gap="large")
with left:
    budget = state.budget(model)
    steps = plan_tables.budget_steps(model, services.models.largest_budget(model))
    with st.container(horizontal=True):
        for unit in [u for u in controls.UNITS if u in steps]:
            controls.budget_in(unit, steps, budget)
with right:
    chosen = controls.criteria(services.similarities.criteria(atlas))

plans: list[PruningPlan] = []
for name in chosen:
    with widgets.show_errors():
        plans.append(services.plans.plan(atlas, name, budget))
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
        widgets.note("Choose at least one criterion above, or drop layers by hand below.")
        st.stop()
    panels.render_strips(plans, services.models.protected(model), details_here)
with links_here:
    panels.render_links(model_id, budget, plans)
with details_here:
    widgets.atlas_provenance(atlas, source)

# ------------------------------------------------------------------------------------------------ what they are worth

widgets.section(f"What they scored, and the regime at {budget} layers dropped")
view = services.scores.view(model_id)
table = view.scores()
scores = plan_tables.plan_scores(plans, view.records, table)
if scores.empty:
    widgets.no_runs(model_id)
else:
    grid = st.grid(2, min_column_width=360, gap="large")
    for domain in tables.ordered_groups(scores.group):
        with grid.cell():
            panels.render_scores(view, domain, scores[scores.group == domain], budget)
    st.caption(f"Bars: 95 % Wilson intervals, n = {scores.n.max()} items. Dashed: the full model on the same items.")
    widgets.runs_provenance(view, model, int(table.n.max()))

widgets.section("What they cost")
costs.render_cost(model, plans, services.models.anatomy(model))

widgets.section("How they differ")
panels.render_structure(plans)

widgets.section("Take a plan along")
taken = controls.taken([p.criterion for p in plans])
downloads.render_downloads(model, next(p for p in plans if p.criterion == taken), atlas)
