"""Overview: what Strata is, the regime chart of the current model, and where to go from here, in one screen."""

import streamlit as st

from core.errors import StrataError
from dashboard import results, score_figures, services, state, widgets

MAIN = (*state.DEFAULT_CRITERIA, "deepest", "block")  # more lines than these cannot be read on one screen

model_id = widgets.header(
    "Which layers does a vision-language model need?",
    "Strata ranks decoder layers by how little they change math and general inputs, drops the most redundant ones, and "
    "measures what is lost, item by item.",
)

try:
    model = services.spec(model_id)
    table = services.score_table(model_id)
except StrataError as error:
    st.error(str(error), icon=":material/error:")
    st.stop()

domains = results.ordered_groups(table.group)[:2]
measured = [c for c in table.criterion[table.n_drop > 0].unique() if c != "random"]
drawn = score_figures.ordered([c for c in measured if c in MAIN] or measured)
if not domains:
    widgets.no_runs(model_id)
else:
    widgets.criteria_legend(drawn)
    for column, domain in zip(st.columns(len(domains), gap="large"), domains, strict=True):
        with column:
            st.markdown(f"**{domain}**, exact match against budget")
            points = results.curves(table, drawn, [domain])
            envelope = results.random_envelope(table, [domain])
            full = results.full_score(table, domain)
            with widgets.show_errors():
                labels = services.regime_labels(model_id, domain)
                widgets.figure(
                    score_figures.score_chart(
                        points,
                        envelope,
                        full,
                        model.n_layers,
                        intervals="none",
                        regimes=labels,
                        height=300,
                    ),
                    points,
                    name=f"overview-{domain}",
                    alt_text=f"Score of each criterion on {domain} against the number of dropped layers",
                    columns=widgets.SHARES,
                )
    widgets.regime_legend("Grey: 5th to 95th percentile of random plans, dotted their median.")
    widgets.runs_provenance(services.chosen_records(model_id), model, int(table.n.max()))

st.subheader("Four steps", anchor=False)
budget = str(min(6, services.largest_budget(model)))
steps = [
    (
        "views/similarity.py",
        "1 · See what each layer does",
        "Similarity by domain, task and token kind.",
        {"tasks": "true"},
    ),
    (
        "views/prune.py",
        "2 · Choose what to drop",
        "One budget under four criteria, with cost and score.",
        {"budget": budget},
    ),
    (
        "views/compare.py",
        "3 · Watch it answer",
        "Full and pruned, the same question, token by token.",
        {"budget": budget},
    ),
    (
        "views/benchmarks.py",
        "4 · Weigh the evidence",
        "Intervals, paired tests, the items that flipped.",
        {"measure": "retention"},
    ),
]
with st.grid(4, min_column_width=220):
    for page, title, what, query in steps:
        with st.container(border=True, height="stretch", gap="xsmall"):
            st.page_link(page, label=title, query_params=state.link(model_id, **query))
            st.caption(what)

st.subheader("Live and recorded", anchor=False)
live = (
    f"**Live here**: answers, similarities and sweeps run on {services.device()}."
    if services.live(model_id)
    else "**Nothing runs live here**: torch or the weights are missing, so pages replay what was recorded."
)
st.markdown(
    f"{live} **Recorded**: the runs and similarities that ship with the project; the line under each chart says which "
    "it shows. "
    "The method follows [arXiv:2603.20275](https://arxiv.org/abs/2603.20275)."
)
