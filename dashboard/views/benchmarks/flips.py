"""The items that a plan answers differently from the full model: how many of each task, and each with its picture."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.analysis import tables
from core.charts import answers as answer_charts
from core.records.plan import PruningPlan
from dashboard import services, state, widgets
from dashboard.text import plain

CARDS = 8  # flipped items on one page


def render_flips(
    model_id: str, plan: PruningPlan, criterion: str, flips: pd.DataFrame, table: pd.DataFrame, key: str
) -> None:
    """How many items flipped, by task as a chart, and the items as cards; each opens in Compare.

    Args:
        criterion: under which the plan was measured.
        flips: as of `services.flips`, one item at least.
        table: the score table by task, for the number of items of each.
        key: names what is shown, so that its pages are counted anew.
    """
    counts = flips.change.value_counts()
    st.caption(
        f"{plain(criterion)} at budget {plan.n_drop} drops layers {tables.as_ranges(plan.dropped)}. Of the items it "
        f"answers differently from the full model, {counts.get('lost', 0)} went from right to wrong and "
        f"{counts.get('gained', 0)} from wrong to right."
        + (" First come those whose gold answer changed most in likelihood." if flips.plan_nll.notna().any() else "")
    )
    left, right = st.columns([1, 2], gap="large")
    with left:
        tasks = tables.flips_by_task(flips, table)
        widgets.figure(
            answer_charts.flip_chart,
            tasks,
            name="flips-by-task",
            alt_text=f"Share of each task's items that {criterion} loses or gains at budget {plan.n_drop}",
        )
    with right:
        change = state.choice("change", "Show", [c for c in ("all", "lost", "gained") if c == "all" or c in counts])
        listed = flips if change == "all" else flips[flips.change == change]
        pages = -(-len(listed) // CARDS)
        link = state.plan_link(model_id, plan)
        cards = st.grid(4, min_column_width=140, gap="small")
        page = st.pagination(pages, key=f"page_{key}_{change}") if pages > 1 else 1
        for item in listed.iloc[(page - 1) * CARDS : page * CARDS].to_dict("records"):
            with cards.cell(), st.container(border=True, gap="xsmall", height="stretch"):
                item_id = str(item["item_id"])
                _render_item(model_id, item)
                widgets.compare_link(state.link(model_id, plan.n_drop, sample=item_id, **link))
    widgets.twin(listed, name="flipped", title=f"All {len(listed)} items as a table")


def _render_item(model_id: str, item: Mapping[Any, Any]) -> None:
    picture = services.samples.item_picture(model_id, str(item["item_id"]))
    if picture is not None:
        st.image(picture, width="stretch", alt=f"The picture of the question: {item['question']}")
    lost = item["change"] == "lost"
    st.badge("right → wrong" if lost else "wrong → right", color="red" if lost else "green")
    st.text(item["question"])
    st.text(f"Gold: {item['gold']}")
    known = pd.notna(item["plan_nll"])
    losses = f" · NLL {item['full_nll']:.2f} → {item['plan_nll']:.2f}" if known else ""
    st.caption(f"{plain(item['task'])}{losses}")
