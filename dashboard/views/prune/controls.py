"""What Prune lets a reader choose: the budget in three units, criteria, edits by hand, and the priced question."""

from collections.abc import Collection, Sequence
from math import isinf

import pandas as pd
import streamlit as st

from core.analysis.plan_tables import Request, nearest_budget, short_request
from core.pruning import ModelAnatomy
from core.records.plan import PruningPlan
from dashboard import state

UNITS = {  # of the budget beside layers: label, shown as, how many of it make one
    "percent": ("Percent of depth", "%.1f", 1.0),
    "parameters": ("Parameters left, in millions", "%.2f", 1e6),
}
REQUEST = {  # what is asked when a plan is priced: text, least, most
    "text_tokens": ("Tokens of text", 1, 100_000),
    "image_tokens": ("Tokens of the picture", 0, 100_000),
    "new_tokens": ("Tokens of the answer", 1, 10_000),
    "batch": ("Questions at once", 1, 1024),
}


def budget_in(unit: str, steps: pd.DataFrame, budget: int) -> None:
    """The budget in another unit (a column of `plan_tables.budget_steps`), kept in step with the slider."""
    text, shown, size = UNITS[unit]
    key = f"budget_{unit}"
    amounts = steps.set_index("n_drop")[unit] / size
    st.session_state[key] = float(amounts[budget])

    def follow() -> None:
        st.session_state["budget"] = nearest_budget(steps, unit, size * st.session_state[key])

    step = abs(float(amounts.iloc[1] - amounts.iloc[0])) if len(amounts) > 1 else 1.0
    low, high = float(amounts.min()), float(amounts.max())
    st.number_input(text, low, high, step=step, format=shown, key=key, on_change=follow, disabled=len(amounts) == 1)


def criteria(names: Sequence[str]) -> list[str]:
    """The criteria whose plans stand side by side, four at most."""
    state.check("criteria", names.__contains__, "The others are shown.")
    with st.container(gap=None):
        chosen = st.pills(
            "Criteria, up to four",
            names,
            selection_mode="multi",
            default=state.DEFAULT_CRITERIA,
            key="criteria",
            bind=state.BIND,
        )
    if len(chosen) > state.MAX_PLANS:
        st.caption(f"Four plans at most are compared; {chosen[-1]} is left out until you remove another one.")
    return list(chosen)[: state.MAX_PLANS]


def edit(plans: Sequence[PruningPlan], protected: Collection[int], key: str) -> None:
    """A click on a strip's cell: copy that plan into the hand-made one, with the clicked layer changed over."""
    for cell in st.session_state[key].selection.get("cell") or []:
        plan = next((p for p in plans if p.criterion == cell["criterion"]), None)
        layer = int(cell["layer"])
        if plan is None:
            continue
        if layer in protected and layer not in plan.dropped:
            st.session_state["prune_notice"] = f"Layer {layer} is protected: no plan drops it."
        else:
            state.edit_manual(set(plan.dropped) ^ {layer})
    st.session_state["strip_version"] = st.session_state.get("strip_version", 0) + 1  # a new key clears the click


def request(anatomy: ModelAnatomy) -> Request:
    """The question whose cost is counted; the defaults are a short one about one picture."""
    usual = short_request(anatomy)
    chosen = {}
    for key, (text, low, high) in REQUEST.items():
        state.check(key, state.whole(low, high), f"It is a number from {low} to {high}.")
        endless = any(isinf(_number(v)) for v in st.query_params.get_all(key))  # Streamlit would make an int of it
        chosen[key] = int(
            st.number_input(text, low, high, getattr(usual, key), key=key, bind=None if endless else state.BIND)
        )
    return Request(**chosen)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def taken(names: Sequence[str]) -> str:
    """The plan to take along. What it names may have been dropped from the page since, so no notice is due."""
    if st.session_state.get("take") not in names:
        st.session_state.pop("take", None)
    return state.switch("take", "Plan", names, bind=state.BIND)
