"""What a background job is asked for: the forms of a sweep, a calibration and a search.

Each returns the options of its command, and None until its button is pressed.
"""

from collections.abc import Sequence

import streamlit as st

from core.measure.sweep import EMBEDDED
from core.scenes.samples import DOMAINS
from dashboard import services, state, widgets
from dashboard.views.runs.jobs import NAMES

Options = dict[str, object]


def sweep(criteria: Sequence[str], most: int) -> Options | None:
    """Plans to score: of which criteria, of the `most` layers that can be dropped, on which items."""
    with st.form("sweep"):
        names = [c for c in criteria if c != "random"]
        default = [c for c in state.DEFAULT_CRITERIA if c in names]
        chosen = st.pills("Criteria", names, selection_mode="multi", default=default, key="sweep_criteria")
        benchmarks = _benchmarks(
            "sweep",
            "Benchmarks",
            list(EMBEDDED),
            help="All but the drawn ones are fetched from the Hub, and their answers are written freely. Licences: "
            "python -m core benchmarks.",
        )
        left, middle, right = st.columns(3, gap="medium")
        first, last = left.slider("Budgets, layers dropped", 1, most, (1, min(4, most)), key="sweep_budgets")
        n_random = middle.slider("Random plans per budget", 0, 64, 4, key="sweep_random")
        limit = right.slider("Items per benchmark", 16, 512, 32, 16, key="sweep_limit")
        if not _started("sweep"):
            return None
    if not chosen and not n_random:
        widgets.note("Choose at least one criterion, or some random plans.")
        return None
    if not benchmarks:
        widgets.note("Choose at least one benchmark.")
        return None
    asked = {"criteria": chosen or ["random"], "budgets": f"{first}-{last}", "random": n_random, "limit": limit}
    return {**asked, "benchmarks": benchmarks if benchmarks != list(EMBEDDED) else None}


def calibrate() -> Options | None:
    """Similarities to measure: on which samples, and whether greedy removal is tried as well."""
    with st.form("calibrate"):
        left, right = st.columns(2, gap="large")
        samples = left.slider("Samples per domain", 8, 512, 128, 8, key="calibrate_samples")
        seed = right.number_input("Seed", 0, 10_000, 1, key="calibrate_seed")
        benchmarks = _benchmarks(
            "calibrate",
            "Real questions instead of drawn ones",
            [],
            help="Each counts for its domain. The paper calibrates on math problems and on general instructions.",
        )
        greedy = st.toggle(
            "Also find the order of greedy removal",
            key="calibrate_greedy",
            help="Drops one layer after the other, each time the one whose loss rises least. Takes minutes.",
        )
        if not _started("calibrate"):
            return None
    return {"samples": samples, "seed": int(seed), "greedy": greedy, "benchmarks": benchmarks or None}


def search(most: int) -> Options | None:
    """One good plan to look for, of the `most` layers that can be dropped."""
    with st.form("search"):
        left, middle, right = st.columns(3, gap="medium")
        with left:
            domain = state.switch("search_domain", "Domain", DOMAINS)
        budget = middle.slider("Layers to drop", 1, most, min(6, most), key="search_budget")
        plans = right.slider("Plans to try", 50, 1000, 300, 50, key="search_plans")
        st.caption("The plan is chosen on validation items and reported on test items, beside the best criterion.")
        if not _started("search"):
            return None
    return {"domain": domain, "budget": budget, "plans": plans}


def _benchmarks(command: str, text: str, drawn: list[str], help: str) -> list[str]:
    """Which benchmarks to use: those that are drawn here, chosen at first, and those that are fetched."""
    return list(
        st.pills(
            text,
            [*drawn, *services.jobs.benchmarks()],
            selection_mode="multi",
            default=drawn,
            key=f"{command}_benchmarks",
            format_func=services.jobs.benchmark_label,
            help=help,
        )
    )


def _started(command: str) -> bool:
    text = f"Start the {NAMES[command].lower()}"
    return st.form_submit_button(text, icon=":material/play_arrow:", key=f"start_{command}")
