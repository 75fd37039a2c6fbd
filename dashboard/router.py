"""The pages and how to reach them; served by dashboard/app.py."""

import streamlit as st

from core import settings
from dashboard import charts, services

PAGES = (  # the first one opens at /; icon and help of each
    ("overview", "layers", "What Strata shows, the regime chart of the current model, and a tour in four steps."),
    ("similarity", "grid_on", "How little each decoder layer changes its input, by domain, task and token kind."),
    (
        "prune",
        "content_cut",
        "Which layers a budget removes under up to four criteria, what it saves and what it scores.",
    ),
    ("compare", "compare", "The full model beside pruned ones, answering the same question at the same time."),
    (
        "benchmarks",
        "monitoring",
        "Score against budget with intervals, paired tests, regimes and the items that flipped.",
    ),
    ("runs", "database", "What is recorded, what you measured, sweeps, import and export."),
)

charts.trust_charts()
services.scores.fresh()  # the one look at the stored runs of this rerun
st.set_page_config(page_title="Strata", page_icon=str(settings.ASSETS / "logo.svg"), layout="wide")
st.logo(str(settings.ASSETS / "logo.svg"), size="medium")
st.navigation(
    [
        st.Page(
            f"views/{name}/page.py",
            title=name.capitalize(),
            icon=f":material/{icon}:",
            url_path=name,
            default=name == "overview",
            help=text,
        )
        for name, icon, text in PAGES
    ],
    position="top",
).run()
