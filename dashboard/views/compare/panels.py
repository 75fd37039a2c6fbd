"""What Compare says about answers: the panes, verdicts, where they part, how far a plan moves them, their numbers."""

from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.analysis import tables
from core.charts import answers as answer_charts
from core.records.samples import Sample
from dashboard import services, widgets
from dashboard.text import plain
from dashboard.views.compare.answers import Pane, divergence_frame, judge, numbers, parting
from dashboard.views.compare.asking import Asked

Number = st.column_config.NumberColumn
NUMBERS: dict[str, Any] = {
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


def render_panes(asked: Asked, sample: Sample, running: bool) -> list[DeltaGenerator]:
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
                _render_result(pane, sample)
    return slots


def _render_result(pane: Pane, sample: Sample) -> None:
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
    # times are those of all panes together: next to one answer they would read as its own (`render_numbers` has them)
    st.caption(f"{pane.answer.tokens} tokens")


def render_recorded_outcomes(model_id: str, panes: Sequence[Pane], sample: Sample, why: str) -> None:
    """What measured runs say about this very item, where nothing can be asked and no answer was recorded."""
    st.info(why, icon=":material/history:")
    words = {None: "not measured on this item", True: "answered it right (recorded)"}
    for pane in panes:
        outcome = services.scores.recorded_outcome(model_id, pane.plan, sample.sample_id)
        st.markdown(f"**{plain(pane.name)}**: {words.get(outcome, 'answered it wrong (recorded)')}")


def render_parting(panes: Sequence[Pane]) -> None:
    """Where each plan first says something else than the full model, with both sides' five likeliest tokens."""
    widgets.section("First token that differs")
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
            share, of_plan = (
                st.column_config.ProgressColumn(c, format="percent", min_value=0, max_value=1) for c in ("", " ")
            )
            widgets.show_table(
                table,
                f"Five likeliest tokens at step {step} of the full model and of {pane.name}",
                {"full_token": "Full model", "full_p": share, "plan_token": pane.name, "plan_p": of_plan},
            )
            if table.empty or table.full_token.isna().all() or table.plan_token.isna().all():
                st.caption("One side had ended before this token.")


def render_divergence(panes: Sequence[Pane]) -> None:
    """What the full model's answer is worth under each plan."""
    frame = divergence_frame(panes)
    if frame.empty:
        return
    means = frame.groupby("pane", sort=False)[["kl", "plan_nll", "full_nll"]].mean()
    said = "; ".join(
        f"**{plain(name)}**: KL {row.kl:.3f}, NLL {row.full_nll:.3f} → {row.plan_nll:.3f}"
        for name, row in means.iterrows()
    )
    widgets.section(
        "How far the plan moves the full model's answer",
        f"The full model's answer, teacher-forced, in nats per token. {said}.",
    )
    widgets.figure(
        answer_charts.divergence_chart,
        frame,
        name="divergence",
        alt_text="KL divergence from the full model at every token of its answer, for each plan",
    )


def render_numbers(panes: Sequence[Pane], sample: Sample) -> None:
    table = numbers(panes, sample)
    widgets.section("Numbers")
    widgets.show_table(table.dropna(axis="columns", how="all"), "Numbers of each answer", NUMBERS, placeholder="–")
    if len(panes) > 1:
        st.caption(
            "The panes are decoded together, token by token, so their times and their peak memory are those of all of "
            "them. Prune times each plan alone."
        )
    widgets.downloads(table, "answers")
