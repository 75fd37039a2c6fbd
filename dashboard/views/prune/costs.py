"""What plans cost: counted before anything runs, and on request measured on this machine."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from core.analysis import plan_tables
from core.charts import plans as plan_charts
from core.pruning import ModelAnatomy
from core.records.plan import ModelSpec, PruningPlan
from dashboard import services, state, widgets
from dashboard.views.prune import controls

Number = st.column_config.NumberColumn
PLAN = st.column_config.TextColumn("Plan", pinned=True)
OF_FULL = Number("of full", format="%.0f %%")
COSTS: dict[str, Any] = {
    "plan": PLAN,
    "parameters": Number("Parameters", format="compact"),
    "weights": Number("Weights", format="bytes"),
    "KV per token": Number("KV per token", format="bytes", help="Bytes of cache for each token of the context"),
    "prefill": Number("Prefill FLOPs", format="compact", help="Until the first token"),
    "decode": Number("Decode FLOPs", format="compact", help="Per further token"),
    **{f"{quantity} %": OF_FULL for quantity in plan_tables.QUANTITIES},
}
SPEEDS: dict[str, Any] = {
    "plan": PLAN,
    "prefill %": Number("Prefill FLOPs, of full", format="%.0f %%", help="Counted, as above"),
    "ttft_ms": Number("First token", format="%.1f ms", help="Median, measured"),
    "ttft %": OF_FULL,
    "tokens_per_s": Number("Tokens/s", format="%.0f", help="After the first token, measured"),
    "answers": Number("Answers"),
    "tokens": Number("Tokens"),
}


def render_cost(model: ModelSpec, plans: Sequence[PruningPlan], anatomy: ModelAnatomy | None) -> None:
    """Parameters, bytes, cache and FLOPs before anything runs, and on request the speed that this machine reaches."""
    request = plan_tables.Request()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        quantity = state.choice("quantity", "Counted", list(plan_tables.QUANTITIES) if anatomy else ["parameters"])
        if anatomy:
            with st.popover("The question", icon=":material/tune:", help="Its length decides how many FLOPs it takes."):
                request = controls.request(anatomy)
    costs = plan_tables.costs(plans, model, anatomy, request)
    widgets.figure(
        plan_charts.cost_bars,
        costs,
        quantity,
        table=costs.drop(columns="criterion"),
        name="cost",
        alt_text=f"{plan_tables.QUANTITIES[quantity]} of each plan, by part of the model",
        columns={"share": Number("of the full model", format="percent")},
    )
    totals = plan_tables.cost_totals(costs).drop(columns="criterion")
    widgets.show_table(totals, "What each plan costs: parameters, bytes, cache and FLOPs", COSTS)
    if anatomy:
        st.caption(plan_tables.costing(request, anatomy))
    else:
        st.caption("Cache and FLOPs need the model's configuration, which is not on this machine: fetch it once.")
    if services.models.live(model.model_id):
        _render_speed(model, plans, costs)


def _render_speed(model: ModelSpec, plans: Sequence[PruningPlan], costs: pd.DataFrame) -> None:
    asked = (model.model_id, tuple(p.plan_id for p in plans))
    if st.button(
        "Measure their speed here",
        key="measure",
        icon=":material/speed:",
        help=f"Asks the full model and each plan the same {services.plans.SPEED_QUESTIONS} questions, on this machine.",
    ):
        bar = st.progress(0.0, text="Loading the model …")
        with widgets.show_errors():
            speeds = services.plans.measure_speed(model.model_id, [*plans, None], widgets.counting(bar, "answers"))
            st.session_state["speeds"] = (asked, speeds, date.today().isoformat())
        bar.empty()
    held = st.session_state.get("speeds")
    if held and held[0] == asked:
        alt_text = "Counted prefill beside the measured time to the first token, and tokens per second"
        widgets.show_table(plan_tables.speed_table(plans, held[1], costs), alt_text, SPEEDS)
        asked_n = f"n = {services.plans.SPEED_QUESTIONS} questions"
        widgets.provenance("measured here", services.models.device(), held[2], asked_n, "greedy, 16 tokens at most")
