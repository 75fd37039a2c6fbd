"""What Compare says about answers: verdicts, where they part, how far a plan moves them, their numbers, the votes."""

from collections.abc import Sequence

import streamlit as st

from core.charts import scores as score_charts
from core.records.samples import Sample
from dashboard import services, widgets
from dashboard.charts import drawn
from dashboard.text import plain
from dashboard.views.compare.answers import TIE, Pane, divergence_frame, judge, numbers, parting, tally

Number = st.column_config.NumberColumn
NUMBERS = {
    "pane": st.column_config.TextColumn("Pane", pinned=True),
    "verdict": "Verdict",
    "stopped": st.column_config.TextColumn("Stopped by", help="end: by itself; length: at the limit of tokens"),
    "tokens": Number("Tokens"),
    "ttft_ms": Number("First token", format="%.0f ms", help="Preparation, vision tower and prefill included"),
    "tokens_per_s": Number("Tokens/s", format="%.0f", help="After the first token"),
    "warm": st.column_config.CheckboxColumn("Warm", help="The model had answered before: no set-up in these times"),
    "weights": Number("Weights", format="bytes", help="That the plan keeps; shared with the full model"),
    "kv": Number("KV cache", format="bytes", help="Of this answer, at its end"),
    "peak": Number("Peak memory", format="bytes", help="Counted on CUDA only"),
    "kl": Number("Mean KL", format="%.3f", help="Nats per token of the full model's answer"),
    "full_nll": Number("NLL, full", format="%.3f", help="Of the full model's answer under the full model"),
    "plan_nll": Number("NLL, plan", format="%.3f", help="Of the full model's answer under the plan"),
}


def show_result(pane: Pane, sample: Sample) -> None:
    """Verdict and length under an answer."""
    if not pane.answer:
        if pane.events:
            st.badge("stopped", icon=":material/stop_circle:", color="gray")
        return
    if sample.answer:
        verdict = judge(pane.answer, sample)
        st.badge(
            verdict.words,
            icon=":material/check:" if verdict.correct else ":material/close:",
            color="green" if verdict.correct else "red",
        )
    # times are those of all panes together: next to one answer they would read as its own (`show_numbers` has them)
    st.caption(f"{pane.answer.tokens} tokens")


def show_parting(panes: Sequence[Pane]) -> None:
    """Where each plan first says something else than the full model, with both sides' five likeliest tokens."""
    st.subheader("First token that differs", anchor=False)
    full = panes[0].answer
    for pane, cell in zip(panes[1:], st.columns(len(panes) - 1, gap="large"), strict=True):
        if full is None or pane.answer is None:
            continue
        with cell:
            found = parting(full, pane.answer)
            if found is None:
                st.markdown(f"**{plain(pane.name)}** gives the same tokens as the full model.")
                continue
            step, table = found
            st.markdown(f"**{plain(pane.name)}** parts from the full model at token {step}.")
            share = {"format": "percent", "min_value": 0.0, "max_value": 1.0}
            st.dataframe(
                table,
                hide_index=True,
                alt=f"Five likeliest tokens at step {step} of the full model and of {pane.name}",
                column_config={
                    "full_token": "Full model",
                    "full_p": st.column_config.ProgressColumn("", **share),
                    "plan_token": pane.name,
                    "plan_p": st.column_config.ProgressColumn(" ", **share),
                },
            )
            if table.empty or table.full_token.isna().all() or table.plan_token.isna().all():
                st.caption("One side had ended before this token.")


def show_divergence(panes: Sequence[Pane]) -> None:
    """What the full model's answer is worth under each plan."""
    frame = divergence_frame(panes)
    if frame.empty:
        return
    st.subheader("How far the plan moves the full model's answer", anchor=False)
    means = frame.groupby("pane", sort=False)[["kl", "plan_nll", "full_nll"]].mean()
    said = "; ".join(
        f"**{plain(name)}**: KL {row.kl:.3f}, NLL {row.full_nll:.3f} → {row.plan_nll:.3f}"
        for name, row in means.iterrows()
    )
    st.caption(f"The full model's answer, teacher-forced, in nats per token. {said}.")
    widgets.figure(
        drawn(score_charts.divergence_chart, frame),
        frame,
        name="divergence",
        alt_text="KL divergence from the full model at every token of its answer, for each plan",
    )


def show_numbers(panes: Sequence[Pane], sample: Sample) -> None:
    table = numbers(panes, sample)
    st.subheader("Numbers", anchor=False)
    st.dataframe(
        table.dropna(axis="columns", how="all"),
        hide_index=True,
        placeholder="–",
        column_config=NUMBERS,
        alt="Numbers of each answer",
    )
    if len(panes) > 1:
        st.caption(
            "The panes are decoded together, token by token, so their times and their peak memory are those of all of "
            "them. Prune times each plan alone."
        )
    with st.container(horizontal=True):
        widgets.downloads(table, "answers")


def show_votes() -> None:
    votes = st.session_state.get("votes", [])
    if not votes:
        return
    st.subheader("Your blind votes", anchor=False)
    ties = sum(v["vote"] == TIE for v in votes)
    table = tally(votes)
    st.dataframe(
        table,
        hide_index=True,
        width="content",
        alt="Votes that each pane got",
        column_config={"pane": "Pane", "shown": Number("Times shown"), "best": Number("Voted best")},
    )
    st.caption(f"Votes in this session: {len(votes)}, for neither: {ties}. They are kept nowhere else.")
    with st.container(horizontal=True):
        widgets.downloads(table, "votes")
        st.download_button(
            "Every vote (JSON)",
            services.to_json(votes),
            "strata-every-vote.json",
            "application/json",
            key="votes_json",
            icon=":material/download:",
            on_click="ignore",
        )
