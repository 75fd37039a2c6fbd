"""Compare: the same question to the full model and to pruned ones, answered side by side, token by token."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st

from core.data.samples import Sample
from core.errors import StrataError
from core.pruning import PruningPlan
from core.runs.records import Answer, GenerationConfig, TokenEvent
from dashboard import results, services, state, widgets

model_id = widgets.header(
    "Where does the pruned model go wrong?",
    "The full model and one or two plans answer the same question at the same time. Answers are decoded greedily.",
)


@dataclass
class Pane:
    """One column: the full model (plan None) or a plan, with what has arrived so far."""

    title: str
    plan: PruningPlan | None
    events: list[TokenEvent] = field(default_factory=list)
    answer: Answer | None = None

    @property
    def text(self) -> str:
        return self.answer.text if self.answer else "".join(e.text for e in self.events)


# ------------------------------------------------------------------------------------------------ the question


def choose_sample() -> Sample | None:
    """A gallery sample, the linked item, or an upload with the user's own question."""
    where = st.segmented_control(
        "Picture", ["gallery", "upload"], default="gallery", required=True, key="picture", label_visibility="collapsed"
    )
    if where == "upload":
        data = st.file_uploader(
            "A PNG, JPEG or WEBP picture, 5 MB at most", ["png", "jpg", "jpeg", "webp"], key="upload"
        )
        question = st.text_input("Question", key="question", max_chars=300, placeholder="How many shapes are there?")
        if data is None:
            st.info("Upload a picture and ask a question about it.", icon=":material/upload:")
            return None
        if not question.strip():
            st.info("Ask a question about the picture.", icon=":material/help:")
            return None
        with widgets.show_errors():
            return services.uploaded(data.getvalue(), question.strip())
        return None
    samples = list(services.gallery(model_id))
    current = state.sample(model_id, samples)
    show_gallery(samples, current)
    return current


def show_gallery(samples: list[Sample], current: Sample) -> None:
    with st.grid(6, min_column_width=104, gap="small") as grid:
        for s in samples:
            with grid.cell(), st.container(border=True, gap="xsmall"):
                st.image(s.image, width="stretch", alt=f"{s.domain}, {s.task}: {s.question}")
                st.text(f"→ {s.answer}")
                chosen = s.sample_id == current.sample_id
                st.button(
                    s.domain,
                    key=f"pick_{s.sample_id}",
                    help=s.question,
                    type="primary" if chosen else "secondary",
                    width="stretch",
                    on_click=state.set_sample,
                    args=(s.sample_id,),
                )


def choose_plans() -> list[Pane]:
    """The full model, pane A, and pane B when one is chosen."""
    panes = [Pane("Full model", None)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width=280):
            budget = state.budget(model)
        a, b = state.pane_criteria()
    if "manual" in (a, b):
        state.manual_layers(model)
    for name in (a, b):
        if name == results.NONE:
            continue
        with widgets.show_errors():
            plan = state.pane_plan(model, atlas, name, budget)
            panes.append(Pane(f"{results.label(name)}, −{plan.n_drop}", plan))
    return panes


# ------------------------------------------------------------------------------------------------ the answers


def ask(panes: list[Pane], sample: Sample, slots: list[Any]) -> None:
    """Stream all panes; leaving early (a stop, another page) cancels the work within one token."""
    ticket = services.engine().submit(
        model_id, [p.plan for p in panes], sample.image, sample.question, GenerationConfig(max_new_tokens=48)
    )
    try:
        for event in ticket.events():
            pane = panes[event.pane]
            if isinstance(event, TokenEvent):
                pane.events.append(event)
            else:
                pane.answer = event.answer
            slots[event.pane].text(pane.text or " ")
    finally:
        ticket.cancel()


def show_result(pane: Pane, sample: Sample) -> None:
    """Badges and timings under an answer."""
    answer = pane.answer
    stopped = answer.stopped if answer else "cancelled"
    with st.container(horizontal=True, gap="xsmall"):
        if stopped == "cancelled":
            st.badge("stopped", icon=":material/stop_circle:", color="gray")
        elif sample.answer:
            verdict = results.judge(pane.text, sample.answer, stopped)
            if verdict.correct:
                st.badge(f"correct · {verdict.rule}", icon=":material/check:", color="green")
            else:
                st.badge(f"wrong · {verdict.rule}", icon=":material/close:", color="red")
    if answer:
        st.caption(
            f"{answer.tokens} tokens · first after {1000 * answer.ttft_s:.0f} ms · {answer.tokens_per_s:.0f} tokens/s"
        )


def show_divergence(panes: list[Pane]) -> None:
    """Where each plan first says something else than the full model, with both sides' five likeliest tokens."""
    full = panes[0]
    for pane in panes[1:]:
        step = results.first_divergence([e.token_id for e in full.events], [e.token_id for e in pane.events])
        if step is None:
            st.markdown(f"**{pane.title}** gives the same tokens as the full model.")
            continue
        st.markdown(f"**{pane.title}** parts from the full model at token {step + 1}.")
        columns = {}
        for side in (full, pane):
            event = side.events[step] if step < len(side.events) else None
            columns[side.title] = (
                [f"{t!r}  {100 * p:.1f} %" for t, p in event.top5] if event and event.top5 else ["(ended)"]
            )
        st.dataframe(
            pd.DataFrame({k: pd.Series(v) for k, v in columns.items()}).fillna(""),
            hide_index=True,
            alt=f"Five likeliest tokens at step {step + 1} of the full model and of {pane.title}",
        )


def recorded_outcomes(panes: list[Pane], sample: Sample) -> None:
    """Without a model here: what measured runs say about this very item."""
    found = [(p.title, services.recorded_outcome(model_id, p.plan, sample.sample_id)) for p in panes]
    st.info(
        "The model cannot run on this machine, so answers cannot be streamed. Install requirements.txt to ask it live.",
        icon=":material/history:",
    )
    for title, outcome in found:
        said = (
            "not measured on this item" if outcome is None else "answered it right" if outcome else "answered it wrong"
        )
        st.markdown(f"**{title}**: {said} (recorded)" if outcome is not None else f"**{title}**: {said}")


# ------------------------------------------------------------------------------------------------ the page

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

with st.container(border=True):
    picture, question = st.columns([1, 4], vertical_alignment="center")
    if sample.image is not None:
        picture.image(sample.image, width=140, alt=f"The picture asked about: {sample.question}")
    with question:
        st.text(sample.question)
        if sample.answer:
            st.text(f"Gold answer: {sample.answer}")
        st.caption(f"{sample.domain} · {sample.task.replace('_', ' ')} · {sample.sample_id[:8]}")

request = (model_id, sample.sample_id, sample.question, tuple(p.plan.plan_id if p.plan else "" for p in panes))
held = st.session_state.get("answers")
if not services.live(model_id):
    recorded_outcomes(panes, sample)
    st.stop()

action = st.empty()
if action.button("Ask", key="ask", type="primary", icon=":material/play_arrow:"):
    action.button("Stop", key="stop", icon=":material/stop:")
    st.session_state["answers"] = held = (request, panes)
    running = True
else:
    running = False
    if held and held[0] == request:
        panes = held[1]

columns = st.columns(len(panes), border=True)
slots = []
for pane, column in zip(panes, columns, strict=True):
    with column:
        st.markdown(f"**{pane.title}**")
        st.caption(f"drops {results.as_ranges(pane.plan.dropped)}" if pane.plan else "all layers")
        slot = st.empty()
        slot.text(pane.text or ("…" if running else "not asked yet"))
        slots.append(slot)

if running:
    with widgets.show_errors():
        ask(panes, sample, slots)
        st.rerun()
    st.stop()

if not (held and held[0] == request):
    st.caption("Press Ask: the panes answer at the same time.")
    st.stop()

for pane, column in zip(panes, columns, strict=True):
    with column:
        show_result(pane, sample)

if len(panes) > 1 and all(p.answer for p in panes):
    st.subheader("First token that differs", anchor=False)
    show_divergence(panes)

st.subheader("Share", anchor=False)
st.caption(
    "The address of this page holds the model, the sample, the budget and the plans: copy it to share the comparison."
)
st.download_button(
    "Answers (JSON)",
    services.to_json(
        {
            "sample": {
                "id": sample.sample_id,
                "source": sample.source,
                "question": sample.question,
                "gold": sample.answer,
            },
            "device": services.device(),
            "answers": [p.answer.to_dict() if p.answer else {"answer": p.text, "stopped": "cancelled"} for p in panes],
        }
    ),
    f"strata-answers-{sample.sample_id[:8]}.json",
    "application/json",
    key="answers_json",
    icon=":material/download:",
    on_click="ignore",
)
widgets.provenance(f"{model_id} @ {model.revision[:10]}", services.device(), "greedy, 48 tokens at most", "live")
