"""Runs: what ships with the project, what was measured here, and how to measure, bring in or take out more."""

import streamlit as st

from core.errors import StrataError
from core.pruning import list_criteria
from dashboard import services, state, widgets

model_id = widgets.header(
    "What has been measured?",
    "A run is one plan scored on one benchmark, item by item. Recorded runs ship with the project; yours stay here.",
)
COLUMNS = {
    "model": "Model",
    "revision": "Revision",
    "benchmark": "Benchmark",
    "data": st.column_config.TextColumn("Data", help="First 8 digits of the hash of the items"),
    "origin": "Origin",
    "runs": st.column_config.NumberColumn("Runs"),
    "finished": st.column_config.NumberColumn("Finished", help="Runs with every item scored"),
    "criteria": st.column_config.NumberColumn("Criteria"),
    "budgets": "Budgets",
    "n": st.column_config.NumberColumn("Items"),
    "device": "Device",
    "date": "Date",
}


def show_group(title: str, recorded: bool, empty: str) -> None:
    st.subheader(title, anchor=False)
    with widgets.show_errors():
        table = services.run_groups(recorded)
        if table.empty:
            st.info(empty, icon=":material/info:")
            return
        st.dataframe(table, hide_index=True, column_config=COLUMNS, alt=title)
        with st.container(horizontal=True):
            widgets.downloads(table, "recorded" if recorded else "own")


show_group("Recorded with the project", True, "No recorded runs are installed: measure some below, or import a file.")
show_group("Measured or imported here", False, "Nothing yet: start a sweep below, or import a Parquet file of runs.")

# ------------------------------------------------------------------------------------------------ a sweep

st.subheader("Start a sweep", anchor=False)


def start_sweep(criteria: list[str], budgets: range, n_random: int, limit: int) -> None:
    """Run the sweep in this session; a stop, or leaving the page, keeps every chunk that is finished."""
    bar = st.progress(0.0, text="Loading the model …")
    st.button(
        "Stop",
        key="stop_sweep",
        icon=":material/stop:",
        help="Finished items are kept; the next sweep goes on from them.",
    )

    def progress(done: int, total: int, what: str) -> None:
        bar.progress(done / max(total, 1), text=f"{done:,} of {total:,} outcomes · {what}")

    report = services.run_sweep(model_id, criteria, list(budgets), n_random, limit, progress)
    st.session_state["sweep_notice"] = (
        f"{report.scored:,} outcomes scored and {report.reused:,} reused in {report.seconds:.0f} s, "
        f"{len(report.records)} runs kept."
    )
    st.rerun()


if not services.live(model_id):
    st.info(
        "The model cannot run on this machine: install requirements.txt (torch, transformers) and restart, or import "
        "runs that were measured elsewhere.",
        icon=":material/info:",
    )
else:
    try:
        model = services.spec(model_id)
    except StrataError as error:
        st.error(str(error), icon=":material/error:")
        st.stop()
    most = services.largest_budget(model)
    names = [c.name for c in list_criteria() if c.name != "random"]
    with st.form("sweep"):
        criteria = st.pills(
            "Criteria", names, selection_mode="multi", default=state.DEFAULT_CRITERIA, key="sweep_criteria"
        )
        left, middle, right = st.columns(3, gap="large")
        first, last = left.slider("Budgets, layers dropped", 1, most, (1, min(4, most)), key="sweep_budgets")
        n_random = middle.slider("Random plans per budget", 0, 32, 4, key="sweep_random")
        limit = right.slider("Items per domain", 16, 256, 32, 16, key="sweep_limit")
        started = st.form_submit_button("Start the sweep", icon=":material/play_arrow:", key="start_sweep")
    notice = st.session_state.pop("sweep_notice", None)
    if notice:
        st.success(notice, icon=":material/check:")
    if started:
        with widgets.show_errors():
            if not criteria and not n_random:
                st.info("Choose at least one criterion, or some random plans.", icon=":material/info:")
            else:
                start_sweep(list(criteria), range(first, last + 1), n_random, limit)

# ------------------------------------------------------------------------------------------------ in and out

st.subheader("Import and export", anchor=False)
left, right = st.columns(2, gap="large")
with left:
    upload = st.file_uploader("Runs as a Parquet file that Strata wrote, 5 MB at most", ["parquet"], key="import_file")
    if upload is not None and st.button("Import", key="import_runs", icon=":material/upload:"):
        with widgets.show_errors():
            st.success(f"{services.import_runs(upload.getvalue())} runs imported.", icon=":material/check:")
with right:
    st.markdown("Your runs as one file, to keep or to open elsewhere:")
    with widgets.show_errors():
        if services.run_groups(recorded=False).empty:
            st.caption("There is nothing to export yet.")
        else:
            st.download_button(
                "Export (Parquet)",
                services.export_runs,
                "strata-runs.parquet",
                "application/vnd.apache.parquet",
                key="export_runs",
                icon=":material/download:",
                on_click="ignore",
            )
    widgets.command("python -m core runs export runs.parquet\npython -m core runs import runs.parquet")

st.subheader("Disk use", anchor=False)
st.table(
    {what: f"{widgets.megabytes(size)} · `{path}`" for what, path, size in services.disk_use()},
    border="horizontal",
    width="content",
    alt="Disk use by part",
)
