"""Overview: what Strata is, the regime chart of the current model, and where to go from here, in one screen."""

import streamlit as st

from core.analysis import tables
from core.charts import scores as score_charts
from core.errors import StrataError
from dashboard import services, state, widgets
from dashboard.charts import drawn
from dashboard.text import plain

MAIN = (*state.DEFAULT_CRITERIA, "deepest", "block")  # more lines than these cannot be read on one screen
HEIGHT = 262  # px of a chart, so that the tour is still on a screen of 800
HOW = {"live": "green", "recorded": "blue", "yours": "violet", "missing": "gray"}

model_id = widgets.header(
    "Which layers does a vision-language model need?",
    "Strata ranks decoder layers by how little they change math and general inputs, drops the most redundant ones, and "
    "measures what is lost, item by item.",
)

try:
    model = services.spec(model_id)
    table = services.score_table(model_id)
except StrataError as error:
    st.error(plain(error), icon=":material/error:")
    st.stop()

# ------------------------------------------------------------------------------------------------ the regime chart

domains = tables.ordered_groups(table.group)[:2]
measured = [c for c in table.criterion[table.n_drop > 0].unique() if c != "random"]
shown = score_charts.ordered([c for c in measured if c in MAIN] or measured[: len(MAIN)])
if not domains:
    widgets.no_runs(model_id)
else:
    widgets.criteria_legend(shown)
charts, tour, twins = st.container(), st.container(), st.container()
halves = [c.columns(max(len(domains), 1), gap="large") for c in (charts, twins)]
for domain, column, below in zip(domains, *halves, strict=False):
    with column, widgets.show_errors():
        labels = services.regime_labels(model_id, domain)
        st.markdown(f"**{plain(domain)}**, right answers against budget")
        points = tables.curves(table, shown, [domain])
        widgets.figure(
            drawn(
                score_charts.score_chart,
                points,
                tables.random_envelope(table, [domain]),
                tables.full_score(table, domain),
                model.n_layers,
                intervals="none",
                regimes=labels,
                height=HEIGHT,
            ),
            points,
            name=f"overview-{domain}",
            alt_text=f"Right answers on {domain} against dropped layers: {widgets.regime_story(labels)}",
            columns=widgets.SHARES,
            below=below,
        )
        st.caption(f"Layers dropped: {widgets.regime_story(labels)}.")

# ------------------------------------------------------------------------------------------------ four steps

budget = str(min(6, services.largest_budget(model)))
steps = {
    "views/similarity/page.py": (
        "1 · See what each layer does",
        "Similarity by domain, task and token.",
        {"tasks": "true"},
    ),
    "views/prune/page.py": ("2 · Choose what to drop", "Four criteria, their cost and score.", {"budget": budget}),
    "views/compare/page.py": ("3 · Watch it answer", "Full and pruned, token by token.", {"budget": budget}),
    "views/benchmarks/page.py": (
        "4 · Weigh the evidence",
        "Intervals, tests, flipped items.",
        {"measure": "retention"},
    ),
}
with tour, st.grid(4, min_column_width=230):
    for page, (title, what, query) in steps.items():
        with st.container(border=True, height="stretch", gap=None):
            st.page_link(page, label=title, query_params=state.link(model_id, **query))
            st.caption(what)

# ------------------------------------------------------------------------------------------------ live and recorded

with tour:
    found = [
        f":{HOW[how]}-badge[{how}] **{what}** {plain(detail)}" for what, how, detail in services.availability(model_id)
    ]
    st.markdown("\u2003 ".join(found))
    if domains:
        widgets.regime_legend("Grey: 10th to 90th percentile of random plans, dotted their median.")
if domains:
    widgets.runs_provenance(services.chosen_records(model_id), model, int(table.n.max()))
st.markdown(":small[The method follows [arXiv:2603.20275](https://arxiv.org/abs/2603.20275).]")
