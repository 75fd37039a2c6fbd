"""Prune: what a budget would remove under several criteria, what that saves, and what it scored when measured."""

from collections import Counter

import pandas as pd
import streamlit as st

from core.errors import StrataError
from core.pruning import PruningPlan
from core.runs.library import model_slug
from dashboard import figures, results, services, state, widgets

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
    cells = st.session_state[key].selection.get("cell") or []
    for cell in cells:
        plan = next((p for p in plans if p.criterion == cell["criterion"]), None)
        layer = int(cell["layer"])
        if plan is None:
            continue
        if layer in protected and layer not in plan.dropped:
            st.session_state["prune_notice"] = f"Layer {layer} is protected: no plan drops it."
            continue
        st.session_state["manual"] = sorted(set(plan.dropped) ^ {layer})
    st.session_state["strip_version"] = st.session_state.get("strip_version", 0) + 1  # a new key clears the click


left, right = st.columns([2, 3], gap="large")
with left:
    budget = state.budget(model)
with right:
    chosen = state.criteria()

plans: list[PruningPlan] = []
for name in chosen:
    with widgets.show_errors():
        plans.append(services.plan(atlas, name, budget))
strips_here = st.container()
with st.expander("Edit by hand", icon=":material/edit:", key="by_hand", expanded=bool(st.session_state.get("manual"))):
    if state.manual_layers(model):
        plans.append(state.pane_plan(model, atlas, "manual", budget))

with strips_here:
    share = services.cost(model, plans[0]).share if plans else None
    parts = [f"**{budget} of {model.n_layers} layers**", f"{100 * budget / model.n_layers:.0f} % of depth"]
    if share is not None:
        parts.append(f"{100 * share:.0f} % of parameters kept")
    st.markdown(" · ".join(parts))

    if not plans:
        st.info("Choose at least one criterion above, or drop layers by hand below.", icon=":material/info:")
    else:
        key = f"strips_{st.session_state.get('strip_version', 0)}"
        strips = figures.strip_frame(plans, protected)
        st.altair_chart(
            figures.layer_strips(strips),
            key=key,
            on_select=lambda: edit(plans, key),
            alt="; ".join(f"{results.label(p.criterion)} drops layers {', '.join(map(str, p.dropped))}" for p in plans),
        )
        notice = st.session_state.pop("prune_notice", None)
        if notice:
            st.caption(f":material/lock: {notice}")
        same = Counter(p.plan_id for p in plans)
        for plan_id in (i for i, n in same.items() if n > 1):
            names = [results.label(p.criterion) for p in plans if p.plan_id == plan_id]
            st.badge(f"{' = '.join(names)}: the same layers, so one plan", icon=":material/join:", color="blue")
        widgets.atlas_provenance(atlas, source)

if not plans:
    st.stop()

# ------------------------------------------------------------------------------------------------ cost and score

st.subheader("What is left, and what it scored", anchor=False)
records = services.chosen_records(model_id)
table = services.score_table(model_id)
domains = results.ordered_groups(table.group)
rows, substituted = [], False
for plan in plans:
    cost = services.cost(model, plan)
    row = {
        "plan": results.label(plan.criterion),
        "dropped": results.as_ranges(plan.dropped),
        "longest run": plan.longest_run,
        "shared": f"{100 * results.overlap(plans[0], plan):.0f} %",
        "parameters": cost.parameters / 1e6,
        "kept": 100 * cost.share,
        "size": widgets.megabytes(cost.bytes),
    }
    measured = results.measured_plan(plan, records, table)
    if measured:
        for score in measured.rows.itertuples():
            row[f"{score.group}"] = widgets.interval(score.score, score.low, score.high)
            row[f"n {score.group}"] = int(score.n)
        named = f"{results.label(measured.criterion)} −{measured.n_drop}"
        near = f"nearest: {named}, {measured.distance} layers differ"
        row["measured"] = near if measured.distance else "this plan"
        substituted = substituted or measured.distance > 0
    rows.append(row)
full_row = {
    "plan": "full model",
    "dropped": "–",
    "longest run": 0,
    "parameters": model.n_parameters / 1e6,
    "kept": 100.0,
    "shared": "–",
}
full_row["size"] = widgets.megabytes(model.n_parameters * services.BYTES.get(model.dtype.removeprefix("torch."), 4))
for score in table[table.n_drop == 0].drop_duplicates("group").itertuples():
    full_row |= {score.group: widgets.interval(score.score, score.low, score.high), f"n {score.group}": int(score.n)}
    full_row["measured"] = "full model"
rows.append(full_row)
summary = pd.DataFrame(rows)
st.dataframe(
    summary,
    hide_index=True,
    column_order=["plan", "dropped", "longest run", "shared", "parameters", "kept", "size"]
    + [c for d in domains for c in (d, f"n {d}")]
    + ["measured"],
    alt="Cost and measured score of each plan",
    column_config={
        "plan": st.column_config.TextColumn("Plan", pinned=True),
        "dropped": st.column_config.TextColumn("Dropped layers", width=150),
        "longest run": st.column_config.NumberColumn("Longest run", help="Most dropped layers in a row"),
        "shared": st.column_config.TextColumn(
            "Shared", help="Layers dropped by this plan and by the first one, of those dropped by either"
        ),
        "parameters": st.column_config.NumberColumn("Parameters", format="%.2f M"),
        "kept": st.column_config.NumberColumn("Kept", format="%.0f %%", help="Share of the full model's parameters"),
        "size": st.column_config.TextColumn("Weights"),
        "measured": st.column_config.TextColumn("Measured"),
        **{d: st.column_config.TextColumn(f"{d} ↑", help="Exact match with its 95 % Wilson interval") for d in domains},
        **{f"n {d}": st.column_config.NumberColumn(f"n {d}", help="Items scored") for d in domains},
    },
)
if substituted:
    st.caption(
        ":material/near_me: A plan that was not measured shows the scores of the nearest measured one, named in the "
        "last column; a sweep on the Runs page measures it."
    )
if records:
    widgets.runs_provenance(records, model, int(table.n.max()))
else:
    widgets.no_runs(model_id)

if domains:
    st.subheader(f"The regime at {budget} layers dropped", anchor=False)
    with widgets.show_errors():
        for column, domain in zip(st.columns(len(domains), gap="large"), domains, strict=True):
            found = services.regime_map(model_id, domain)
            with column:
                with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                    st.markdown(f"**{domain}**", width="content")
                    widgets.regime_badge(found.label_at(budget) if found else "undetermined")
                st.caption(found.explain(budget) if found else "No runs of this domain yet.")

# ------------------------------------------------------------------------------------------------ take it along

st.subheader("Take a plan along", anchor=False)
with st.container(horizontal=True, vertical_alignment="center"):
    for plan in plans:
        st.download_button(
            f"{results.label(plan.criterion)} (JSON)",
            services.to_json(plan.to_dict()),
            f"plan-{model_slug(model_id)}-{plan.criterion.replace(':', '-')}-{plan.n_drop}.json",
            "application/json",
            key=f"plan_{plan.criterion}",
            icon=":material/download:",
            on_click="ignore",
        )
st.code(
    f"python -m core plan --model {model_id} --criterion {plans[0].criterion} --budget {budget} --json", language="bash"
)
st.page_link(
    "views/compare.py",
    label=f"Ask the full model and {results.label(plans[0].criterion)} the same question",
    icon=":material/compare:",
    query_params=state.link(model_id, budget, a=plans[0].criterion),
)
