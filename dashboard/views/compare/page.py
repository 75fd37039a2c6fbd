"""Compare: the same question to the full model and to pruned ones, answered side by side, token by token."""

import random
from urllib.parse import urlencode

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.analysis import tables
from core.analysis.plan_tables import coinciding
from core.errors import StrataError
from core.records.plan import PruningPlan
from core.records.samples import Sample
from dashboard import services, state, widgets
from dashboard.text import plain
from dashboard.views.compare import panels
from dashboard.views.compare.answers import TIE, Pane
from dashboard.views.compare.asking import Asked, replay, stream

# ------------------------------------------------------------------------------------------------ the question


def choose_sample() -> Sample | None:
    """A gallery sample, the linked item, or an upload with the user's own question."""
    with st.container(horizontal=True, vertical_alignment="center"):
        where = st.segmented_control(
            "Picture",
            ["gallery", "upload"],
            default="gallery",
            required=True,
            key="picture",
            label_visibility="collapsed",
        )
        task = state.shown_task(model_id) if where == "gallery" else None
    if where == "upload":
        return choose_upload()
    samples = services.gallery(model_id, task)
    current = state.sample(model_id, samples)
    show_gallery(samples, current)
    return current


def choose_upload() -> Sample | None:
    bounds = services.limits()
    most = f"A PNG, JPEG or WebP picture, {bounds.upload_mb} at most"
    data = st.file_uploader(most, ["png", "jpg", "jpeg", "webp"], key="upload")
    placeholder = "How many shapes are there?"
    question = st.text_input("Question", key="question", max_chars=bounds.question_chars, placeholder=placeholder)
    if data is None:
        st.info("Upload a picture and ask a question about it.", icon=":material/upload:")
    elif not question.strip():
        st.info("Ask a question about the picture.", icon=":material/help:")
    else:
        with widgets.show_errors():
            return services.uploaded(data.getvalue(), question.strip())
    return None


def show_gallery(samples: tuple[Sample, ...], current: Sample) -> None:
    with st.grid(12, min_column_width=80, gap="xsmall") as grid:
        for s in samples:
            with grid.cell(), st.container(gap="xsmall"):
                st.image(s.image, width="stretch", alt=f"{s.domain}, {s.task}: {s.question}")
                st.button(
                    plain(s.answer) or "no gold",
                    key=f"pick_{s.sample_id}",
                    help=f"{plain(s.domain)}, {plain(s.task)}: {plain(s.question)} Gold answer: {plain(s.answer)}",
                    type="secondary" if s.sample_id == current.sample_id else "tertiary",
                    width="stretch",
                    on_click=state.set_sample,
                    args=(s.sample_id,),
                )


def show_question(sample: Sample) -> tuple[DeltaGenerator, DeltaGenerator]:
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


def choose_plans() -> list[Pane]:
    """The full model, pane A, and pane B when one is chosen."""
    panes = [Pane(None)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width=280):
            budget = state.budget(model)
        names = state.pane_criteria(services.criteria(atlas))
        st.toggle(
            "Blind vote",
            key="blind",
            bind=state.BIND,
            help="Answers come shuffled and without names until you say which is best.",
        )
    if "manual" in names:
        state.manual_layers(model)
    for name in names:
        if name != tables.NONE:
            with widgets.show_errors():
                panes.append(Pane(state.pane_plan(model, atlas, name, budget)))
    for same in coinciding([p.plan for p in panes if p.plan]):
        st.badge(f"{plain(same)}: the same layers, so one plan", icon=":material/join:", color="blue")
    return panes


# ------------------------------------------------------------------------------------------------ the answers


def show_panes(asked: Asked, running: bool) -> list[DeltaGenerator]:
    """One column per answer; returns the places of the texts."""
    slots = []
    for place, column in enumerate(st.columns(len(asked.panes), border=True)):
        pane = asked.panes[asked.order[place]]
        with column:
            st.markdown(f"**{plain(asked.title(place))}**")
            if not asked.hidden:
                st.caption(f"drops layers {tables.as_ranges(pane.plan.dropped)}" if pane.plan else "all layers")
            slot = st.empty()
            slot.text(pane.text or ("…" if running else "not asked yet"))
            slots.append(slot)
            if not running and not asked.hidden:
                panels.show_result(pane, sample)
    return slots


# ------------------------------------------------------------------------------------------------ what they mean


def ask_for_vote(asked: Asked) -> None:
    st.markdown("**Which answer is best?** The names show once you have voted.")
    names = [asked.panes[i].name for i in asked.order]

    def vote(choice: str) -> None:
        asked.hidden = False
        st.session_state.setdefault("votes", []).append(
            {"model": model_id, "item": sample.sample_id, "question": sample.question, "shown": names, "vote": choice}
        )

    with st.container(horizontal=True):
        for place, name in enumerate(names):
            st.button(f"Answer {place + 1}", key=f"vote_{place}", on_click=vote, args=(name,))
        st.button("Neither", key="vote_tie", on_click=vote, args=(TIE,))


def show_share(asked: Asked, kept: bool) -> None:
    """A link to this comparison, the answers as a file, and recording them for replay."""
    st.subheader("Share and keep", anchor=False)
    if sample.source == "upload":
        st.caption("An upload is not part of a link: send the picture along with the file below.")
    else:
        names = dict(zip("ab", (p.plan for p in asked.panes[1:]), strict=False))
        panes = {k: p.criterion for k, p in names.items() if p}
        manual = next(([str(i) for i in p.dropped] for p in names.values() if p and p.criterion == "manual"), [])
        query = state.link(model_id, st.session_state.get("budget"), sample=sample.sample_id, manual=manual, **panes)
        st.code(f"{st.context.url or '/compare'}?{urlencode(query, doseq=True)}", language=None, wrap_lines=True)
    answers = [p.answer for p in asked.panes if p.answer]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Answers (JSON)",
            lambda: services.answers_json(model_id, answers, sample),
            f"strata-answers-{sample.sample_id[:8]}.json",
            "application/json",
            key="answers_json",
            icon=":material/download:",
            on_click="ignore",
        )
        if kept:
            return
        picture = sample.source == "upload" and st.checkbox("Keep a small copy of the picture", key="keep_picture")
        if st.button(
            "Record these answers",
            key="record",
            icon=":material/fiber_manual_record:",
            help="Keeps them, token by token with their times, for replay where no model can run.",
        ):
            with widgets.show_errors():
                records = services.record_answers(model_id, answers, sample, bool(picture))
                st.success(f"{len(records)} answers recorded in {services.shown(services.answers_folder())}.")


def show_provenance(asked: Asked) -> None:
    if asked.recorded:
        first = asked.recorded[0]
        spec, when = first.model, f"recorded {min(r.created for r in asked.recorded)[:10]}"
    else:
        spec, when = services.answering_model(model_id), "live"
    limit = f"greedy, {services.ANSWERING.max_new_tokens} tokens at most"
    widgets.provenance(f"{model_id} @ {spec.revision[:10]}, {spec.dtype}", spec.device, limit, "n = 1 question", when)


def not_asked(why: str, panes: list[Pane]) -> None:
    """What measured runs say about this very item, where nothing can be asked and no answer was recorded."""
    st.info(why, icon=":material/history:")
    words = {None: "not measured on this item", True: "answered it right (recorded)"}
    for pane in panes:
        outcome = services.recorded_outcome(model_id, pane.plan, sample.sample_id)
        st.markdown(f"**{plain(pane.name)}**: {words.get(outcome, 'answered it wrong (recorded)')}")


# ------------------------------------------------------------------------------------------------ the page

model_id = widgets.header(
    "Where does the pruned model go wrong?",
    "The full model and one or two plans answer the same question at the same time. Answers are decoded greedily.",
)
try:
    model = services.spec(model_id)
    atlas = services.atlas(model_id, state.atlas_source(model_id))
except StrataError:
    widgets.no_atlas(model_id)
    st.stop()

panes = choose_plans()
sample = choose_sample()
if sample is None:
    st.stop()
action, status = show_question(sample)

live = services.live(model_id)
recorded = () if live else tuple(services.recorded_answer(model_id, p.plan, sample) for p in panes)
if live and services.lacks_picture(model_id, sample):
    not_asked("The picture of this item is not on this machine, so it cannot be asked: pick one of the gallery.", panes)
    st.stop()
if not live and not all(recorded):
    not_asked(
        "The model cannot run on this machine, and these answers were not recorded. Install requirements.txt to ask it "
        "live, or pick a recorded question.",
        panes,
    )
    st.stop()

plans: tuple[PruningPlan | None, ...] = tuple(p.plan for p in panes)
request = (model_id, sample.sample_id, services.picture_hash(sample), sample.question, plans, st.session_state["blind"])
asked: Asked | None = st.session_state.get("asked")
if asked and asked.request != request:
    asked = None
running = action.button("Ask" if live else "Replay", key="ask", icon=":material/play_arrow:", width="stretch")
if running:
    action.button("Stop", key="stop", icon=":material/stop:", width="stretch")
    blind = bool(st.session_state["blind"])
    order = list(range(len(panes)))
    if blind:
        random.SystemRandom().shuffle(order)
    asked = Asked(request, panes, order, blind, tuple(r for r in recorded if r))
    st.session_state["asked"] = asked

slots = show_panes(asked or Asked(request, panes, list(range(len(panes))), False), running)
if running and asked:
    with widgets.show_errors():
        stream(model_id, asked, sample, slots, status) if live else replay(asked, slots)
        st.rerun()
    st.stop()
if not asked:
    st.caption("Press Ask: the panes answer at the same time." if live else "Press Replay to see the recorded answers.")
elif all(p.answer for p in asked.panes):
    if asked.hidden:
        ask_for_vote(asked)
    else:
        if len(asked.panes) > 1:
            panels.show_parting(asked.panes)
        panels.show_divergence(asked.panes)
        panels.show_numbers(asked.panes, sample)
        show_share(asked, kept=bool(asked.recorded))
    show_provenance(asked)
panels.show_votes()
