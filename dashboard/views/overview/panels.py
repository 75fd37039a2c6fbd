"""What Overview draws: the regime chart of a domain and a tour in four steps."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.analysis import tables
from core.charts import scores as score_charts
from dashboard import state, widgets
from dashboard.text import plain

MAIN = (*state.DEFAULT_CRITERIA, "deepest", "block")  # more lines than these cannot be read on one screen
HEIGHT = 262  # px of a chart, so that the tour is still on a screen of 800


def render_regimes(
    domain: str,
    table: pd.DataFrame,
    criteria: Sequence[str],
    labels: Mapping[int, str],
    n_layers: int,
    below: DeltaGenerator,
) -> None:
    """The curves of a domain over its regimes (`labels`, by budget); the table goes to `below`."""
    st.markdown(f"**{plain(domain)}**, right answers against budget")
    points = tables.curves(table, criteria, [domain])
    widgets.figure(
        score_charts.score_chart,
        points,
        tables.random_envelope(table, [domain]),
        tables.full_score(table, domain),
        n_layers,
        intervals="none",
        regimes=labels,
        height=HEIGHT,
        name=f"overview-{domain}",
        alt_text=f"Right answers on {domain} against dropped layers: {widgets.regime_story(labels)}",
        columns=widgets.SHARES,
        below=below,
    )
    st.caption(f"Layers dropped: {widgets.regime_story(labels)}.")


def render_tour(model_id: str, budget: int) -> None:
    """Four pages in the order in which a reader needs them, each with what it opens on."""
    steps = (
        ("similarity", "1 · See what each layer does", "Similarity by domain, task and token.", {"tasks": "true"}),
        ("prune", "2 · Choose what to drop", "Four criteria, their cost and score.", {"budget": str(budget)}),
        ("compare", "3 · Watch it answer", "Full and pruned, token by token.", {"budget": str(budget)}),
        ("benchmarks", "4 · Weigh the evidence", "Intervals, tests, flipped items.", {"measure": "retention"}),
    )
    with st.grid(4, min_column_width=230):
        for page, title, what, query in steps:
            with st.container(border=True, height="stretch", gap=None):
                st.page_link(f"views/{page}/page.py", label=title, query_params=state.link(model_id, **query))
                st.caption(what)
