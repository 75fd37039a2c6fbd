"""What the URL says. Each key is a widget's key and a query parameter, so the names are public: links rely on them.

    model      which model                         every page
    budget     layers to drop                      Prune, Compare, Benchmarks
    criteria   criteria side by side (up to 4)     Prune
    manual     layers dropped by hand              Prune
    kind       token kind                          Similarity
    domain     domain                              Similarity, Prune, Benchmarks
    curves     criteria drawn                      Benchmarks
    measure    score | retention                   Benchmarks
    data       item set, where there are several   Benchmarks
    by, task   domain | task, and which task       Benchmarks
    interval   bands | bars | none                 Benchmarks
    tasks      open domains into tasks             Similarity
    sample     sample id                           Compare
    a, b       what the two panes drop             Compare

A value that makes no sense is ignored with a one-line notice. Values stay when the page changes. A link from one page
to another carries a key that both pages have only with its present value: Streamlit hands such a key over by itself.
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from core.data.samples import Sample
from core.errors import StrataError
from core.pruning import TOKEN_KINDS, ModelSpec, PruningPlan, SimilarityAtlas, list_criteria
from dashboard import services
from dashboard.results import NONE

BIND: Any = "query-params"
MAX_PLANS = 4
DEFAULT_CRITERIA = ["math_aware", "non_math_aware", "mixed", "uniform"]


def _check(key: str, allowed: Callable[[str], bool], shown: str) -> None:
    """Say in one line which query parameter is ignored, and repair what a page may have left in the session."""
    bad = [v for v in st.query_params.get_all(key) if not allowed(v)]
    if bad:
        given = ", ".join(v[:40] for v in bad)
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

    def possible(value: str) -> bool:
        return value.isdecimal() and 1 <= int(value) <= most

    _check("budget", possible, f"A budget is a number from 1 to {most}.")
    if most == 1:
        return 1
    return int(st.slider(text, 1, most, default, key="budget", bind=BIND))


def criteria(text: str = "Criteria, up to four") -> list[str]:
    names = [c.name for c in list_criteria()]
    _check("criteria", names.__contains__, "The others are shown.")
    with st.container(gap=None):
        chosen = st.pills(text, names, selection_mode="multi", default=DEFAULT_CRITERIA, key="criteria", bind=BIND)
    if len(chosen) > MAX_PLANS:
        st.caption(f"Four plans at most are compared; {chosen[-1]} is left out until you remove another one.")
    return list(chosen)[:MAX_PLANS]


def curves(options: Sequence[str], text: str = "Criteria") -> list[str]:
    """The criteria that Benchmarks draws; by default the same as Prune compares."""
    _check("curves", list(options).__contains__, "The others are shown.")
    default = [c for c in DEFAULT_CRITERIA if c in options] or list(options)[:MAX_PLANS]
    return list(st.pills(text, options, selection_mode="multi", default=default, key="curves", bind=BIND))


def choice(key: str, text: str, options: Sequence[str]) -> str:
    """One of a few options, all visible, bound to the URL under `key`; the first is the default."""
    _check(key, list(options).__contains__, f"{options[0]} is shown.")
    if len(options) == 1:
        return options[0]
    picked = st.segmented_control(text, list(options), default=options[0], required=True, key=key, bind=BIND)
    return str(picked or options[0])


def token_kind() -> str:
    return choice("kind", "Tokens", TOKEN_KINDS)


def domain(options: Sequence[str], text: str = "Domain") -> str:
    return choice("domain", text, options)


def task(options: Sequence[str]) -> str:
    """One of a domain's tasks."""
    _check("task", list(options).__contains__, f"{options[0]} is shown.")
    return str(st.selectbox("Task", list(options), key="task", bind=BIND, width=260))


def data_set(model_id: str, domain: str) -> str | None:
    """Which items the scores are of, where a domain was measured on several sets; the largest is the default."""
    found = services.data_sets(model_id, domain)
    if len(found) < 2:
        return None
    chosen = choice("data", "Measured on", [d.label for d in found])
    return next(d.data_hash for d in found if d.label == chosen)


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
        st.warning(f"{error}. The first one is shown.", icon=":material/link_off:")
        return gallery[0]
    st.session_state["sample_id"] = wanted
    if st.query_params.get("sample") != wanted:
        st.query_params["sample"] = wanted
    return found


def pane_criteria() -> tuple[str, str]:
    """What the two panes beside the full model drop: criteria, "manual", or none."""
    names = [*(c.name for c in list_criteria()), "manual"]
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
    """The layers of the hand-made plan, shared by Prune and Compare."""
    free = [i for i in range(model.n_layers) if i not in services.protected(model)]
    _check("manual", lambda v: v.isdecimal() and int(v) in free, "Only unprotected layers can be dropped.")
    return list(
        st.multiselect(
            "Layers dropped by hand",
            free,
            key="manual",
            bind=BIND,
            placeholder="Pick layers, or click a cell of a strip",
            help="The plan by hand appears beside the others, with its cost and the nearest measured score.",
        )
    )
