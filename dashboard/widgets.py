"""Pieces that several pages draw: the page header, provenance lines, a chart with its table twin, error lines."""

import base64
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.analysis import tables
from core.analysis.plan_tables import coinciding
from core.charts import scores as score_charts
from core.charts import style
from core.errors import StrataError
from core.library.run_view import RunView
from core.pruning import SimilarityAtlas
from core.records.plan import ModelSpec, PruningPlan
from dashboard import services, state
from dashboard.charts import drawn
from dashboard.text import plain


@contextmanager
def show_errors() -> Iterator[None]:
    """Turns a StrataError, and only that, into one line on the page; everything else stays loud."""
    try:
        yield
    except StrataError as error:
        st.error(plain(error), icon=":material/error:")


def header(question: str, sentence: str) -> str:
    """The page's question, the model badge and one sentence that says how to read the page; returns the model id."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", gap="small"):
        st.title(question, anchor=False, width="content")
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", width="content"):
            model_id = state.model()
            _badges(model_id)
    st.caption(sentence)
    return model_id


def section(title: str, sentence: str = "") -> None:
    st.subheader(title, anchor=False)
    if sentence:
        st.caption(sentence)


def note(text: str) -> None:
    """Why something is not here, and what to do about it."""
    st.info(text, icon=":material/info:")


def _badges(model_id: str) -> None:
    if problem := services.scores.sources().problem:
        st.badge("your runs cannot be read", icon=":material/warning:", color="orange", help=plain(problem))
    try:
        model = services.models.spec(model_id)
    except StrataError:
        st.badge(f"{plain(model_id)} · unknown here", icon=":material/help:", color="gray")
        return
    st.badge(f"{plain(model_id)} · {model.n_layers} layers", icon=":material/layers:", color="blue")
    if services.models.live(model_id):
        here = f"live on {services.models.device()}"
        st.badge(here, icon=":material/bolt:", color="green", help="This machine can run the model.")
    else:
        why = "No model runs here: figures and answers come from recorded runs, with their device and date."
        st.badge("recorded only", icon=":material/history:", color="gray", help=why)


def provenance(*parts: str) -> None:
    """One small line under a chart or a number that says where it comes from."""
    st.caption(":material/fingerprint: " + " · ".join(plain(p) for p in parts if p))


def atlas_provenance(atlas: SimilarityAtlas, source: str) -> None:
    counts = ", ".join(f"{d} {len(atlas.rows(d))}" for d in atlas.domains)
    provenance(
        f"{atlas.model_id} @ {atlas.revision[:10] or 'unknown'}",
        f"calibration {atlas.data_hash[:8]}",
        f"n = {counts}",
        atlas.device,
        atlas.created[:10],
        "computed here" if source == "own" else "recorded",
    )


def runs_provenance(view: RunView, model: ModelSpec, n: int | None = None, domain: str | None = None) -> None:
    """Where the scores of a domain, or of all, come from, said once for all the runs of a chart."""
    records = view.records if domain is None else view.of_domain(domain)
    if not records:
        return
    devices = " / ".join(sorted({r.device for r in records if r.device}))
    dates = sorted({r.created[:10] for r in records if r.created})
    hashes = ", ".join(sorted({f"{r.benchmark} {r.data_hash[:8]}" for r in records})[:4])
    provenance(
        ", ".join(filter(None, (f"{model.model_id} @ {model.revision[:10] or 'unknown'}", model.dtype))),
        hashes,
        f"n = {n} items" if n else "",
        ", ".join(sorted({r.metric.replace("_", " ") for r in records})),
        f"{len(records)} runs",
        devices,
        dates[0] if len(set(dates)) == 1 else f"{dates[0]} to {dates[-1]}" if dates else "",
        view.origin,
    )


def figure(
    build: Callable[..., style.Drawn],
    *shown: Any,
    name: str,
    alt_text: str,
    table: pd.DataFrame | None = None,
    columns: Mapping[str, Any] | None = None,
    on_select: Any = "ignore",
    selects: str | None = None,
    key: str | None = None,
    below: DeltaGenerator | None = None,
    **options: Any,
) -> None:
    """The chart `build(*shown, **options)` and, folded below it or in `below`, its numbers with CSV and JSON downloads.

    Args:
        table: the numbers; by default the first thing shown.
        on_select: as of `st.vega_lite_chart`.
        selects: the one selection that counts, if the chart has others (a hover must not run the page).
    """
    st.vega_lite_chart(
        drawn(build, *shown, **options),
        key=key or f"chart_{name}",
        on_select=on_select,
        selection_mode=selects,
        alt=" ".join(alt_text.split()),
    )
    with below or nullcontext():
        twin(shown[0] if table is None else table, name=name, columns=columns)


def twin(
    table: pd.DataFrame, *, name: str, columns: Mapping[str, Any] | None = None, title: str = "Table and download"
) -> None:
    with st.expander(title, icon=":material/table:", key=f"twin_{name}", on_change="rerun") as folded:
        if not folded.open:
            return
        show_table(table, f"The numbers behind the chart {name}", columns)
        downloads(table, name)


def show_table(table: pd.DataFrame, alt_text: str, columns: Mapping[str, Any] | None = None, **more: Any) -> None:
    st.dataframe(table, hide_index=True, column_config=dict(columns or {}), alt=alt_text, **more)


def downloads(table: pd.DataFrame, name: str) -> DeltaGenerator:
    """A table's CSV and JSON buttons in one row, which further buttons may join."""
    row = st.container(horizontal=True)
    with row:
        download("CSV", table.to_csv(index=False), f"strata-{name}.csv", f"csv_{name}", "text/csv")
        download("JSON", table.to_json(orient="records", indent=1), f"strata-{name}.json", f"json_{name}")
    return row


def download(
    text: str,
    data: str | bytes | Callable[[], str | bytes],
    file: str,
    key: str,
    mime: str = "application/json",
    icon: str = ":material/download:",
) -> None:
    """A button that saves a file and does not run the page again; a function is called once the button is pressed."""
    st.download_button(text, data, file, mime, key=key, icon=icon, on_click="ignore")


def counting(bar: DeltaGenerator, unit: str) -> Callable[[int, int], None]:
    """The progress of some work as a bar: "3 of 12 samples"."""

    def show(done: int, total: int) -> None:
        bar.progress(done / total, text=f"{done} of {total} {unit}")

    return show


def same_layers(plans: Sequence[PruningPlan]) -> None:
    """Which of the plans are one and the same."""
    for names in coinciding(plans):
        st.badge(f"{plain(names)}: the same layers, so one plan", icon=":material/join:", color="blue")


def compare_link(query: Mapping[str, str | list[str]], label: str = "Compare") -> None:
    st.page_link("views/compare/page.py", label=label, icon=":material/compare:", query_params=dict(query))


def megabytes(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000 or unit == "GB":
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    raise AssertionError("unreachable")


def command(line: str) -> None:
    """A command to copy. Without highlighting, whose colours no theme can change and which are too faint on white."""
    st.code(line, language=None, wrap_lines=True)


def no_atlas(model_id: str) -> None:
    """The empty state of everything that rests on similarities."""
    with st.container(border=True):
        st.markdown("**No similarities of this model yet.** They take one pass over a few dozen calibration samples.")
        if services.models.live(model_id):
            st.page_link(
                "views/similarity/page.py", label="Recompute them on the Similarity page", icon=":material/grid_on:"
            )
        command(f"python -m core calibrate --model {shlex.quote(model_id)}")


def no_runs(model_id: str) -> None:
    """The empty state of everything that rests on measured runs."""
    with st.container(border=True):
        st.markdown("**No runs of this model yet.** A sweep measures plans item by item; a small one takes minutes.")
        st.page_link("views/runs/page.py", label="Start a sweep or import runs", icon=":material/database:")
        command(f"python -m core sweep --model {shlex.quote(model_id)} --budgets 1-8")


# ------------------------------------------------------------------------------------------------ scores and regimes

SHARES = {c: st.column_config.NumberColumn(format="%.3f") for c in ("value", "low", "high", "score", "retention")}
REGIMES: dict[str, tuple[str, Any]] = {
    "ranking-sensitive": ("it matters which layers go", "blue"),
    "converged": ("methods cannot be told apart", "gray"),
    "structure-dominated": ("spacing and runs decide", "red"),
    "undetermined": ("the runs cannot say", "yellow"),
}


def regime_badge(label: str) -> None:
    meaning, color = REGIMES.get(label, ("", "gray"))
    st.badge(label, color=color, help=meaning)


def regime_story(labels: Mapping[int, str]) -> str:
    """The regimes of a domain in one line, without the budgets that could not be decided."""
    budgets: dict[str, list[int]] = {}
    for n_drop, regime in labels.items():
        budgets.setdefault(regime, []).append(n_drop)
    told = [f"{regime} at {tables.as_ranges(ks)}" for regime, ks in budgets.items() if regime != "undetermined"]
    return "; ".join(told) or "no regime could be decided yet"


def regime_legend(note: str) -> None:
    """How to read the row of letters under a score chart, then a note on the curves."""
    initials = score_charts.REGIME_INITIALS
    letters = " · ".join(f"**{initials[name]}** {name} ({meaning})" for name, (meaning, _) in REGIMES.items())
    st.caption(f"Row under the curves, the regime at each budget: {letters}. {note}")


def criteria_legend(names: Sequence[str]) -> None:
    """The key of a score chart, wrapping with the page: line and mark of each criterion, then the random plans."""
    keys = [(c, tables.label(c)) for c in names] + [("random", "random plans, median")]
    with st.container(horizontal=True, gap="small"):  # an element each: a line never breaks behind a picture
        for criterion, text in keys:
            svg = base64.b64encode(style.legend_key(criterion).encode()).decode()
            unbroken = plain(text).replace(" ", "\u00a0")
            st.markdown(f":small[![{plain(text)}](data:image/svg+xml;base64,{svg})\u00a0{unbroken}]", width="content")
