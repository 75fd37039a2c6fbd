"""What the URL says. Each key is a widget's key and a query parameter, so the names are public: links rely on them.

    model      which model                         every page
    budget     layers to drop                      Prune, Compare, Benchmarks
    criteria   criteria side by side (up to 4)     Prune
    manual     layers dropped by hand              Prune, Compare
    quantity   which cost is drawn                 Prune
    text_tokens, image_tokens, new_tokens, batch   Prune: the question whose cost is counted
    take       the plan to take along              Prune
    kind       token kind                          Similarity
    domain     domain                              Similarity, Prune, Benchmarks
    curves     criteria drawn                      Benchmarks
    measure    score | retention                   Benchmarks
    data       item set, where there are several   Benchmarks
    by, task   domain | task, and which task       Benchmarks
    interval   bands | bars | none                 Benchmarks
    plan       whose flipped items are shown       Benchmarks
    change     all | lost | gained                 Benchmarks
    cost       what a score is weighed against     Benchmarks
    tasks      open domains into tasks             Similarity
    layer      whose samples are shown             Similarity
    show       samples of which task               Compare
    sample     sample id                           Compare
    a, b       what the two panes drop             Compare
    blind      hide which pane is which            Compare

A value that makes no sense is ignored with a one-line notice. Values stay when the page changes. A link from one page
to another carries a key that both pages have only with its present value: Streamlit hands such a key over by itself.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import streamlit as st

from core.errors import StrataError
from core.records.plan import ModelSpec, PruningPlan
from dashboard import services
from dashboard.text import plain

BIND: Any = "query-params"
MAX_PLANS = 4
MAX_UNDO = 50
DEFAULT_CRITERIA = ["math_aware", "non_math_aware", "mixed", "uniform"]


def check(key: str, allowed: Callable[[str], bool], shown: str) -> None:
    """Say in one line which query parameter is ignored, and repair what a page may have left in the session."""
    bad = [v for v in st.query_params.get_all(key) if not allowed(v)]
    if bad:
        given = ", ".join(plain(v, 40) for v in bad[:5])
        st.warning(f"The link asks for {key} = {given}, which does not exist here. {shown}", icon=":material/link_off:")
    held = st.session_state.get(key)
    if held is None:
        return
    if isinstance(held, list):
        kept = [v for v in held if allowed(str(v))]
        if kept != held:
            st.session_state[key] = kept
    elif not allowed(str(held)):
        del st.session_state[key]


def whole(low: int, high: int) -> Callable[[str], bool]:
    return lambda text: text.isdecimal() and len(text) < 10 and low <= int(text) <= high


def model() -> str:
    """The current model: a menu when there are several, else nothing to choose."""
    known = services.models.known()
    if len(known) == 1:
        check("model", known.__contains__, f"{known[0]} is shown.")
        return known[0]
    return menu("model", "Model", known, 220, label_visibility="collapsed")


def budget(spec: ModelSpec) -> int:
    most = services.models.largest_budget(spec)
    default = max(1, round(spec.n_layers / 4))
    check("budget", whole(1, most), f"A budget is a number from 1 to {most}.")
    if most == 1:
        return 1
    return int(st.slider("Layers to drop", 1, most, default, key="budget", bind=BIND))


def menu(key: str, text: str, options: Sequence[str], width: int, notice: str = "", **more: Any) -> str:
    """One of many options, bound to the URL under `key`; the first is the default."""
    check(key, list(options).__contains__, notice or f"{options[0]} is shown.")
    return str(st.selectbox(text, list(options), key=key, bind=BIND, width=width, **more))


def choice(key: str, text: str, options: Sequence[str]) -> str:
    """One of a few options, all visible, bound to the URL under `key`; the first is the default."""
    check(key, list(options).__contains__, f"{options[0]} is shown.")
    return switch(key, text, options, bind=BIND, wrap=True) if len(options) > 1 else options[0]


def switch(key: str, text: str, options: Sequence[str], default: str = "", **more: Any) -> str:
    """One of a few options, all visible; the first is the default unless another one is named."""
    default = default or options[0]
    picked = st.segmented_control(text, list(options), default=default, required=True, key=key, **more)
    return str(picked or default)


def domain(options: Sequence[str]) -> str:
    return choice("domain", "Domain", options)


def atlas_source(model_id: str) -> str:
    """Which calibration the plans rest on: recorded, or the user's own. Kept for the session, not in the URL."""
    sources = services.similarities.sources(model_id)
    chosen = st.session_state.get("calibration", "own")
    return chosen if chosen in sources or not sources else sources[0]


# ------------------------------------------------------------------------------------------------ plan by hand


def manual_layers(model: ModelSpec) -> list[int]:
    """The layers of the hand-made plan, shared by Prune and Compare; each change can be undone."""
    free = [i for i in range(model.n_layers) if i not in services.models.protected(model)]
    check("manual", set(map(str, free)).__contains__, "Only unprotected layers can be dropped.")
    layers = list(
        st.pills("Layers dropped by hand", free, selection_mode="multi", key="manual", bind=BIND, width="stretch")
    )
    history = st.session_state.setdefault("manual_history", [[]])
    if sorted(layers) != history[-1]:
        history.append(sorted(layers))
        del history[:-MAX_UNDO]
    return sorted(layers)


def undo_buttons(layers: Sequence[int]) -> None:
    """Back by one edit of the hand-made plan, of however it was made, or to none at all."""
    steps = len(st.session_state["manual_history"]) - 1
    st.button("Undo", key="undo", icon=":material/undo:", on_click=_undo, disabled=not steps)
    st.button("Reset", key="reset", icon=":material/restart_alt:", on_click=edit_manual, disabled=not layers)


def edit_manual(layers: Iterable[int] = ()) -> None:
    """In a callback: make these the layers of the hand-made plan."""
    st.session_state["manual"] = sorted(layers)


def _undo() -> None:
    history = st.session_state["manual_history"]
    history.pop()
    edit_manual(history[-1])


# ------------------------------------------------------------------------------------------------ links


def link(model_id: str, budget: int | str | None = None, **more: str | list[str]) -> dict[str, str | list[str]]:
    """Query parameters of a deep link; leaves out what is the default anyway."""
    query: dict[str, str | list[str]] = {} if model_id == services.models.DEFAULT_MODEL else {"model": model_id}
    if budget is not None:
        query["budget"] = str(budget)
    return {**query, **{k: v for k, v in more.items() if v}}


def plan_link(model_id: str, plan: PruningPlan) -> dict[str, str | list[str]]:
    """Query parameters that make a plan Compare's pane A: its criterion, or its layers if that would choose others."""
    try:
        rebuilt = services.plans.plan(
            services.similarities.atlas(model_id, atlas_source(model_id)), plan.criterion, plan.n_drop
        )
    except StrataError:
        rebuilt = None
    if rebuilt and rebuilt.plan_id == plan.plan_id:
        return {"a": plan.criterion}
    return {"a": "manual", "manual": [str(i) for i in plan.dropped]}
