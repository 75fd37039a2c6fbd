"""Runs: what ships with the project, what was measured here, and how to measure, bring in or take out more."""

import streamlit as st

from dashboard import services, state, widgets
from dashboard.views.runs import forms, jobs, panels

model_id = widgets.header(
    "What has been measured?",
    "A run is one plan scored on one benchmark, item by item. Recorded runs ship with the project; yours stay here.",
)
panels.render_group(
    "Recorded with the project", True, "No recorded runs are installed: measure some below, or import a file."
)
panels.render_group(
    "Measured or imported here", False, "Nothing yet: start a sweep below, or import a Parquet file of runs."
)

# ------------------------------------------------------------------------------------------------ jobs

widgets.section("Jobs")
running = jobs.running_jobs()
st.fragment(jobs.render_jobs, run_every=jobs.EVERY if running else None)(running)

if not services.models.live(model_id):
    widgets.note(
        "The model cannot run on this machine: install requirements.txt (torch, transformers) and restart, or import "
        "runs that were measured elsewhere."
    )
else:
    criteria: list[str] = []  # none without similarities
    most = 1
    with widgets.show_errors():
        most = services.models.largest_budget(services.models.spec(model_id))
        if sources := services.similarities.sources(model_id):
            criteria = services.similarities.criteria(services.similarities.atlas(model_id, sources[0]))
    command = state.switch(
        "job",
        "Start a job",
        ["sweep", "calibrate", "search"] if criteria else ["calibrate"],
        format_func=jobs.NAMES.__getitem__,
        help="A sweep scores many plans, a calibration measures similarities, a search looks for one good plan.",
    )
    if not criteria:
        st.caption("Sweeps and searches rest on similarities, which this model does not have yet: calibrate it first.")
    if command == "sweep":
        options = forms.sweep(criteria, most)
    else:
        options = forms.calibrate() if command == "calibrate" else forms.search(most)
    if options is not None:
        with widgets.show_errors():
            services.jobs.start(command, {"model": model_id, **options})
            st.rerun()

# ------------------------------------------------------------------------------------------------ in and out

widgets.section("Import and export")
left, right = st.columns(2, gap="large")
with left:
    panels.render_import()
with right:
    panels.render_export()
widgets.section("Disk use")
st.table(
    {what: f"{widgets.megabytes(size)} · `{path}`" for what, path, size in services.jobs.disk_use()},
    border="horizontal",
    width="content",
    alt="Disk use by part",
)
