"""Similarity: which layers change their input least, for which domain, and how sure that is."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from core.charts import layers as layer_charts
from core.errors import StrataError
from core.progress import Progress
from dashboard import services, state, widgets
from dashboard.charts import drawn

KIND_HELP = {
    "all": "all tokens",
    "image": "image tokens",
    "prompt": "tokens of the question",
    "answer": "tokens of the gold answer",
    "last": "the last token of the prompt, from which the answer starts",
}
SHOWN = 4  # samples at each end
LAYER_COLUMNS = {
    c: st.column_config.NumberColumn(format="%.4f") for c in ("mean", "low", "high", "difference", "score")
}

model_id = widgets.header(
    "Which layers change their input least?",
    "Cosine of what a decoder layer receives and returns. Bright = it changes little = a candidate to drop.",
)


def computing(compute: Callable[[Progress], object]) -> None:
    """Run a calibration with a progress bar and a Stop button; leaving the page stops it too, and nothing is saved."""
    bar = st.progress(0.0, text="Loading the model …")
    st.button("Stop", key="stop_calibration", icon=":material/stop:")

    def show(done: int, total: int, _label: str = "", /) -> None:
        bar.progress(done / total, text=f"{done} of {total} samples")

    with widgets.show_errors():
        compute(show)
        st.session_state["calibration"] = "own"
        st.rerun()


def recompute() -> None:
    """Calibrate live and keep the result as the user's own atlas."""
    with st.popover(
        "Recompute", icon=":material/refresh:", help="Run the model on fresh calibration samples, here and now."
    ):
        if not services.live(model_id):
            st.markdown("The model cannot run here: install `requirements.txt` and restart to recompute.")
            return
        n = st.slider("Samples per domain", 8, 128, 32, 8, key="calibration_n")
        seed = st.number_input("Seed", 0, 10_000, 1, key="calibration_seed")
        if st.button("Recompute the similarities", key="recompute"):
            computing(lambda progress: services.recompute_atlas(model_id, int(n), int(seed), progress=progress))


def add_domain() -> None:
    """The user's own pictures as a further row of every chart."""
    with st.popover("Add a domain", icon=":material/add_photo_alternate:", help="Your own pictures as a further row."):
        if not services.live(model_id):
            st.markdown("The model cannot run here: install `requirements.txt` and restart to add a domain.")
            return
        name = st.text_input("Name", placeholder="receipts", max_chars=24, key="own_name")
        question = st.text_input("Question that every picture is asked", "What is this?", max_chars=200, key="own_ask")
        files = st.file_uploader(
            f"1 to {services.MAX_PICTURES} pictures", ["png", "jpg", "jpeg", "webp"], True, key="own_pictures"
        )
        st.caption("Only similarities are kept, not the pictures. They are compared with the model's other domains.")
        if st.button("Measure them", key="add_domain", disabled=not files):
            pictures = [file.getvalue() for file in files]
            computing(lambda progress: services.add_domain(model_id, name, pictures, question, progress=progress))


def pick_cell() -> None:
    """A click on the heatmap chooses the domain and the layer whose samples are shown."""
    picked = st.session_state["chart_similarity"].selection.get("cell")
    if picked:
        st.session_state["domain"], st.session_state["layer"] = str(picked[0]["domain"]), int(picked[0]["layer"])


def show_samples(title: str, rows: pd.DataFrame) -> None:
    """A row of pictures with question, answer and similarity, each with its way into Compare."""
    st.markdown(f"**{title}**")
    for column, row in zip(st.columns(SHOWN), rows.itertuples(), strict=False):
        with column:
            shown = services.drawn_sample(row.source)
            if shown is None:
                st.caption(f"{row.similarity:.4f} · the picture was not kept")
                continue
            st.image(shown.image, alt=shown.question, width=120)
            st.caption(f"{row.similarity:.4f} · {row.task.replace('_', ' ')}")
            st.text(f"{shown.question} {shown.answer}")
            st.page_link(
                "views/compare/page.py",
                label="Compare",
                icon=":material/compare:",
                query_params=state.link(model_id, sample=shown.sample_id),
            )


sources = services.atlas_sources(model_id)
with st.container(horizontal=True, vertical_alignment="bottom"):
    kind = state.token_kind()
    if len(sources) == 2:
        source = st.segmented_control(
            "Calibration",
            sources,
            default=state.atlas_source(model_id),
            required=True,
            format_func={"recorded": "recorded", "own": "yours"}.__getitem__,
            key="calibration_choice",
        )
        st.session_state["calibration"] = source
    recompute()
    add_domain()

try:
    atlas = services.atlas(model_id, state.atlas_source(model_id))
    if not atlas.domains:
        raise StrataError("the atlas holds no samples: recompute it")
except StrataError:
    widgets.no_atlas(model_id)
    st.stop()
source = state.atlas_source(model_id)

st.subheader("By domain and task", anchor=False)
tasks = st.toggle("Open domains into tasks", key="tasks", bind="query-params")
frame = services.atlas_frame(layer_charts.heatmap_frame, model_id, source, kind, tasks)
if frame.empty:
    st.info(f"No sample has tokens of the kind “{kind}”: choose another kind.", icon=":material/info:")
    st.stop()
st.caption("Click a cell to see which samples are behind it.")
widgets.figure(
    drawn(layer_charts.similarity_heatmap, frame),
    frame.drop(columns="row"),
    name="similarity",
    alt_text=f"Similarity of each decoder layer by domain, {KIND_HELP[kind]}",
    columns=LAYER_COLUMNS,
    on_select=pick_cell,
)
widgets.atlas_provenance(atlas, source)

st.subheader("Which samples are behind a cell", anchor=False)
ranks = services.atlas_frame(layer_charts.rank_frame, model_id, source, kind)
most_redundant = int(ranks.layer[ranks["rank"] == 1].iloc[0])
with st.container(horizontal=True, gap="large"):
    domain = state.domain(atlas.domains)
    layer = state.layer(atlas.n_layers, most_redundant)
said = ", ".join(
    f"{r.label} drops it {'never: protected' if pd.isna(r.rank) else f'as number {r.rank}'}"
    for r in ranks[ranks.layer == layer].itertuples()
)
st.caption(f"Layer {layer}: {said}.")
drivers = layer_charts.driver_frame(atlas, domain, layer, kind)
if drivers.empty:
    st.info(f"No sample of {domain} has tokens of the kind “{kind}”.", icon=":material/info:")
else:
    widgets.figure(
        drawn(layer_charts.driver_chart, drivers),
        drivers,
        name="drivers",
        alt_text=f"Similarity at layer {layer} of each {domain} sample, by task; a diamond marks the task's mean",
        columns={"similarity": st.column_config.NumberColumn(format="%.4f")},
    )
    show_samples("Changed most by this layer", drivers.head(SHOWN))
    show_samples("Changed least", drivers.iloc[::-1].head(SHOWN))

if {"math", "general"} <= set(atlas.domains):
    st.subheader("Where math and general part", anchor=False)
    st.caption(
        "Math similarity minus general similarity. Above 0 the layer changes less on math. Filled and starred: the "
        "95 % interval excludes 0. Hollow: it does not, and the sign may be chance."
    )
    difference = services.atlas_frame(layer_charts.difference_frame, model_id, source, "math", "general", kind)
    widgets.figure(
        drawn(layer_charts.difference_chart, difference, "math", "general"),
        difference,
        name="difference",
        alt_text=f"Math minus general similarity per layer; {int(difference.clear.sum())} layers differ clearly",
        columns=LAYER_COLUMNS,
    )
    clear = [int(i) for i in difference.layer[difference.clear]]
    st.caption(
        f"Clear on {len(clear)} of {atlas.n_layers} layers: {', '.join(map(str, clear)) or 'none'}. "
        f"Each interval is for one layer: of {atlas.n_layers}, about {0.05 * atlas.n_layers:.1f} exclude 0 by chance."
    )

    st.subheader("In which order each criterion drops them", anchor=False)
    st.caption("1 = dropped first. A dash marks protected layers, which no criterion drops.")
    widgets.figure(
        drawn(layer_charts.rank_chart, ranks),
        ranks,
        name="ranks",
        alt_text="Order in which each criterion drops the layers",
        columns=LAYER_COLUMNS,
    )

left, right = st.columns(2, gap="large")
with left:
    st.subheader("Spans", anchor=False)
    st.caption(
        f"Similarity across several layers in a row, on {domain}. The dot marks the most similar span of each length."
    )
    spans = layer_charts.span_frame(atlas, domain, kind)
    widgets.figure(
        drawn(layer_charts.span_map, spans),
        spans,
        name="spans",
        alt_text=f"Similarity of every span of layers on {domain}, by first layer and length",
        columns=LAYER_COLUMNS,
    )
with right:
    st.subheader("Are there enough samples?", anchor=False)
    st.caption(
        "Two disjoint halves of the calibration set rank the layers; the curve says how far they agree. Flat and near "
        "1: enough. The band holds 90 % of 50 random splits."
    )
    agreement = services.atlas_frame(layer_charts.agreement_frame, model_id, source, kind)
    if agreement.empty:
        st.info("Too few samples to split: recompute with at least 8 per domain.", icon=":material/info:")
    else:
        widgets.figure(
            drawn(layer_charts.agreement_chart, agreement),
            agreement,
            name="agreement",
            alt_text="Rank agreement of split halves against the number of samples",
            columns={c: st.column_config.NumberColumn(format="%.3f") for c in ("spearman", "low", "high")},
        )
        widgets.atlas_provenance(atlas, source)

st.page_link("views/prune/page.py", label="Next: see what a budget would remove", icon=":material/arrow_forward:")
