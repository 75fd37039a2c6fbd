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
from math import isinf
from typing import Any

import pandas as pd
import streamlit as st

from core.analysis.plan_tables import Request, nearest_budget
from core.analysis.tables import NONE
from core.charts.style import searched
from core.errors import StrataError
from core.pruning import TOKEN_KINDS, ModelAnatomy, SimilarityAtlas
from core.records.plan import ModelSpec, PruningPlan
from core.records.samples import Sample
from dashboard import services
from dashboard.text import plain

BIND: Any = "query-params"
MAX_PLANS = 4
MAX_UNDO = 50
ALL = "every task"
REQUEST = {  # what is asked when a plan is priced: text, least, most
    "text_tokens": ("Tokens of text", 1, 100_000),
    "image_tokens": ("Tokens of the picture", 0, 100_000),
    "new_tokens": ("Tokens of the answer", 1, 10_000),
    "batch": ("Questions at once", 1, 1024),
}
DEFAULT_CRITERIA = ["math_aware", "non_math_aware", "mixed", "uniform"]


def _check(key: str, allowed: Callable[[str], bool], shown: str) -> None:
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


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _whole(low: int, high: int) -> Callable[[str], bool]:
    return lambda text: text.isdecimal() and len(text) < 10 and low <= int(text) <= high


def model() -> str:
    """The current model: a menu when there are several, else nothing to choose."""
    known = services.models()
    _check("model", known.__contains__, f"{known[0]} is shown.")
    if len(known) == 1:
        return known[0]
    return st.selectbox("Model", known, key="model", bind=BIND, label_visibility="collapsed", width=220)


def budget(spec: ModelSpec, text: str = "Layers to drop") -> int:
    most = services.largest_budget(spec)
    default = max(1, round(spec.n_layers / 4))
    _check("budget", _whole(1, most), f"A budget is a number from 1 to {most}.")
    if most == 1:
        return 1
    return int(st.slider(text, 1, most, default, key="budget", bind=BIND))


UNITS = {  # of the budget beside layers: label, shown as, how many of it make one
    "percent": ("Percent of depth", "%.1f", 1.0),
    "parameters": ("Parameters left, in millions", "%.2f", 1e6),
}


def budget_in(unit: str, steps: pd.DataFrame, budget: int) -> None:
    """The budget in another unit (a column of `plan_tables.budget_steps`), kept in step with the slider."""
    text, shown, size = UNITS[unit]
    key = f"budget_{unit}"
    amounts = steps.set_index("n_drop")[unit] / size
    st.session_state[key] = float(amounts[budget])

    def follow() -> None:
        st.session_state["budget"] = nearest_budget(steps, unit, size * st.session_state[key])

    step = abs(float(amounts.iloc[1] - amounts.iloc[0])) if len(amounts) > 1 else 1.0
    low, high = float(amounts.min()), float(amounts.max())
    st.number_input(text, low, high, step=step, format=shown, key=key, on_change=follow, disabled=len(amounts) == 1)


def criteria(names: Sequence[str], text: str = "Criteria, up to four") -> list[str]:
    _check("criteria", names.__contains__, "The others are shown.")
    with st.container(gap=None):
        chosen = st.pills(text, names, selection_mode="multi", default=DEFAULT_CRITERIA, key="criteria", bind=BIND)
    if len(chosen) > MAX_PLANS:
        st.caption(f"Four plans at most are compared; {chosen[-1]} is left out until you remove another one.")
    return list(chosen)[:MAX_PLANS]


def request(anatomy: ModelAnatomy) -> Request:
    """The question whose cost is counted; the defaults are a short one about one picture."""
    usual = Request(image_tokens=anatomy.tokens_per_image or Request.image_tokens)
    chosen = {}
    for key, (text, low, high) in REQUEST.items():
        _check(key, _whole(low, high), f"It is a number from {low} to {high}.")
        endless = any(isinf(_number(v)) for v in st.query_params.get_all(key))  # Streamlit would make an int of it
        chosen[key] = int(
            st.number_input(text, low, high, getattr(usual, key), key=key, bind=None if endless else BIND)
        )
    return Request(**chosen)


def curves(options: Sequence[str], text: str = "Criteria") -> list[str]:
    """The criteria that Benchmarks draws; by default the same as Prune compares."""
    _check("curves", list(options).__contains__, "The others are shown.")
    default = [c for c in options if c in DEFAULT_CRITERIA or searched(c)] or list(options)[:MAX_PLANS]
    return list(
        st.pills(text, options, selection_mode="multi", default=default, format_func=plain, key="curves", bind=BIND)
    )


def pick_point(chart: str) -> None:
    """A click on a mark of a score chart chooses the plan and the budget whose items are shown."""
    picked = st.session_state[chart].selection.get("point")
    if picked:
        st.session_state["plan"] = str(picked[0]["criterion"])
        st.session_state["budget"] = int(picked[0]["n_drop"])


def picked_plan(options: Sequence[str]) -> str:
    """The criterion whose flipped items are shown; the first curve unless a mark was clicked or a link says so."""
    _check("plan", list(options).__contains__, f"{options[0]} is shown.")
    return str(st.selectbox("Plan", list(options), key="plan", bind=BIND, width=240))


def plan_link(model_id: str, plan: PruningPlan) -> dict[str, str | list[str]]:
    """Query parameters that make a plan Compare's pane A: its criterion, or its layers if that would choose others."""
    try:
        rebuilt = services.plan(services.atlas(model_id, atlas_source(model_id)), plan.criterion, plan.n_drop)
    except StrataError:
        rebuilt = None
    if rebuilt and rebuilt.plan_id == plan.plan_id:
        return {"a": plan.criterion}
    return {"a": "manual", "manual": [str(i) for i in plan.dropped]}


def choice(key: str, text: str, options: Sequence[str]) -> str:
    """One of a few options, all visible, bound to the URL under `key`; the first is the default."""
    _check(key, list(options).__contains__, f"{options[0]} is shown.")
    if len(options) == 1:
        return options[0]
    picked = st.segmented_control(text, list(options), default=options[0], required=True, key=key, bind=BIND, wrap=True)
    return str(picked or options[0])


def token_kind() -> str:
    return choice("kind", "Tokens", TOKEN_KINDS)


def layer(n_layers: int, default: int) -> int:
    """The layer whose samples are shown; a click on the heatmap sets it as well."""
    _check("layer", _whole(0, n_layers - 1), f"Layer {default} is shown.")
    return int(st.slider("Layer", 0, n_layers - 1, default, key="layer", bind=BIND))


def taken(names: Sequence[str]) -> str:
    """The plan to take along. What it names may have been dropped from the page since, so no notice is due."""
    if st.session_state.get("take") not in names:
        st.session_state.pop("take", None)
    return str(st.segmented_control("Plan", names, default=names[0], required=True, key="take", bind=BIND) or names[0])


def domain(options: Sequence[str], text: str = "Domain") -> str:
    return choice("domain", text, options)


def task(options: Sequence[str]) -> str:
    """One of a domain's tasks."""
    _check("task", list(options).__contains__, f"{options[0]} is shown.")
    return str(st.selectbox("Task", list(options), key="task", bind=BIND, width=260))


def data_set(model_id: str, domain: str) -> str | None:
    """Which items the scores are of: None for the domain's benchmarks, each weighing the same, else one item set."""
    view = services.view(model_id)
    found = view.data_sets(domain)
    if len(found) < 2:
        return None
    chosen = choice("data", "Measured on", [" + ".join(view.benchmarks(domain)), *(d.label for d in found)])
    return next((d.data_hash for d in found if d.label == chosen), None)


def atlas_source(model_id: str) -> str:
    """Which calibration the plans rest on: recorded, or the user's own. Kept for the session, not in the URL."""
    sources = services.atlas_sources(model_id)
    chosen = st.session_state.get("calibration", "own")
    return chosen if chosen in sources or not sources else sources[0]


# ------------------------------------------------------------------------------------------------ links


def link(model_id: str, budget: int | str | None = None, **more: str | list[str]) -> dict[str, str | list[str]]:
    """Query parameters of a deep link; leaves out what is the default anyway."""
    query: dict[str, str | list[str]] = {} if model_id == services.DEFAULT_MODEL else {"model": model_id}
    if budget is not None:
        query["budget"] = str(budget)
    return {**query, **{k: v for k, v in more.items() if v}}


# ------------------------------------------------------------------------------------------------ Compare


def set_sample(sample_id: str) -> None:
    st.session_state["sample_id"] = sample_id
    st.query_params["sample"] = sample_id


def sample(model_id: str, gallery: Sequence[Sample]) -> Sample:
    """The sample that the link or the last click names; the first of the gallery if that one is not known here.

    Not a widget, so the address is kept by hand: `sample` holds an id, and the gallery's buttons set it.
    """
    wanted = st.query_params.get("sample") or st.session_state.get("sample_id")
    if wanted is None:
        return gallery[0]
    try:
        found = services.sample(model_id, wanted)
    except StrataError as error:
        st.warning(f"{plain(error)}. The first one is shown.", icon=":material/link_off:")
        return gallery[0]
    st.session_state["sample_id"] = wanted
    if st.query_params.get("sample") != wanted:
        st.query_params["sample"] = wanted
    return found


def shown_task(model_id: str) -> str | None:
    """The task that the gallery shows; None for one sample of each."""
    tasks = services.gallery_tasks(model_id)
    _check("show", [ALL, *tasks].__contains__, "Every task is shown.")
    picked = st.selectbox(
        "Samples of",
        [ALL, *tasks],
        format_func=lambda t: t.replace("_", " "),
        key="show",
        bind=BIND,
        width=190,
        label_visibility="collapsed",
    )
    return None if picked == ALL else str(picked)


def pane_criteria(criteria: Sequence[str]) -> tuple[str, str]:
    """What the two panes beside the full model drop: criteria, "manual", or none."""
    names = [*criteria, "manual"]
    _check("a", names.__contains__, f"{names[0]} is shown.")
    _check("b", [NONE, *names].__contains__, "One plan is shown.")
    a = st.selectbox("Plan A", names, key="a", bind=BIND, width=190)
    b = st.selectbox("Plan B", [NONE, *names], key="b", bind=BIND, width=190)
    return str(a), str(b)


def pane_plan(model: ModelSpec, atlas: SimilarityAtlas, name: str, budget: int) -> PruningPlan:
    """The plan of a pane; a hand-made one drops the layers that `manual` names."""
    if name != "manual":
        return services.plan(atlas, name, budget)
    layers = st.session_state.get("manual") or []
    if not layers:
        raise StrataError("the plan by hand drops no layer yet: pick its layers, or click a strip on the Prune page")
    return PruningPlan(model.model_id, model.n_layers, tuple(int(i) for i in layers), "manual")


def manual_layers(model: ModelSpec) -> list[int]:
    """The layers of the hand-made plan, shared by Prune and Compare; each change can be undone."""
    free = [i for i in range(model.n_layers) if i not in services.protected(model)]
    _check("manual", set(map(str, free)).__contains__, "Only unprotected layers can be dropped.")
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
