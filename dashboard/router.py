"""The pages and how to reach them; served by dashboard/app.py."""

import streamlit as st

from core import settings
from dashboard import charts, services

charts.trust_charts()
services.scores.fresh()  # the one look at the stored runs of this rerun
st.set_page_config(page_title="Strata", page_icon=str(settings.ASSETS / "logo.svg"), layout="wide")
st.logo(str(settings.ASSETS / "logo.svg"), size="medium")

page = st.navigation(
    [
        st.Page(
            "views/overview/page.py",
            title="Overview",
            icon=":material/layers:",
            default=True,
            help="What Strata shows, the regime chart of the current model, and a tour in four steps.",
        ),
        st.Page(
            "views/similarity/page.py",
            title="Similarity",
            icon=":material/grid_on:",
            url_path="similarity",
            help="How little each decoder layer changes its input, by domain, task and token kind.",
        ),
        st.Page(
            "views/prune/page.py",
            title="Prune",
            icon=":material/content_cut:",
            url_path="prune",
            help="Which layers a budget removes under up to four criteria, what it saves and what it scores.",
        ),
        st.Page(
            "views/compare/page.py",
            title="Compare",
            icon=":material/compare:",
            url_path="compare",
            help="The full model beside pruned ones, answering the same question at the same time.",
        ),
        st.Page(
            "views/benchmarks/page.py",
            title="Benchmarks",
            icon=":material/monitoring:",
            url_path="benchmarks",
            help="Score against budget with intervals, paired tests, regimes and the items that flipped.",
        ),
        st.Page(
            "views/runs/page.py",
            title="Runs",
            icon=":material/database:",
            url_path="runs",
            help="What is recorded, what you measured, sweeps, import and export.",
        ),
    ],
    position="top",
)
page.run()
