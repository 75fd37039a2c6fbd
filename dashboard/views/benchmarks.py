"""Benchmarks: score against budget with its uncertainty, regimes, paired tests, and the items that flipped."""

import pandas as pd
import streamlit as st

from core.errors import StrataError
from dashboard import results, score_figures, services, state, widgets

model_id = widgets.header(
    "How much does each criterion keep?",
    "Exact match of each measured plan with its 95 % Wilson interval. Higher is better; grey: what random plans reach.",
)

try:
    model = services.spec(model_id)
    outcomes = services.outcomes(model_id)
except StrataError as error:
    st.error(str(error), icon=":material/error:")
    widgets.no_runs(model_id)
    st.stop()
if outcomes.empty:
    widgets.no_runs(model_id)
    st.stop()

domains = results.ordered_groups(outcomes.domain)
with st.container(horizontal=True, vertical_alignment="bottom"):
    domain = state.domain(domains)
    by = state.choice("by", "Items of", ["domain", "task"])
    measure = state.choice("measure", "Measure", ["score", "retention"])
    intervals = state.choice("interval", "Intervals", ["bands", "bars", "none"])
    data = state.data_set(model_id, domain)
outcomes = services.outcomes(model_id, data)
measured = score_figures.ordered(c for c in outcomes.criterion[outcomes.n_drop > 0].unique() if c != "random")
chosen = state.curves(measured)

table = services.score_table(model_id, by, data)
group = domain
if by == "task":
    tasks = sorted(outcomes[outcomes.domain == domain].task.unique())
    group = state.task(tasks)
points = results.curves(table, chosen, [group], measure)
envelope = results.random_envelope(table, [group], measure)
full = results.full_score(table, group) if measure == "score" else 1.0
if measure == "retention" and points.value.isna().all():
    st.info(
        "Retention needs the full model's score on these items: run a sweep, which measures it first.",
        icon=":material/info:",
    )
    st.stop()

regimes = {}
with widgets.show_errors():
    regimes = services.regime_labels(model_id, domain, data)
widgets.criteria_legend(score_figures.ordered(chosen))
widgets.figure(
    score_figures.score_chart(
        points,
        envelope,
        full,
        model.n_layers,
        measure=measure,
        intervals=intervals,
        regimes=regimes if by == "domain" else None,
    ),
    points,
    name="scores",
    alt_text=f"{measure} on {group} against dropped layers, for {', '.join(chosen) or 'random plans only'}",
    columns=widgets.SHARES,
)
widgets.regime_legend(
    "Point at a curve to bring it forward. Grey: 5th to 95th percentile of the random plans, dotted "
    "their median. Marks of one budget stand slightly apart, so that equal scores do not hide each other."
)
same = results.coinciding(points)
if same:
    said = "; ".join(f"**{names}** at {results.as_ranges(budgets)}" for names, budgets in same)
    st.markdown(f":material/join: The same layers, so one plan: {said} layers dropped.")
n = int(points.n.max()) if len(points) else int(table.n.max())
widgets.runs_provenance([r for r in services.chosen_records(model_id, data) if r.domain == domain], model, n)

# ------------------------------------------------------------------------------------------------ regimes

st.subheader("Regimes and their evidence", anchor=False)
with widgets.show_errors():
    evidence = services.regime_table(model_id, domain, data)
    if evidence.empty:
        st.info(
            "A regime needs several criteria and random plans at one budget: widen the sweep.", icon=":material/info:"
        )
    else:
        for label, rows in evidence.groupby("label", sort=False):
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                widgets.regime_badge(str(label))
                st.caption(f"layers dropped: {results.as_ranges([int(k) for k in rows.n_drop])}", width="content")
        widgets.twin(evidence, name=f"regimes-{domain}", title=f"Evidence at every budget on {domain}")

# ------------------------------------------------------------------------------------------------ pairs

st.subheader("Which differences are real?", anchor=False)
left, right = st.columns([1, 2], gap="large")
with left:
    budget = state.budget(model, "At this many layers dropped")
pairs = results.pairwise(outcomes, [results.FULL, *chosen], budget, domain)
with right:
    if len(pairs):
        items = int(pairs.n.min())
        st.caption(
            f"Exact McNemar test on the same {items} {domain} items; p is also adjusted for the {len(pairs)} pairs "
            f"(Holm). With {items} items, a difference below {100 * results.visible_difference(items):.0f} points "
            "may go unseen (80 % power, 5 % level)."
        )
if pairs.empty:
    budgets = results.as_ranges([int(k) for k in outcomes[outcomes.criterion.isin(chosen)].n_drop.unique() if k])
    st.info(
        f"No two of these criteria were measured at budget {budget}: choose one of {budgets or 'none yet'}.",
        icon=":material/info:",
    )
else:
    st.dataframe(
        pairs.assign(
            difference=100 * pairs.difference, p=pairs.p.map(results.p_text), p_holm=pairs.p_holm.map(results.p_text)
        ),
        hide_index=True,
        alt=f"Paired tests between criteria at {budget} dropped layers",
        column_config={
            "a": "A",
            "b": "B",
            "n": st.column_config.NumberColumn("Items"),
            "a_only": st.column_config.NumberColumn("Only A right"),
            "b_only": st.column_config.NumberColumn("Only B right"),
            "difference": st.column_config.NumberColumn("A − B", format="%+.1f points"),
            "p": st.column_config.TextColumn("p", alignment="right"),
            "p_holm": st.column_config.TextColumn("p (Holm)", alignment="right"),
        },
    )
    with st.container(horizontal=True):
        widgets.downloads(pairs, "pairs")

# ------------------------------------------------------------------------------------------------ items

st.subheader("Items that flipped", anchor=False)
if not chosen:
    st.info("Choose a criterion above to see its items.", icon=":material/info:")
    st.stop()
plan_name = st.selectbox("Against the full model", chosen, key="flipped_by", width=240)
flipped = results.flipped(outcomes, plan_name, budget, domain)
if flipped.empty:
    st.info(
        f"No item of {domain} changed at budget {budget} under {plan_name}, or it was not measured there.",
        icon=":material/info:",
    )
    st.stop()
questions = {i.item_id: i for s in services.item_sets(model_id).values() for i in s.items}
flipped["question"] = [questions[i].question if i in questions else "" for i in flipped.item_id]
flipped["gold"] = [questions[i].answer if i in questions else "" for i in flipped.item_id]
counts = flipped.change.value_counts()
st.caption(
    f"{counts.get('lost', 0)} lost and {counts.get('gained', 0)} gained. Select a row to open the item in Compare."
)
rows = st.dataframe(
    flipped,
    hide_index=True,
    on_select="rerun",
    selection_mode="single-row",
    key="flipped_items",
    height=280,
    column_config={"item_id": None},
    alt=f"Items that {plan_name} answers differently from the full model",
).selection.rows
picked = flipped.iloc[rows[0]] if rows else flipped.iloc[0]
with st.container(horizontal=True, vertical_alignment="center"):
    st.page_link(
        "views/compare.py",
        label=f"Open {'the selected' if rows else 'the first'} item in Compare",
        icon=":material/compare:",
        query_params=state.link(model_id, budget, a=plan_name, sample=str(picked.item_id)),
    )
    widgets.downloads(pd.DataFrame(flipped), "flipped")
