"""What Runs shows and moves: the groups of runs, and the way in and out as a Parquet file."""

from typing import Any

import streamlit as st

from dashboard import services, widgets

Number = st.column_config.NumberColumn
COLUMNS: dict[str, Any] = {
    "model": "Model",
    "revision": "Revision",
    "benchmark": "Benchmark",
    "data": st.column_config.TextColumn("Data", help="First 8 digits of the hash of the items"),
    "origin": "Origin",
    "runs": Number("Runs"),
    "finished": Number("Finished", help="Runs with every item scored"),
    "criteria": Number("Criteria"),
    "budgets": "Budgets",
    "n": Number("Items"),
    "device": "Device",
    "date": "Date",
}


def render_group(title: str, recorded: bool, empty: str) -> None:
    widgets.section(title)
    with widgets.show_errors():
        table = services.jobs.run_groups(recorded)
        if table.empty:
            widgets.note(empty)
            return
        widgets.show_table(table, title, COLUMNS)
        widgets.downloads(table, "recorded" if recorded else "own")


def render_import() -> None:
    upload = st.file_uploader("Runs as a Parquet file that Strata wrote, 5 MB at most", ["parquet"], key="import_file")
    if upload is not None and st.button("Import", key="import_runs", icon=":material/upload:"):
        with widgets.show_errors():
            n = services.jobs.import_runs(upload.getvalue())
            st.session_state["import_notice"] = f"{n} runs imported."
            st.rerun()
    if notice := st.session_state.pop("import_notice", None):
        st.success(notice, icon=":material/check:")


def render_export() -> None:
    st.markdown("Your runs as one file, to keep or to open elsewhere:")
    with widgets.show_errors():
        if not services.scores.sources().own:
            st.caption("There is nothing to export yet.")
        else:
            mime = "application/vnd.apache.parquet"
            widgets.download("Export (Parquet)", services.jobs.export_runs, "strata-runs.parquet", "export_runs", mime)
    widgets.command(
        "python -m core runs export runs.parquet\npython -m core runs import runs.parquet\n"
        "python -m core runs import logs/MODEL --model MODEL   # of lmms-eval or VLMEvalKit"
    )
