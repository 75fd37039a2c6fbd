"""Runs: what ships with the project, what was measured here, and how to measure, bring in or take out more."""

import streamlit as st

from core.scenes.samples import DOMAINS
from dashboard import run_services, services, state, widgets
from dashboard.views.runs import jobs

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

model_id = widgets.header(
    "What has been measured?",
    "A run is one plan scored on one benchmark, item by item. Recorded runs ship with the project; yours stay here.",
)


def show_group(title: str, recorded: bool, empty: str) -> None:
    st.subheader(title, anchor=False)
    with widgets.show_errors():
        table = run_services.run_groups(recorded)
        if table.empty:
            st.info(empty, icon=":material/info:")
            return
        st.dataframe(table, hide_index=True, column_config=COLUMNS, alt=title)
        with st.container(horizontal=True):
            widgets.downloads(table, "recorded" if recorded else "own")


show_group("Recorded with the project", True, "No recorded runs are installed: measure some below, or import a file.")
show_group("Measured or imported here", False, "Nothing yet: start a sweep below, or import a Parquet file of runs.")

# ------------------------------------------------------------------------------------------------ jobs


def sweep_form() -> dict[str, object] | None:
    """What a sweep is asked for; None until the button is pressed."""
    with st.form("sweep"):
        names = [c for c in services.criteria(atlas) if c != "random"]
        default = [c for c in state.DEFAULT_CRITERIA if c in names]
        criteria = st.pills("Criteria", names, selection_mode="multi", default=default, key="sweep_criteria")
        benchmarks = st.pills(
            "Benchmarks",
            [*run_services.EMBEDDED, *run_services.benchmarks()],
            selection_mode="multi",
            default=list(run_services.EMBEDDED),
            key="sweep_benchmarks",
            format_func=run_services.benchmark_label,
            help="All but the drawn ones are fetched from the Hub, and their answers are written freely. Licences: "
            "python -m core benchmarks.",
        )
        left, middle, right = st.columns(3, gap="medium")
        first, last = left.slider("Budgets, layers dropped", 1, most, (1, min(4, most)), key="sweep_budgets")
        n_random = middle.slider("Random plans per budget", 0, 64, 4, key="sweep_random")
        limit = right.slider("Items per benchmark", 16, 512, 32, 16, key="sweep_limit")
        if not st.form_submit_button("Start the sweep", icon=":material/play_arrow:", key="start_sweep"):
            return None
    if not criteria and not n_random:
        st.info("Choose at least one criterion, or some random plans.", icon=":material/info:")
        return None
    if not benchmarks:
        st.info("Choose at least one benchmark.", icon=":material/info:")
        return None
    asked = {"criteria": criteria or ["random"], "budgets": f"{first}-{last}", "random": n_random, "limit": limit}
    return {**asked, "benchmarks": benchmarks if benchmarks != list(run_services.EMBEDDED) else None}


def calibrate_form() -> dict[str, object] | None:
    with st.form("calibrate"):
        left, right = st.columns(2, gap="large")
        samples = left.slider("Samples per domain", 8, 512, 128, 8, key="calibrate_samples")
        seed = right.number_input("Seed", 0, 10_000, 1, key="calibrate_seed")
        benchmarks = st.pills(
            "Real questions instead of drawn ones",
            list(run_services.benchmarks()),
            selection_mode="multi",
            key="calibrate_benchmarks",
            format_func=run_services.benchmark_label,
            help="Each counts for its domain. The paper calibrates on math problems and on general instructions.",
        )
        greedy = st.toggle(
            "Also find the order of greedy removal",
            key="calibrate_greedy",
            help="Drops one layer after the other, each time the one whose loss rises least. Takes minutes.",
        )
        if not st.form_submit_button("Start the calibration", icon=":material/play_arrow:", key="start_calibrate"):
            return None
    return {"samples": samples, "seed": int(seed), "greedy": greedy, "benchmarks": benchmarks or None}


def search_form() -> dict[str, object] | None:
    with st.form("search"):
        left, middle, right = st.columns(3, gap="medium")
        domain = left.segmented_control("Domain", DOMAINS, default=DOMAINS[0], required=True, key="search_domain")
        budget = middle.slider("Layers to drop", 1, most, min(6, most), key="search_budget")
        plans = right.slider("Plans to try", 50, 1000, 300, 50, key="search_plans")
        st.caption("The plan is chosen on validation items and reported on test items, beside the best criterion.")
        if not st.form_submit_button("Start the search", icon=":material/play_arrow:", key="start_search"):
            return None
    return {"domain": domain, "budget": budget, "plans": plans}


FORMS = {"sweep": sweep_form, "calibrate": calibrate_form, "search": search_form}

st.subheader("Jobs", anchor=False)
running = jobs.running_jobs()
st.fragment(jobs.render_jobs, run_every=jobs.EVERY if running else None)(running)

if not services.live(model_id):
    st.info(
        "The model cannot run on this machine: install requirements.txt (torch, transformers) and restart, or import "
        "runs that were measured elsewhere.",
        icon=":material/info:",
    )
else:
    atlas, most, possible = None, 1, ["calibrate"]
    with widgets.show_errors():
        most = services.largest_budget(services.spec(model_id))
        if sources := services.atlas_sources(model_id):
            atlas, possible = services.atlas(model_id, sources[0]), list(FORMS)
    command = st.segmented_control(
        "Start a job",
        possible,
        default=possible[0],
        required=True,
        key="job",
        format_func={"sweep": "Sweep", "calibrate": "Calibration", "search": "Search"}.__getitem__,
        help="A sweep scores many plans, a calibration measures similarities, a search looks for one good plan.",
    )
    if atlas is None:
        st.caption("Sweeps and searches rest on similarities, which this model does not have yet: calibrate it first.")
    options = FORMS[command]()
    if options is not None:
        with widgets.show_errors():
            run_services.start(command, {"model": model_id, **options})
            st.rerun()

# ------------------------------------------------------------------------------------------------ in and out

st.subheader("Import and export", anchor=False)
left, right = st.columns(2, gap="large")
with left:
    upload = st.file_uploader("Runs as a Parquet file that Strata wrote, 5 MB at most", ["parquet"], key="import_file")
    if upload is not None and st.button("Import", key="import_runs", icon=":material/upload:"):
        with widgets.show_errors():
            n = run_services.import_runs(upload.getvalue())
            st.session_state["import_notice"] = f"{n} runs imported."
            st.rerun()
    notice = st.session_state.pop("import_notice", None)
    if notice:
        st.success(notice, icon=":material/check:")
with right:
    st.markdown("Your runs as one file, to keep or to open elsewhere:")
    with widgets.show_errors():
        if not services.every_record(recorded=False):
            st.caption("There is nothing to export yet.")
        else:
            st.download_button(
                "Export (Parquet)",
                run_services.export_runs,
                "strata-runs.parquet",
                "application/vnd.apache.parquet",
                key="export_runs",
                icon=":material/download:",
                on_click="ignore",
            )
    widgets.command(
        "python -m core runs export runs.parquet\npython -m core runs import runs.parquet\n"
        "python -m core runs import logs/MODEL --model MODEL   # of lmms-eval or VLMEvalKit"
    )

st.subheader("Disk use", anchor=False)
st.table(
    {what: f"{widgets.megabytes(size)} · `{path}`" for what, path, size in run_services.disk_use()},
    border="horizontal",
    width="content",
    alt="Disk use by part",
)
