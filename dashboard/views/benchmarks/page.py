"""Benchmarks: score against budget with its uncertainty, the items behind a mark, regimes, paired tests, and cost."""

import streamlit as st

from core.analysis import tables
from core.charts import scores as score_charts
from core.errors import StrataError
from dashboard import services, state, widgets
from dashboard.text import plain
from dashboard.views.benchmarks import controls, evidence, scores
from dashboard.views.benchmarks.flips import render_flips

model_id = widgets.header(
    "How much does each criterion keep?",
    "Right answers of each measured plan, with 95 % Wilson intervals. Higher is better; grey: what random plans reach. "
    "Click a mark to see the items that flipped.",
)
try:
    model = services.models.spec(model_id)
    whole_view = services.scores.view(model_id)
    domain_table = whole_view.scores()
except StrataError as error:
    st.error(str(error), icon=":material/error:")
    widgets.no_runs(model_id)
    st.stop()
if domain_table.empty:
    widgets.no_runs(model_id)
    st.stop()

# ------------------------------------------------------------------------------------------------ what is shown

with st.container(horizontal=True, vertical_alignment="bottom"):
    domain = state.domain(tables.ordered_groups(domain_table.group))
    by = state.choice("by", "Items of", ["domain", "task"])
    measure = state.choice("measure", "Measure", ["score", "retention"])
    intervals = state.choice("interval", "Intervals", ["bands", "bars", "none"])
    view = services.scores.view(model_id, controls.data_set(whole_view, domain))
domain_table, task_table = view.scores(), view.scores("task")
measured = domain_table[(domain_table.group == domain) & (domain_table.n_drop > 0)].criterion.unique()
chosen = controls.curves(score_charts.ordered(c for c in measured if c != "random"))

table, group = domain_table, domain
if by == "task":
    table, group = task_table, state.menu("task", "Task", view.tasks(domain), 260)
points = tables.curves(table, chosen, [group], measure)
if measure == "retention" and points.value.isna().all():
    widgets.note("Retention needs the full model's score on these items: run a sweep, which measures it first.")
    st.stop()

regimes = None
with widgets.show_errors():
    regimes = view.regimes(domain)

# ------------------------------------------------------------------------------------------------ scores and items

chart_slot = st.container()
widgets.section("Items that flipped")
if chosen:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="large"):
        picked = state.menu("plan", "Plan", chosen, 240)
        with st.container(width=300):
            budget = state.budget(model)
    with widgets.show_errors():
        plan = view.measured_as(picked, budget)
        flips = view.flips(picked, budget, domain)
        flips = flips if by == "domain" else flips[flips.task == group]
        if plan is None:
            widgets.note(
                f"{plain(picked)} was not measured at budget {budget} on {domain}: click a mark, or sweep this budget."
            )
        elif flips.empty:
            widgets.note(f"No item of {group} changed at budget {budget} under {plain(picked)}.")
        else:
            render_flips(model_id, plan, picked, flips, task_table, f"{picked}_{budget}_{domain}_{group}")
else:
    picked, budget = "", state.budget(model)
    widgets.note("Choose a criterion above to see its items.")

with chart_slot, widgets.show_errors():
    scores.render_scores(
        table,
        points,
        group,
        chosen,
        n_layers=model.n_layers,
        measure=measure,
        intervals=intervals,
        regimes=regimes if by == "domain" else None,
        references=view.references(domain, measure) if by == "domain" else None,
        picked=picked,
        budget=budget,
    )
    widgets.runs_provenance(view, model, int((points if len(points) else table).n.max()), domain)
    if left_out := view.left_out(domain):
        st.caption(f"Left out: {plain(left_out)}.")

# ------------------------------------------------------------------------------------------------ evidence

with widgets.show_errors():
    evidence.render_failures(view.answered(domain), picked, domain)

widgets.section("Which differences are real?")
with widgets.show_errors():
    pairs = view.pairs([tables.FULL, *chosen], budget, domain)
    evidence.render_pairs(pairs, budget, domain, points.n_drop.unique().tolist())

widgets.section("Regimes and their evidence")
with widgets.show_errors():
    evidence.render_regimes(tables.evidence_table(regimes), regimes, budget, domain)

widgets.section("Score against cost")
with widgets.show_errors():
    cost, n = scores.render_costs(table, services.plans.plan_costs(view), group, chosen)
    if n:
        widgets.provenance(services.plans.cost_said(model, cost), f"scores as above, n = {n} items")
evidence.render_figures(services.scores.sources().figures)
