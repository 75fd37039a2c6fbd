"""A plan to take along: as a file in three forms, and its checkpoint."""

import streamlit as st

from core.pruning import SimilarityAtlas
from core.pruning.formats import mergekit_yaml, python_snippet
from core.records.plan import ModelSpec, PruningPlan
from dashboard import services, widgets
from dashboard.services import exports


def render_downloads(model: ModelSpec, plan: PruningPlan, atlas: SimilarityAtlas) -> None:
    """A plan as JSON, recipe and snippet, and its checkpoint: as a zip where that is small, else as a command."""
    name = exports.plan_name(plan)
    recipe = mergekit_yaml(plan, services.plans.model_ref(model.model_id))
    with st.container(horizontal=True):
        widgets.download("Plan (JSON)", services.answers.to_json(plan.to_dict()), f"plan-{name}.json", "take_plan")
        widgets.download("mergekit (YAML)", recipe, f"{name}.mergekit.yaml", "take_recipe", "text/yaml")
        widgets.download("Python", python_snippet(plan), f"{name}.py", "take_snippet", "text/x-python")
        zip_here = st.container(width="content")
    widgets.command(python_snippet(plan))
    if services.models.live(model.model_id) and exports.pruned_bytes(model, plan) <= exports.ZIP_LIMIT:
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
            path = services.plans.export_zip(model, plan, atlas, lambda share, text: bar.progress(share, text=text))
            st.session_state["built"] = (wanted, path)
    if path is not None:
        with slot:
            widgets.download(
                f"Checkpoint (zip, {widgets.megabytes(path.stat().st_size)})",
                # made again if it has been cleared away
                lambda: services.plans.export_zip(model, plan, atlas).read_bytes(),
                f"{exports.plan_name(plan)}.zip",
                "take_zip",
                "application/zip",
                ":material/folder_zip:",
            )
