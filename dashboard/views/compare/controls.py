"""What Compare lets a reader choose: the sample of the gallery or a picture of their own, and what each pane drops."""

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.analysis.tables import NONE
from core.errors import StrataError
from core.pruning import SimilarityAtlas
from core.records.plan import ModelSpec, PruningPlan
from core.records.samples import Sample
from dashboard import services, state, widgets
from dashboard.text import plain
from dashboard.views.compare.answers import Pane

ALL = "every task"

# ------------------------------------------------------------------------------------------------ the plans


def choose_plans(model: ModelSpec, atlas: SimilarityAtlas) -> list[Pane]:
    """The full model, pane A, and pane B when one is chosen."""
    panes = [Pane(None)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width=280):
            budget = state.budget(model)
        names = _pane_criteria([*services.similarities.criteria(atlas), "manual"])
        st.toggle(
            "Blind vote",
            key="blind",
            bind=state.BIND,
            help="Answers come shuffled and without names until you say which is best.",
        )
    if "manual" in names:
        state.manual_layers(model)
    for name in names:
        if name != NONE:
            with widgets.show_errors():
                panes.append(Pane(_plan(model, atlas, name, budget)))
    widgets.same_layers([p.plan for p in panes if p.plan])
    return panes


def _pane_criteria(names: Sequence[str]) -> list[str]:
    """What the two panes beside the full model drop: a criterion's layers, those chosen by hand, or none."""
    panes = {"a": list(names), "b": [NONE, *names]}
    state.check("a", panes["a"].__contains__, f"{names[0]} is shown.")
    state.check("b", panes["b"].__contains__, "One plan is shown.")
    return [
        str(st.selectbox(f"Plan {key.upper()}", options, key=key, bind=state.BIND, width=190))
        for key, options in panes.items()
    ]


def _plan(model: ModelSpec, atlas: SimilarityAtlas, name: str, budget: int) -> PruningPlan:
    """The plan of a pane; a hand-made one drops the layers that `manual` names."""
    if name != "manual":
        return services.plans.plan(atlas, name, budget)
    layers = st.session_state.get("manual") or []
    if not layers:
        raise StrataError("the plan by hand drops no layer yet: pick its layers, or click a strip on the Prune page")
    return PruningPlan(model.model_id, model.n_layers, tuple(int(i) for i in layers), "manual")


# ------------------------------------------------------------------------------------------------ the question


def choose_sample(model_id: str) -> Sample | None:
    """A gallery sample, the linked item, or an upload with the user's own question."""
    with st.container(horizontal=True, vertical_alignment="center"):
        where = state.switch("picture", "Picture", ["gallery", "upload"], label_visibility="collapsed")
        task = _shown_task(model_id) if where == "gallery" else None
    if where == "upload":
        return _upload()
    samples = services.samples.gallery(model_id, task)
    current = _current(model_id, samples)
    _render_gallery(samples, current)
    return current


def _shown_task(model_id: str) -> str | None:
    """The task that the gallery shows; None for one sample of each."""
    picked = state.menu(
        "show",
        "Samples of",
        [ALL, *services.samples.gallery_tasks(model_id)],
        190,
        "Every task is shown.",
        format_func=lambda t: t.replace("_", " "),
        label_visibility="collapsed",
    )
    return None if picked == ALL else picked


def _upload() -> Sample | None:
    data = st.file_uploader("A PNG, JPEG or WebP picture, 5 MB at most", ["png", "jpg", "jpeg", "webp"], key="upload")
    question = st.text_input("Question", key="question", max_chars=300, placeholder="How many shapes are there?")
    if data is None:
        st.info("Upload a picture and ask a question about it.", icon=":material/upload:")
    elif not question.strip():
        st.info("Ask a question about the picture.", icon=":material/help:")
    else:
        with widgets.show_errors():
            return services.samples.uploaded(data.getvalue(), question.strip())
    return None


def _current(model_id: str, gallery: Sequence[Sample]) -> Sample:
    """The sample that the link or the last click names; the first of the gallery if that one is not known here.

    Not a widget, so the address is kept by hand: `sample` holds an id, and the gallery's buttons set it.
    """
    wanted = st.query_params.get("sample") or st.session_state.get("sample_id")
    if wanted is None:
        return gallery[0]
    try:
        found = services.samples.sample(model_id, wanted)
    except StrataError as error:
        st.warning(f"{plain(error)}. The first one is shown.", icon=":material/link_off:")
        return gallery[0]
    st.session_state["sample_id"] = wanted
    if st.query_params.get("sample") != wanted:
        st.query_params["sample"] = wanted
    return found


def _pick(sample_id: str) -> None:
    st.session_state["sample_id"] = sample_id
    st.query_params["sample"] = sample_id


def _render_gallery(samples: Sequence[Sample], current: Sample) -> None:
    with st.grid(12, min_column_width=80, gap="xsmall") as grid:
        for s in samples:
            with grid.cell(), st.container(gap="xsmall"):
                if s.image is not None:
                    st.image(s.image, width="stretch", alt=f"{s.domain}, {s.task}: {s.question}")
                st.button(
                    plain(s.answer) or "no gold",
                    key=f"pick_{s.sample_id}",
                    help=f"{plain(s.domain)}, {plain(s.task)}: {plain(s.question)} Gold answer: {plain(s.answer)}",
                    type="secondary" if s.sample_id == current.sample_id else "tertiary",
                    width="stretch",
                    on_click=_pick,
                    args=(s.sample_id,),
                )


def render_question(sample: Sample) -> tuple[DeltaGenerator, DeltaGenerator]:
    """The question with its picture and gold answer; returns the places of the button and of the status line."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        if sample.image is not None:
            st.image(sample.image, width=110, alt=f"The picture asked about: {sample.question}")
        with st.container(gap="xsmall", width="stretch"):
            st.text(sample.question)
            if sample.answer:
                st.text(f"Gold answer: {sample.answer}")
            st.caption(f"{plain(sample.domain)} · {plain(sample.task.replace('_', ' '))} · {sample.sample_id[:8]}")
        with st.container(width="content", horizontal_alignment="right", gap="xsmall"):
            return st.empty(), st.empty()
