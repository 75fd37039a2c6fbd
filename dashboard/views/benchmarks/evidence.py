"""What the runs say beyond the curves: how answers fail, which differences are real, regimes, what others state."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from core.analysis import tables
from core.charts import answers as answer_charts
from core.records.references import ReferenceScore
from core.records.runs import RunRecord
from dashboard import widgets
from dashboard.text import plain

if TYPE_CHECKING:
    from core.analysis.regime_map import RegimeMap

Number, Text = st.column_config.NumberColumn, st.column_config.TextColumn
PAIR_COLUMNS: dict[str, Any] = {
    "a": "A",
    "b": "B",
    "n": Number("Items"),
    "a_only": Number("Only A right"),
    "b_only": Number("Only B right"),
    "difference": Number("A − B", format="%+.1f points"),
    "interval": Text("95 % interval", alignment="right", help="Paired bootstrap over the items"),
    "p": Text("p", alignment="right", help="Exact McNemar test"),
    "p_holm": Text("p (Holm)", alignment="right", help="Adjusted for all pairs shown"),
    "visible": Number(
        "Could see",
        format="%.1f points",
        help="The smallest difference that a test on these items finds with 80 % power, as often as the two disagree",
    ),
}


def render_failures(records: Iterable[RunRecord], criterion: str, domain: str) -> None:
    """Pruning changes the form of answers before it changes what is known: both must be seen apart."""
    frame = tables.failure_table(records)
    frame = frame[frame.criterion.isin([criterion, tables.FULL])].sort_values(["n_drop", "failure"])
    if frame.empty:
        return
    widgets.section(
        "How do answers fail?",
        f"Of the full model and of {plain(criterion)}: answers that are wrong, and those from which none could be read "
        "(unparsable), that go round in circles, ran into the token limit, or are empty. A rise of the latter is a "
        "change of form, not of knowledge.",
    )
    widgets.figure(
        answer_charts.failure_chart,
        frame,
        name="failures",
        alt_text=f"Share of each kind of failure against layers dropped, for {criterion} on {domain}",
        columns={"share": Number(format="percent")},
    )


def render_pairs(pairs: pd.DataFrame, budget: int, domain: str, measured: Iterable[int]) -> None:
    """Paired tests at a budget, or at which of the measured budgets there are some."""
    if pairs.empty:
        budgets = tables.as_ranges(list(measured))
        widgets.note(
            f"No two of these criteria were measured at budget {budget}: choose one of {budgets or 'none yet'}."
        )
        return
    st.caption(
        f"{budget} layers dropped, the same {int(pairs.n.min())} {domain} items: exact McNemar test, p also adjusted "
        f"for the {len(pairs)} pairs (Holm), and the paired bootstrap interval of the difference. A difference smaller "
        "than the last column may go unseen (80 % power, 5 % level)."
    )
    alt_text = f"Paired tests between criteria at {budget} dropped layers"
    widgets.show_table(tables.pairs_as_read(pairs), alt_text, PAIR_COLUMNS, placeholder="–")
    widgets.downloads(pairs, "pairs")


def render_regimes(evidence: pd.DataFrame, found: "RegimeMap | None", budget: int, domain: str) -> None:
    """The regimes of a domain, where each ends, and the evidence of each budget."""
    if found is None or evidence.empty:
        widgets.note("A regime needs several criteria and random plans at one budget: widen the sweep.")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for label, rows in evidence.groupby("label", sort=False):
            widgets.regime_badge(str(label))
            st.caption(f"layers dropped: {tables.as_ranges([int(k) for k in rows.n_drop])}", width="content")
    for b in found.boundaries:
        said = f"between {b.low} and {b.high}" if b.low != b.high else f"at {b.low} in nearly all resamples"
        st.caption(f"**{b.regime} {b.edge}** after {b.after} dropped layers (95 % interval: {said}).")
    st.markdown(found.explain(budget))
    widgets.twin(evidence, name=f"regimes-{domain}", title=f"Evidence at every budget on {domain}")


def render_figures(figures: Sequence[ReferenceScore]) -> None:
    """Scores that somebody published or another harness wrote, without outcomes: never mixed with what is measured."""
    widgets.section(
        "What others state",
        "Figures that are published, or that another harness wrote without outcomes item by item, so that no test can "
        "compare them with runs. Those of this model that say how many layers were dropped are hollow marks above.",
    )
    widgets.twin(tables.figure_table(figures), name="figures", title=f"{len(figures)} published and imported figures")
