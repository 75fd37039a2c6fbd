"""What becomes of answers: a link to them, a file, recording for replay, where they come from, and blind votes."""

from collections.abc import Sequence
from urllib.parse import urlencode

import streamlit as st

from core import settings
from core.library.recordings import ANSWERING, RecordedAnswer
from core.records.plan import ModelSpec
from core.records.samples import Sample
from dashboard import services, state, widgets
from dashboard.views.compare.answers import TIE, tally
from dashboard.views.compare.asking import Asked


def render_share(model_id: str, sample: Sample, asked: Asked) -> None:
    """A link to this comparison, the answers as a file, and recording them for replay."""
    widgets.section("Share and keep")
    if sample.source == "upload":
        st.caption("An upload is not part of a link: send the picture along with the file below.")
    else:
        names = dict(zip("ab", (p.plan for p in asked.panes[1:]), strict=False))
        panes = {k: p.criterion for k, p in names.items() if p}
        manual = next(([str(i) for i in p.dropped] for p in names.values() if p and p.criterion == "manual"), [])
        query = state.link(model_id, st.session_state.get("budget"), sample=sample.sample_id, manual=manual, **panes)
        widgets.command(f"{st.context.url or '/compare'}?{urlencode(query, doseq=True)}")
    answers = [p.answer for p in asked.panes if p.answer]
    with st.container(horizontal=True, vertical_alignment="center"):
        widgets.download(
            "Answers (JSON)",
            lambda: services.answers.answers_json(model_id, answers, sample),
            f"strata-answers-{sample.sample_id[:8]}.json",
            "answers_json",
        )
        if asked.recorded:
            return
        picture = sample.source == "upload" and st.checkbox("Keep a small copy of the picture", key="keep_picture")
        if st.button(
            "Record these answers",
            key="record",
            icon=":material/fiber_manual_record:",
            help="Keeps them, token by token with their times, for replay where no model can run.",
        ):
            with widgets.show_errors():
                records = services.answers.record_answers(model_id, answers, sample, bool(picture))
                st.success(f"{len(records)} answers recorded in {settings.shown(services.answers.answers_folder())}.")


def render_provenance(model_id: str, spec: ModelSpec, recorded: Sequence[RecordedAnswer]) -> None:
    """Where the answers come from: the model as it answered, and when."""
    when = f"recorded {min(r.created for r in recorded)[:10]}" if recorded else "live"
    limit = f"greedy, {ANSWERING.max_new_tokens} tokens at most"
    widgets.provenance(f"{model_id} @ {spec.revision[:10]}, {spec.dtype}", spec.device, limit, "n = 1 question", when)


# ------------------------------------------------------------------------------------------------ votes


def ask_for_vote(model_id: str, sample: Sample, asked: Asked) -> None:
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


def render_votes() -> None:
    votes = st.session_state.get("votes", [])
    if not votes:
        return
    widgets.section("Your blind votes")
    ties = sum(v["vote"] == TIE for v in votes)
    table = tally(votes)
    columns = {
        "pane": "Pane",
        "shown": st.column_config.NumberColumn("Times shown"),
        "best": st.column_config.NumberColumn("Voted best"),
    }
    widgets.show_table(table, "Votes that each pane got", columns, width="content")
    st.caption(f"Votes in this session: {len(votes)}, for neither: {ties}. They are kept nowhere else.")
    with widgets.downloads(table, "votes"):
        widgets.download("Every vote (JSON)", services.answers.to_json(votes), "strata-every-vote.json", "votes_json")
