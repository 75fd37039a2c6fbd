"""The two panels of Prune that do work: what plans cost, counted and measured, and a plan to take along."""

from collections.abc import Sequence
from datetime import date

import pandas as pd
import streamlit as st

from core.analysis import plan_tables
from core.charts import plans as plan_charts
from core.pruning import SimilarityAtlas
from core.pruning.formats import mergekit_yaml, python_snippet
from core.records.plan import ModelSpec, PruningPlan
from dashboard import services, state, widgets
from dashboard.charts import drawn
from dashboard.views.prune import exports

Number = st.column_config.NumberColumn
PLAN = st.column_config.TextColumn("Plan", pinned=True)
OF_FULL = Number("of full", format="%.0f %%")
COSTS = {
    "plan": PLAN,
    "parameters": Number("Parameters", format="compact"),
    "weights": Number("Weights", format="bytes"),
    "KV per token": Number("KV per token", format="bytes", help="Bytes of cache for each token of the context"),
    "prefill": Number("Prefill FLOPs", format="compact", help="Until the first token"),
    "decode": Number("Decode FLOPs", format="compact", help="Per further token"),
    **{f"{quantity} %": OF_FULL for quantity in plan_tables.QUANTITIES},
}
SPEEDS = {
    "plan": PLAN,
    "prefill %": Number("Prefill FLOPs, of full", format="%.0f %%", help="Counted, as above"),
    "ttft_ms": Number("First token", format="%.1f ms", help="Median, measured"),
    "ttft %": OF_FULL,
    "tokens_per_s": Number("Tokens/s", format="%.0f", help="After the first token, measured"),
    "answers": Number("Answers"),
    "tokens": Number("Tokens"),
}


def render_cost(model: ModelSpec, plans: Sequence[PruningPlan]) -> None:
    """Parameters, bytes, cache and FLOPs before anything runs, and on request the speed that this machine reaches."""
    anatomy = services.anatomy(model)
    request = plan_tables.Request()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        quantity = state.choice("quantity", "Counted", list(plan_tables.QUANTITIES) if anatomy else ["parameters"])
        if anatomy:
            with st.popover("The question", icon=":material/tune:", help="Its length decides how many FLOPs it takes."):
                request = state.request(anatomy)
    costs = plan_tables.costs(plans, model, anatomy, request)
    widgets.figure(
        drawn(plan_charts.cost_bars, costs, quantity),
        costs.drop(columns="criterion"),
        name="cost",
        alt_text=f"{plan_tables.QUANTITIES[quantity]} of each plan, by part of the model",
        columns={"share": Number("of the full model", format="percent")},
    )
    st.dataframe(
        plan_tables.cost_totals(costs).drop(columns="criterion"),
        hide_index=True,
        alt="What each plan costs: parameters, bytes, cache and FLOPs",
        column_config=COSTS,
    )
    if anatomy:
        st.caption(plan_tables.costing(request, anatomy))
    else:
        st.caption("Cache and FLOPs need the model's configuration, which is not on this machine: fetch it once.")
    if services.live(model.model_id):
        _render_speed(model, plans, costs)


def _render_speed(model: ModelSpec, plans: Sequence[PruningPlan], costs: pd.DataFrame) -> None:
    asked = (model.model_id, tuple(p.plan_id for p in plans))
    if st.button(
        "Measure their speed here",
        key="measure",
        icon=":material/speed:",
        help=f"Asks the full model and each plan the same {services.SPEED_QUESTIONS} questions, on this machine.",
    ):
        bar = st.progress(0.0, text="Loading the model …")
        with widgets.show_errors():
            speeds = services.measure_speed(
                model.model_id,
                [*plans, None],
                lambda done, n, *_: bar.progress(done / n, text=f"{done} of {n} answers"),
            )
            st.session_state["speeds"] = (asked, speeds, date.today().isoformat())
        bar.empty()
    held = st.session_state.get("speeds")
    if held and held[0] == asked:
        st.dataframe(
            plan_tables.speed_table(plans, held[1], costs),
            hide_index=True,
            alt="Counted prefill beside the measured time to the first token, and tokens per second",
            column_config=SPEEDS,
        )
        asked_n = f"n = {services.SPEED_QUESTIONS} questions"
        widgets.provenance("measured here", services.device(), held[2], asked_n, "greedy, 16 tokens at most")


def render_downloads(model: ModelSpec, plan: PruningPlan, atlas: SimilarityAtlas) -> None:
    """A plan as JSON, recipe and snippet, and its checkpoint: as a zip where that is small, else as a command."""
    name = exports.plan_name(plan)
    recipe = mergekit_yaml(plan, services.model_ref(model.model_id))
    with st.container(horizontal=True):
        for key, text, data, file, mime in (
            ("plan", "Plan (JSON)", services.to_json(plan.to_dict()), f"plan-{name}.json", "application/json"),
            ("recipe", "mergekit (YAML)", recipe, f"{name}.mergekit.yaml", "text/yaml"),
            ("snippet", "Python", python_snippet(plan), f"{name}.py", "text/x-python"),
        ):
            icon = ":material/download:"
            st.download_button(text, data, file, mime, key=f"take_{key}", icon=icon, on_click="ignore")
        zip_here = st.container(width="content")
    st.code(python_snippet(plan), language=None, wrap_lines=True)
    if services.live(model.model_id) and exports.pruned_bytes(model, plan) <= exports.ZIP_LIMIT:
        st.caption(
            "The checkpoint is a folder that plain transformers loads, with its model card and the plan in it. It is "
            "loaded again and compared with the plan's view before you get it. The same by hand, from the plan as JSON:"
        )
        with zip_here:
            _render_zip(model, plan, atlas)
    else:
        st.caption("Download the plan as JSON, then write the checkpoint where the weights are:")
    widgets.command(exports.export_command(plan))


def _render_zip(model: ModelSpec, plan: PruningPlan, atlas: SimilarityAtlas) -> None:
    """First a button that makes the file, with a progress bar; then, in its place, one that fetches it."""
    wanted = (plan.plan_id, plan.criterion, atlas.data_hash)
    slot = st.empty()
    held, path = st.session_state.get("built", (None, None))
    if held != wanted or not path.exists():
        if not slot.button("Build the checkpoint (zip)", key="build", icon=":material/deployed_code:"):
            return
        bar = slot.progress(0.0, text="Waiting for its turn …")
        path = None
        with widgets.show_errors():
            path = services.export_zip(model, plan, atlas, lambda share, text: bar.progress(share, text=text))
            st.session_state["built"] = (wanted, path)
    if path is not None:
        slot.download_button(
            f"Checkpoint (zip, {widgets.megabytes(path.stat().st_size)})",
            lambda: services.export_zip(model, plan, atlas).read_bytes(),  # made again if it has been cleared away
            f"{exports.plan_name(plan)}.zip",
            "application/zip",
            key="take_zip",
            icon=":material/folder_zip:",
            on_click="ignore",
        )
