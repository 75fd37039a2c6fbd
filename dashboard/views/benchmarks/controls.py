"""What Benchmarks lets a reader choose: the curves, the set of items, and by a click the plan whose items are shown."""

from collections.abc import Sequence

import streamlit as st

from core.charts.style import searched
from core.library.run_view import RunView
from dashboard import state
from dashboard.text import plain


def data_set(view: RunView, domain: str) -> str | None:
    """Which items the scores are of: None for the domain's benchmarks, each weighing the same, else one item set."""
    found = view.data_sets(domain)
    if len(found) < 2:
        return None
    every = " + ".join(view.benchmarks(domain))
    chosen = state.choice("data", "Measured on", [every, *(d.label for d in found)])
    return next((d.data_hash for d in found if d.label == chosen), None)


def curves(options: Sequence[str]) -> list[str]:
    """The criteria that are drawn; by default the same as Prune compares."""
    state.check("curves", list(options).__contains__, "The others are shown.")
    default = [c for c in options if c in state.DEFAULT_CRITERIA or searched(c)] or list(options)[: state.MAX_PLANS]
    chosen = st.pills(
        "Criteria",
        options,
        selection_mode="multi",
        default=default,
        format_func=plain,
        key="curves",
        bind=state.BIND,
    )
    return list(chosen)


def pick_point(chart: str) -> None:
    """A click on a mark of a score chart chooses the plan and the budget whose items are shown."""
    picked = st.session_state[chart].selection.get("point")
    if picked:
        st.session_state["plan"] = str(picked[0]["criterion"])
        st.session_state["budget"] = int(picked[0]["n_drop"])
