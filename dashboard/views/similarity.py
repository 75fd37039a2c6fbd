"""Similarity: which layers change their input least, for which domain, and how sure that is."""

import pandas as pd
import streamlit as st

from core.errors import StrataError
from dashboard import figures, services, state, widgets

KIND_HELP = {
    "all": "all tokens",
    "image": "image tokens",
    "prompt": "tokens of the question",
    "answer": "tokens of the gold answer",
    "last": "the last token of the prompt, from which the answer starts",
}
LAYER_COLUMNS = {
    c: st.column_config.NumberColumn(format="%.4f") for c in ("mean", "low", "high", "difference", "score")
}

model_id = widgets.header(
    "Which layers change their input least?",
    "Cosine of what a decoder layer receives and returns. Bright = it changes little = a candidate to drop.",
)


def recompute() -> None:
    """Calibrate live, with a progress bar, and keep the result as the user's own atlas."""
    with st.popover(
        "Recompute", icon=":material/refresh:", help="Run the model on fresh calibration samples, here and now."
    ):
        if not services.live(model_id):
            st.markdown("The model cannot run here: install `requirements.txt` and restart to recompute.")
            return
        n = st.slider("Samples per domain", 8, 128, 32, 8, key="calibration_n")
        seed = st.number_input("Seed", 0, 10_000, 1, key="calibration_seed")
        if st.button("Recompute the similarities", key="recompute", type="primary"):
            bar = st.progress(0.0, text="Loading the model …")
            with widgets.show_errors():
                services.recompute_atlas(
                    model_id,
                    int(n),
                    int(seed),
                    progress=lambda done, total: bar.progress(done / total, text=f"{done} of {total} samples"),
                )
                st.session_state["calibration"] = "own"
                st.rerun()


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
frame = figures.heatmap_frame(atlas, kind, tasks)
if frame.empty:
    st.info(f"No sample has tokens of the kind “{kind}”: choose another kind.", icon=":material/info:")
    st.stop()
event = widgets.figure(
    figures.similarity_heatmap(frame),
    frame.drop(columns="row"),
    name="similarity",
    alt_text=f"Similarity of each decoder layer by domain, {KIND_HELP[kind]}",
    columns=LAYER_COLUMNS,
    on_select="rerun",
)
widgets.atlas_provenance(atlas, source)

picked = event.selection.get("cell") if event else None
if picked:
    layer = int(picked[0]["layer"])
    ranks = figures.rank_frame(atlas, kind)
    said = ", ".join(
        f"{r.label} drops it {'never: protected' if pd.isna(r.rank) else f'as number {r.rank}'}"
        for r in ranks[ranks.layer == layer].itertuples()
    )
    st.info(f"Layer {layer}: {said}.", icon=":material/ads_click:")

if {"math", "general"} <= set(atlas.domains):
    st.subheader("Where math and general part", anchor=False)
    st.caption(
        "Math similarity minus general similarity. Above 0 the layer changes less on math. Filled and starred: the "
        "95 % interval excludes 0. Hollow: it does not, and the sign may be chance."
    )
    difference = figures.difference_frame(atlas, "math", "general", kind)
    widgets.figure(
        figures.difference_chart(difference, "math", "general"),
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
    ranks = figures.rank_frame(atlas, kind)
    widgets.figure(
        figures.rank_chart(ranks),
        ranks,
        name="ranks",
        alt_text="Order in which each criterion drops the layers",
        columns=LAYER_COLUMNS,
    )

left, right = st.columns(2, gap="large")
with left:
    st.subheader("Spans", anchor=False)
    domain = state.domain(atlas.domains)
    st.caption("Similarity across several layers in a row. The dot marks the most similar span of each length.")
    spans = figures.span_frame(atlas, domain, kind)
    widgets.figure(
        figures.span_map(spans),
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
    agreement = figures.agreement_frame(atlas, kind)
    if agreement.empty:
        st.info("Too few samples to split: recompute with at least 8 per domain.", icon=":material/info:")
    else:
        widgets.figure(
            figures.agreement_chart(agreement),
            agreement,
            name="agreement",
            alt_text="Rank agreement of split halves against the number of samples",
            columns={c: st.column_config.NumberColumn(format="%.3f") for c in ("spearman", "low", "high")},
        )
        widgets.atlas_provenance(atlas, source)

st.page_link("views/prune.py", label="Next: see what a budget would remove", icon=":material/arrow_forward:")
