"""Similarity: which layers change their input least, for which domain, and how sure that is."""

import streamlit as st

from core.charts import layers as layer_charts
from core.errors import StrataError
from core.pruning import TOKEN_KINDS
from dashboard import services, state, widgets
from dashboard.views.similarity import controls, panels

model_id = widgets.header(
    "Which layers change their input least?",
    "Cosine of what a decoder layer receives and returns. Bright = it changes little = a candidate to drop.",
)
with st.container(horizontal=True, vertical_alignment="bottom"):
    kind = state.choice("kind", "Tokens", TOKEN_KINDS)
    controls.calibration(model_id)
    controls.recompute(model_id)
    controls.add_domain(model_id)

source = state.atlas_source(model_id)
try:
    atlas = services.similarities.atlas(model_id, source)
    if not atlas.domains:
        raise StrataError("the atlas holds no samples: recompute it")
except StrataError:
    widgets.no_atlas(model_id)
    st.stop()

widgets.section("By domain and task")
tasks = st.toggle("Open domains into tasks", key="tasks", bind="query-params")
frame = services.similarities.frame(layer_charts.heatmap_frame, model_id, source, kind, tasks)
if frame.empty:
    widgets.note(f"No sample has tokens of the kind “{kind}”: choose another kind.")
    st.stop()
panels.render_heatmap(frame, kind)
widgets.atlas_provenance(atlas, source)

widgets.section("Which samples are behind a cell")
ranks = services.similarities.frame(layer_charts.rank_frame, model_id, source, kind)
most_redundant = int(ranks.layer[ranks["rank"] == 1].iloc[0])
with st.container(horizontal=True, gap="large"):
    domain = state.domain(atlas.domains)
    layer = controls.layer(atlas.n_layers, most_redundant)
panels.render_samples(model_id, atlas, ranks, domain, layer, kind)

if {"math", "general"} <= set(atlas.domains):
    difference = services.similarities.frame(layer_charts.difference_frame, model_id, source, "math", "general", kind)
    panels.render_difference(difference, atlas.n_layers)
    panels.render_ranks(ranks)

left, right = st.columns(2, gap="large")
with left:
    panels.render_spans(layer_charts.span_frame(atlas, domain, kind), domain)
with right:
    agreement = services.similarities.frame(layer_charts.agreement_frame, model_id, source, kind)
    panels.render_agreement(agreement, atlas, source)

st.page_link("views/prune/page.py", label="Next: see what a budget would remove", icon=":material/arrow_forward:")
