"""Answers in, tables out: what panes hold, how they are judged, where they part, and the votes on them.

Nothing here knows Streamlit or charts, so each table is the twin of what is drawn from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from core.analysis.tables import label
from core.records.answers import Answer, TokenEvent, first_divergence
from core.records.plan import PruningPlan
from core.records.samples import Sample
from core.scoring.judging import failure_kind, score_answer

if TYPE_CHECKING:
    from core.vlm.divergence import Divergence

TIE = "neither"


@dataclass
class Pane:
    """One column: the full model (plan None) or a plan, with what has arrived so far."""

    plan: PruningPlan | None
    events: list[TokenEvent] = field(default_factory=list)
    answer: Answer | None = None
    divergence: "Divergence | None" = None  # on the full model's answer

    @property
    def name(self) -> str:
        return f"{label(self.plan.criterion)}, −{self.plan.n_drop}" if self.plan else "full model"

    @property
    def text(self) -> str:
        return self.answer.text if self.answer else "".join(e.text for e in self.events)


@dataclass(frozen=True)
class Verdict:
    correct: bool
    words: str  # the kind of failure, if any, and the rule that decided


def judge(answer: Answer, sample: Sample) -> Verdict:
    """Is the answer right by the sample's metric, by which rule, and if not, how does it fail?"""
    kind = failure_kind(answer, sample.gold, sample.metric)
    score = score_answer(answer.text, sample.gold, sample.metric)
    if not kind:
        return Verdict(True, f"correct: {score.rule}")
    how = "the right text, but it did not end by itself" if score.correct else score.rule
    return Verdict(False, f"{kind}: {how}")


def numbers(panes: Sequence[Pane], sample: Sample) -> pd.DataFrame:
    """One row per finished answer: verdict, length, times, memory, and what the plan does to the full model's answer.

    Returns:
        Columns pane, verdict, stopped, tokens, ttft_ms, tokens_per_s, warm, weights, kv, peak (bytes), kl, full_nll,
        plan_nll (nats per token of the full model's answer).
    """
    rows = []
    for pane in panes:
        if not pane.answer:
            continue
        a, d = pane.answer, pane.divergence
        rows.append(
            {
                "pane": pane.name,
                "verdict": judge(a, sample).words if sample.answer else "no gold answer",
                "stopped": a.stopped,
                "tokens": a.tokens,
                "ttft_ms": 1000 * a.ttft_s,
                "tokens_per_s": a.tokens_per_s if a.tokens > 1 else float("nan"),
                "warm": a.warm,
                "weights": a.weights_bytes,
                "kv": a.kv_bytes,
                "peak": a.peak_memory_bytes,
                **{c: _mean(getattr(d, c)) if d else float("nan") for c in ("kl", "full_nll", "plan_nll")},
            }
        )
    return pd.DataFrame(rows)


def parting(full: Answer, other: Answer) -> tuple[int, pd.DataFrame] | None:
    """The first token (from 1) that two answers do not share, and both sides' likeliest there; None if all are shared.

    Returns:
        The table's columns: full_token, full_p, plan_token, plan_p. A side that had ended has none.
    """
    step = first_divergence(full, other)
    if step is None:
        return None
    columns: dict[str, pd.Series[Any]] = {}
    for name, answer in (("full", full), ("plan", other)):
        top = answer.top(step)
        columns[f"{name}_token"] = pd.Series([repr(token) for token, _ in top], dtype=str)
        columns[f"{name}_p"] = pd.Series([p for _, p in top], dtype=float)
    return step + 1, pd.DataFrame(columns)


def divergence_frame(panes: Sequence[Pane]) -> pd.DataFrame:
    """Each token of the full model's answer under each plan.

    Returns:
        Columns pane, criterion, step (from 1), token, kl, full_nll, plan_nll (nats).
    """
    rows = [
        (pane.name, pane.plan.criterion, step, repr(token), kl, full, plan)
        for pane in panes
        if pane.plan and (d := pane.divergence)
        for step, (token, kl, full, plan) in enumerate(zip(d.tokens, d.kl, d.full_nll, d.plan_nll, strict=True), 1)
    ]
    return pd.DataFrame(rows, columns=["pane", "criterion", "step", "token", "kl", "full_nll", "plan_nll"])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


# ------------------------------------------------------------------------------------------------ votes


def tally(votes: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Columns pane, shown (votes it was up for), best (votes it got)."""
    shown: dict[str, int] = {}
    best: dict[str, int] = {}
    for vote in votes:
        for name in vote["shown"]:
            shown[name] = shown.get(name, 0) + 1
        best[vote["vote"]] = best.get(vote["vote"], 0) + 1
    return pd.DataFrame([(name, n, best.get(name, 0)) for name, n in shown.items()], columns=["pane", "shown", "best"])
