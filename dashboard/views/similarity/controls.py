"""What Similarity lets a reader choose: the calibration, a fresh one, a domain of their own, the opened cell."""

from collections.abc import Callable

import streamlit as st

from dashboard import services, state, widgets
from dashboard.services.similarities import Progress

PICTURES = ["png", "jpg", "jpeg", "webp"]


def calibration(model_id: str) -> None:
    """Recorded or the user's own similarities, where there are both."""
    sources = services.similarities.sources(model_id)
    if len(sources) == 2:
        st.session_state["calibration"] = state.switch(
            "calibration_choice",
            "Calibration",
            sources,
            state.atlas_source(model_id),
            format_func={"recorded": "recorded", "own": "yours"}.__getitem__,
        )


def recompute(model_id: str) -> None:
    """Calibrate live and keep the result as the user's own atlas."""
    with st.popover(
        "Recompute", icon=":material/refresh:", help="Run the model on fresh calibration samples, here and now."
    ):
        if not services.models.live(model_id):
            st.markdown("The model cannot run here: install `requirements.txt` and restart to recompute.")
            return
        n = st.slider("Samples per domain", 8, 128, 32, 8, key="calibration_n")
        seed = st.number_input("Seed", 0, 10_000, 1, key="calibration_seed")
        if st.button("Recompute the similarities", key="recompute"):
            _compute(lambda progress: services.similarities.recompute(model_id, int(n), int(seed), progress=progress))


def add_domain(model_id: str) -> None:
    """The user's own pictures as a further row of every chart."""
    with st.popover("Add a domain", icon=":material/add_photo_alternate:", help="Your own pictures as a further row."):
        if not services.models.live(model_id):
            st.markdown("The model cannot run here: install `requirements.txt` and restart to add a domain.")
            return
        name = st.text_input("Name", placeholder="receipts", max_chars=24, key="own_name")
        question = st.text_input("Question that every picture is asked", "What is this?", max_chars=200, key="own_ask")
        files = st.file_uploader(
            f"1 to {services.similarities.MAX_PICTURES} pictures",
            ["png", "jpg", "jpeg", "webp"],
            True,
            key="own_pictures",
        )
        st.caption("Only similarities are kept, not the pictures. They are compared with the model's other domains.")
        if st.button("Measure them", key="add_domain", disabled=not files):
            pictures = [file.getvalue() for file in files]
            _compute(
                lambda progress: services.similarities.add_domain(model_id, name, pictures, question, progress=progress)
            )


def _compute(compute: Callable[[Progress], object]) -> None:
    """Run a calibration with a progress bar and a Stop button; leaving the page stops it too, and nothing is saved."""
    bar = st.progress(0.0, text="Loading the model …")
    st.button("Stop", key="stop_calibration", icon=":material/stop:")
    with widgets.show_errors():
        compute(widgets.counting(bar, "samples"))
        st.session_state["calibration"] = "own"
        st.rerun()


def pick_cell() -> None:
    """A click on the heatmap chooses the domain and the layer whose samples are shown."""
    picked = st.session_state["chart_similarity"].selection.get("cell")
    if picked:
        st.session_state["domain"], st.session_state["layer"] = str(picked[0]["domain"]), int(picked[0]["layer"])


def layer(n_layers: int, default: int) -> int:
    """The layer whose samples are shown; a click on the heatmap sets it as well."""
    state.check("layer", state.whole(0, n_layers - 1), f"Layer {default} is shown.")
    return int(st.slider("Layer", 0, n_layers - 1, default, key="layer", bind=state.BIND))
