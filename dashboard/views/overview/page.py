"""Overview: what Strata is, the regime chart of the current model, and where to go from here, in one screen."""

import streamlit as st

from core.analysis import tables
from core.charts import scores as score_charts
from core.errors import StrataError
from dashboard import services, widgets
from dashboard.text import plain
from dashboard.views.overview import panels

HOW = {"live": "green", "recorded": "blue", "yours": "violet", "missing": "gray"}

model_id = widgets.header(
    "Which layers does a vision-language model need?",
    "Strata ranks decoder layers by how little they change math and general inputs, drops the most redundant ones, and "
    "measures what is lost, item by item.",
)
try:
    model = services.models.spec(model_id)
    view = services.scores.view(model_id)
    table = view.scores()
except StrataError as error:
    st.error(plain(error), icon=":material/error:")
    st.stop()

domains = tables.ordered_groups(table.group)[:2]
measured = [c for c in table.criterion[table.n_drop > 0].unique() if c != "random"]
shown = score_charts.ordered([c for c in measured if c in panels.MAIN] or measured[: len(panels.MAIN)])
if domains:
    widgets.criteria_legend(shown)
else:
    widgets.no_runs(model_id)
charts, tour, twins = st.container(), st.container(), st.container()
halves = [c.columns(max(len(domains), 1), gap="large") for c in (charts, twins)]
for domain, column, below in zip(domains, *halves, strict=False):
    with column, widgets.show_errors():
        panels.render_regimes(domain, table, shown, view.regime_labels(domain), model.n_layers, below)
with tour:
    panels.render_tour(model_id, min(6, services.models.largest_budget(model)))
    found = [
        f":{HOW[how]}-badge[{how}] **{what}** {plain(more)}"
        for what, how, more in services.availability.availability(model_id)
    ]
    st.markdown("\u2003 ".join(found))
    if domains:
        widgets.regime_legend("Grey: 10th to 90th percentile of random plans, dotted their median.")
if domains:
    widgets.runs_provenance(view, model, int(table.n.max()))
st.markdown(":small[The method follows [arXiv:2603.20275](https://arxiv.org/abs/2603.20275).]")
