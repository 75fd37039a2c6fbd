"""Compare: the same question to the full model and to pruned ones, answered side by side, token by token."""

import random

import streamlit as st

from core.errors import StrataError
from dashboard import services, state, widgets
from dashboard.views.compare import controls, panels, sharing
from dashboard.views.compare.asking import Asked, replay, stream

model_id = widgets.header(
    "Where does the pruned model go wrong?",
    "The full model and one or two plans answer the same question at the same time. Answers are decoded greedily.",
)
try:
    model = services.models.spec(model_id)
    atlas = services.similarities.atlas(model_id, state.atlas_source(model_id))
except StrataError:
    widgets.no_atlas(model_id)
    st.stop()

panes = controls.choose_plans(model, atlas)
sample = controls.choose_sample(model_id)
if sample is None:
    st.stop()
action, status = controls.render_question(sample)

# ------------------------------------------------------------------------------------------------ asking

live = services.models.live(model_id)
recorded = () if live else tuple(services.answers.recorded_answer(model_id, p.plan, sample) for p in panes)
why_not = ""
if live and services.samples.lacks_picture(model_id, sample):
    why_not = "The picture of this item is not on this machine, so it cannot be asked: pick one of the gallery."
elif not live and not all(recorded):
    why_not = (
        "The model cannot run on this machine, and these answers were not recorded. Install requirements.txt to ask it "
        "live, or pick a recorded question."
    )
if why_not:
    panels.render_recorded_outcomes(model_id, panes, sample, why_not)
    st.stop()

blind, order = bool(st.session_state["blind"]), list(range(len(panes)))
plans = tuple(p.plan for p in panes)
request = (model_id, sample.sample_id, services.samples.picture_hash(sample), sample.question, plans, blind)
asked: Asked | None = st.session_state.get("asked")
if asked and asked.request != request:
    asked = None
running = action.button("Ask" if live else "Replay", key="ask", icon=":material/play_arrow:", width="stretch")
if running:
    action.button("Stop", key="stop", icon=":material/stop:", width="stretch")
    if blind:
        random.SystemRandom().shuffle(order)
    asked = Asked(request, panes, order, blind, tuple(r for r in recorded if r))
    st.session_state["asked"] = asked

slots = panels.render_panes(asked or Asked(request, panes, order, False), sample, running)
if running and asked:
    with widgets.show_errors():
        stream(model_id, asked, sample, slots, status) if live else replay(asked, slots)
        st.rerun()
    st.stop()

# ------------------------------------------------------------------------------------------------ what it means

if not asked:
    st.caption("Press Ask: the panes answer at the same time." if live else "Press Replay to see the recorded answers.")
elif all(p.answer for p in asked.panes):
    if asked.hidden:
        sharing.ask_for_vote(model_id, sample, asked)
    else:
        if len(asked.panes) > 1:
            panels.render_parting(asked.panes)
        panels.render_divergence(asked.panes)
        panels.render_numbers(asked.panes, sample)
        sharing.render_share(model_id, sample, asked)
    answered_by = asked.recorded[0].model if asked.recorded else services.answers.answering_model(model_id)
    sharing.render_provenance(model_id, answered_by, asked.recorded)
sharing.render_votes()
