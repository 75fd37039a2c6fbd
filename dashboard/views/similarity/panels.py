"""What Similarity draws: the heatmap, the samples of a cell, the two domains' difference, ranks, spans, agreement."""

import pandas as pd
import streamlit as st

from core.charts import layers as layer_charts
from core.pruning import SimilarityAtlas
from dashboard import services, state, widgets
from dashboard.views.similarity.controls import pick_cell

KINDS = {
    "all": "all tokens",
    "image": "image tokens",
    "prompt": "tokens of the question",
    "answer": "tokens of the gold answer",
    "last": "the last token of the prompt, from which the answer starts",
}
SHOWN = 4  # samples at each end
COLUMNS = {c: st.column_config.NumberColumn(format="%.4f") for c in ("mean", "low", "high", "difference", "score")}


def render_heatmap(frame: pd.DataFrame, kind: str) -> None:
    st.caption("Click a cell to see which samples are behind it.")
    widgets.figure(
        layer_charts.similarity_heatmap,
        frame,
        table=frame.drop(columns="row"),
        name="similarity",
        alt_text=f"Similarity of each decoder layer by domain, {KINDS[kind]}",
        columns=COLUMNS,
        on_select=pick_cell,
    )


def render_samples(
    model_id: str, atlas: SimilarityAtlas, ranks: pd.DataFrame, domain: str, layer: int, kind: str
) -> None:
    """When each criterion drops the layer, and the samples that it changes most and least."""
    said = ", ".join(
        f"{label} drops it " + ("never: protected" if pd.isna(rank) else f"as number {rank}")
        for label, rank in ranks.loc[ranks.layer == layer, ["label", "rank"]].itertuples(index=False)
    )
    st.caption(f"Layer {layer}: {said}.")
    drivers = layer_charts.driver_frame(atlas, domain, layer, kind)
    if drivers.empty:
        widgets.note(f"No sample of {domain} has tokens of the kind “{kind}”.")
        return
    widgets.figure(
        layer_charts.driver_chart,
        drivers,
        name="drivers",
        alt_text=f"Similarity at layer {layer} of each {domain} sample, by task; a diamond marks the task's mean",
        columns={"similarity": st.column_config.NumberColumn(format="%.4f")},
    )
    _render_pictures(model_id, "Changed most by this layer", drivers.head(SHOWN))
    _render_pictures(model_id, "Changed least", drivers.iloc[::-1].head(SHOWN))


def _render_pictures(model_id: str, title: str, rows: pd.DataFrame) -> None:
    """A row of pictures with question, answer and similarity, each with its way into Compare."""
    st.markdown(f"**{title}**")
    for column, row in zip(st.columns(SHOWN), rows.to_dict("records"), strict=False):
        with column:
            shown = services.samples.drawn_sample(row["source"])
            if shown is None or shown.image is None:
                st.caption(f"{row['similarity']:.4f} · the picture was not kept")
                continue
            st.image(shown.image, alt=shown.question, width=120)
            st.caption(f"{row['similarity']:.4f} · {row['task'].replace('_', ' ')}")
            st.text(f"{shown.question} {shown.answer}")
            widgets.compare_link(state.link(model_id, sample=shown.sample_id))


def render_difference(difference: pd.DataFrame, n_layers: int) -> None:
    widgets.section(
        "Where math and general part",
        "Math similarity minus general similarity. Above 0 the layer changes less on math. Filled and starred: the "
        "95 % interval excludes 0. Hollow: it does not, and the sign may be chance.",
    )
    widgets.figure(
        layer_charts.difference_chart,
        difference,
        "math",
        "general",
        name="difference",
        alt_text=f"Math minus general similarity per layer; {int(difference.clear.sum())} layers differ clearly",
        columns=COLUMNS,
    )
    clear = [int(i) for i in difference.layer[difference.clear]]
    st.caption(
        f"Clear on {len(clear)} of {n_layers} layers: {', '.join(map(str, clear)) or 'none'}. "
        f"Each interval is for one layer: of {n_layers}, about {0.05 * n_layers:.1f} exclude 0 by chance."
    )


def render_ranks(ranks: pd.DataFrame) -> None:
    widgets.section(
        "In which order each criterion drops them",
        "1 = dropped first. A dash marks protected layers, which no criterion drops.",
    )
    widgets.figure(
        layer_charts.rank_chart,
        ranks,
        name="ranks",
        alt_text="Order in which each criterion drops the layers",
        columns=COLUMNS,
    )


def render_spans(spans: pd.DataFrame, domain: str) -> None:
    widgets.section(
        "Spans",
        f"Similarity across several layers in a row, on {domain}. The dot marks the most similar span of each length.",
    )
    widgets.figure(
        layer_charts.span_map,
        spans,
        name="spans",
        alt_text=f"Similarity of every span of layers on {domain}, by first layer and length",
        columns=COLUMNS,
    )


def render_agreement(agreement: pd.DataFrame, atlas: SimilarityAtlas, source: str) -> None:
    widgets.section(
        "Are there enough samples?",
        "Two disjoint halves of the calibration set rank the layers; the curve says how far they agree. Flat and near "
        "1: enough. The band holds 90 % of 50 random splits.",
    )
    if agreement.empty:
        widgets.note("Too few samples to split: recompute with at least 8 per domain.")
        return
    widgets.figure(
        layer_charts.agreement_chart,
        agreement,
        name="agreement",
        alt_text="Rank agreement of split halves against the number of samples",
        columns={c: st.column_config.NumberColumn(format="%.3f") for c in ("spearman", "low", "high")},
    )
    widgets.atlas_provenance(atlas, source)
