"""Charts of layers: pure functions, records in, chart out; they look as `core.charts.style` says."""

import itertools

import altair as alt
import numpy as np
import pandas as pd

from core.analysis.tables import label
from core.charts.style import (
    ACCENT,
    DASHED,
    DOTTED,
    HIGH,
    INK,
    LOW,
    NEUTRAL,
    ROW,
    SCALE,
    SOLID,
    Drawn,
    domain_colors,
    layer_axis,
)
from core.pruning import SimilarityAtlas, list_criteria
from core.pruning.criteria import Options, ranked_layers
from core.records.plan import protected_layers


def _change_color() -> alt.Color:
    """Colour by 1 - cosine on a log scale: inner layers differ in the third decimal, the first in the first."""
    legend = alt.Legend(
        title="1 − cosine, log scale",
        orient="top",
        titleLimit=500,
        gradientLength=220,
        gradientThickness=10,
        format="~g",
        padding=0,
    )
    return alt.Color("change:Q", scale=alt.Scale(type="log", scheme=SCALE, reverse=True), legend=legend)


def _with_change(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(change=np.clip(1 - frame["mean"], 1e-6, None))


# ------------------------------------------------------------------------------------------------ similarity


def heatmap_frame(atlas: SimilarityAtlas, kind: str, tasks: bool) -> pd.DataFrame:
    """Columns row, domain, task, layer, mean, low, high, n, order: the heatmap and its table."""
    frame = atlas.to_frame(kind, tasks)
    frame["row"] = np.where(frame.task == "", frame.domain, "· " + frame.task.str.replace("_", " "))
    frame["row"] = np.where(frame.task == "", frame.row, frame.row + _invisible(frame.domain))
    return frame


def _invisible(domains: pd.Series) -> pd.Series:
    """Keeps rows of equal task names in different domains apart without showing anything."""
    codes = {d: "\u200b" * (i + 1) for i, d in enumerate(dict.fromkeys(domains))}
    return domains.map(codes)


def similarity_heatmap(frame: pd.DataFrame) -> Drawn:
    """Cosine similarity of each layer's input and output: rows are domains (and tasks), columns layers."""
    rows = list(dict.fromkeys(frame["row"]))
    pick = alt.selection_point("cell", fields=["domain", "layer"], on="click", clear="dblclick", toggle=False)
    return (
        alt.Chart(_with_change(frame))
        .mark_rect(stroke="white", strokeWidth=1, strokeOpacity=0.5, cursor="pointer")
        .encode(
            x=layer_axis(),
            y=alt.Y("row:N", sort=rows, title=None, axis=alt.Axis(labelLimit=170, labelPadding=8)),
            color=_change_color(),
            tooltip=[
                alt.Tooltip("domain:N"),
                alt.Tooltip("task:N"),
                alt.Tooltip("layer:O"),
                alt.Tooltip("mean:Q", format=".4f"),
                alt.Tooltip("low:Q", title="95 % from", format=".4f"),
                alt.Tooltip("high:Q", title="to", format=".4f"),
                alt.Tooltip("n:Q", title="samples"),
            ],
        )
        .add_params(pick)
        .properties(height=alt.Step(ROW))
    )


def driver_frame(atlas: SimilarityAtlas, domain: str, layer: int, kind: str) -> pd.DataFrame:
    """The samples behind one cell of the heatmap, most changed first: columns sample_id, task, similarity, source."""
    rows = [
        (sample.sample_id, sample.task, float(value), sample.source)
        for sample, value in zip(
            (atlas.samples[i] for i in atlas.rows(domain)),
            atlas.sample_values(domain, None, kind)[:, layer],
            strict=True,
        )
        if not np.isnan(value)
    ]
    frame = pd.DataFrame(rows, columns=["sample_id", "task", "similarity", "source"])
    return frame.sort_values("similarity", ignore_index=True)


def driver_chart(frame: pd.DataFrame) -> Drawn:
    """One tick per sample, one row per task, with each task's mean: which inputs a layer changes most."""
    base = alt.Chart(frame).encode(
        y=alt.Y("task:N", title=None, axis=alt.Axis(labelLimit=170)),
        x=alt.X("similarity:Q", title="cosine · left: changes more", scale=alt.Scale(zero=False)),
    )
    tooltip = [alt.Tooltip("task:N"), alt.Tooltip("similarity:Q", format=".4f"), alt.Tooltip("sample_id:N")]
    ticks = base.mark_tick(color=ACCENT, thickness=1.5, opacity=0.7).encode(tooltip=tooltip)
    means = base.mark_point(shape="diamond", filled=True, size=70, color=HIGH, opacity=1).encode(x="mean(similarity):Q")
    return alt.layer(ticks, means).properties(height=alt.Step(20))


def difference_frame(atlas: SimilarityAtlas, a: str, b: str, kind: str) -> pd.DataFrame:
    """Columns layer, difference (a - b), low, high, clear (does the interval exclude 0?)."""
    mean, low, high = atlas.difference(a, b, kind)
    frame = pd.DataFrame({"layer": range(len(mean)), "difference": mean, "low": low, "high": high})
    frame["clear"] = (frame.low > 0) | (frame.high < 0)
    return frame


def difference_chart(frame: pd.DataFrame, a: str, b: str) -> Drawn:
    """Bars from 0 with 95 % intervals: filled where the interval excludes 0, hollow where it does not."""
    frame = frame.assign(side=np.where(frame.difference >= 0, a, b), top=np.maximum(frame.high, 0))
    sides = alt.Scale(domain=[a, b], range=[HIGH, LOW])
    base = alt.Chart(frame).encode(x=layer_axis())
    tooltip = [
        alt.Tooltip("layer:O"),
        alt.Tooltip("difference:Q", title=f"{a} − {b}", format="+.4f"),
        alt.Tooltip("low:Q", title="95 % from", format="+.4f"),
        alt.Tooltip("high:Q", title="to", format="+.4f"),
        alt.Tooltip("clear:N", title="excludes 0"),
    ]
    bars = base.mark_bar(strokeWidth=1.5).encode(
        y=alt.Y("difference:Q", title=f"{a} − {b}", axis=alt.Axis(format="+.3~f", tickCount=5)),
        color=alt.Color("side:N", scale=sides, legend=alt.Legend(title="changes less on", orient="top", padding=0)),
        stroke=alt.Stroke("side:N", scale=sides, legend=None),
        fillOpacity=alt.condition("datum.clear", alt.value(0.85), alt.value(0.08)),
        tooltip=tooltip,
    )
    whiskers = base.mark_rule(strokeWidth=1.5, color=NEUTRAL).encode(y="low:Q", y2="high:Q", tooltip=tooltip)
    marks = (
        base.transform_filter("datum.clear")
        .mark_text(text="*", fontSize=18, dy=-2, fontWeight="bold", color=INK)
        .encode(y="top:Q", tooltip=tooltip)
    )
    zero = alt.Chart(pd.DataFrame({"y": [0]})).mark_rule(color=NEUTRAL).encode(y="y:Q")
    return alt.layer(bars, whiskers, zero, marks).properties(height=230)


def rank_frame(atlas: SimilarityAtlas, kind: str, protect_ends: bool = True) -> pd.DataFrame:
    """Rank of each layer under every criterion that scores layers: columns criterion, label, layer, rank, score.

    Rank 1 is dropped first; protected layers have none.
    """
    protected = protected_layers(atlas.n_layers, atlas.structural, protect_ends)
    rows = []
    for c in list_criteria():
        if c.redundancy is None:
            continue
        scores = c.redundancy(atlas, Options(protected, kind=kind))
        ranks = {layer: i + 1 for i, layer in enumerate(ranked_layers(scores, protected))}
        rows += [(c.name, label(c.name), i, ranks.get(i), float(scores[i])) for i in range(atlas.n_layers)]
    frame = pd.DataFrame(rows, columns=["criterion", "label", "layer", "rank", "score"])
    frame["rank"] = frame["rank"].astype("Int64")
    return frame


def rank_chart(frame: pd.DataFrame) -> Drawn:
    """The order in which each criterion drops the layers, written into the cells; protected layers show a dash."""
    most = int(frame["rank"].max())
    shown = frame.assign(rank=frame["rank"].astype(float), text=frame["rank"].astype("string").fillna("–"))
    base = alt.Chart(shown).encode(
        x=layer_axis(),
        y=alt.Y("label:N", sort=list(dict.fromkeys(frame.label)), title=None, axis=alt.Axis(labelLimit=170)),
        tooltip=["label:N", "layer:O", alt.Tooltip("text:N", title="rank"), alt.Tooltip("score:Q", format=".4f")],
    )
    cells = base.mark_rect(stroke="white", strokeWidth=1, strokeOpacity=0.5).encode(
        color=alt.Color("rank:Q", scale=alt.Scale(scheme=SCALE, reverse=True, domain=[1, most]), legend=None)
    )
    unranked = alt.when("!isValid(datum.rank)").then(alt.value(INK))
    ink = unranked.when(f"datum.rank > {most * 0.5}").then(alt.value("#ffffff")).otherwise(alt.value("#10181f"))
    text = base.mark_text(fontSize=12).encode(text="text:N", color=ink)
    return alt.layer(cells, text).properties(height=alt.Step(ROW))


def span_frame(atlas: SimilarityAtlas, domain: str, kind: str, max_length: int | None = None) -> pd.DataFrame:
    """Mean similarity across every span: columns start, length, last, mean, best (the most similar of its length)."""
    rows = []
    for length in range(1, (max_length or atlas.n_layers) + 1):
        means = atlas.mean(domain, None, kind, length)
        best = int(np.nanargmax(means))
        rows += [(i, length, i + length - 1, float(m), i == best) for i, m in enumerate(means)]
    return pd.DataFrame(rows, columns=["start", "length", "last", "mean", "best"])


def span_map(frame: pd.DataFrame) -> Drawn:
    """Start by length of a span; the most self-similar span of each length carries a dot."""
    base = alt.Chart(_with_change(frame)).encode(
        x=layer_axis("first layer of the span", "start"),
        y=alt.Y("length:O", sort="descending", title="layers in the span"),
        tooltip=["start:O", alt.Tooltip("last:O", title="last layer"), "length:O", alt.Tooltip("mean:Q", format=".4f")],
    )
    cells = base.mark_rect(stroke="white", strokeWidth=0.5, strokeOpacity=0.5).encode(color=_change_color())
    dots = base.transform_filter("datum.best").mark_point(filled=True, size=34, color=HIGH, stroke="white", opacity=1)
    return alt.layer(cells, dots).properties(height=alt.Step(18))


def agreement_frame(atlas: SimilarityAtlas, kind: str) -> pd.DataFrame:
    """Split-half agreement of every domain: columns domain, n, spearman, low, high."""
    most = max((len(atlas.rows(d)) // 2 for d in atlas.domains), default=0)
    sizes = sorted({n for n in (2, 4, 8, 16, 32, 64, 128, 256) if n < most} | {most})
    frames = [atlas.split_half_agreement(d, sizes, kind).assign(domain=d) for d in atlas.domains]
    return pd.concat(frames, ignore_index=True)[["domain", "n", "spearman", "low", "high"]]


def agreement_chart(frame: pd.DataFrame) -> Drawn:
    """Rank agreement of two disjoint halves against their size: flat and near 1 means enough samples."""
    domains = list(dict.fromkeys(frame.domain))
    dashes = [list(d) for d, _ in zip(itertools.cycle((SOLID, DASHED, DOTTED)), domains, strict=False)]
    base = alt.Chart(frame).encode(
        x=alt.X(
            "n:Q",
            title="samples in each half",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(values=sorted(set(frame.n)), format="d"),
        ),
        color=alt.Color(
            "domain:N",
            scale=alt.Scale(domain=domains, range=domain_colors(domains)),
            legend=alt.Legend(orient="top", symbolOpacity=1, symbolType="square"),  # else as faint as the bands
        ),
        tooltip=[
            alt.Tooltip("domain:N"),
            alt.Tooltip("n:Q", title="samples in each half"),
            alt.Tooltip("spearman:Q", format=".3f"),
            alt.Tooltip("low:Q", title="90 % of splits from", format=".3f"),
            alt.Tooltip("high:Q", title="to", format=".3f"),
        ],
    )
    y_scale = alt.Scale(zero=False)
    bands = base.mark_area(opacity=0.15).encode(
        y=alt.Y("low:Q", title="Spearman correlation ↑", scale=y_scale), y2="high:Q"
    )
    lines = base.mark_line(point=True).encode(
        y=alt.Y("spearman:Q", scale=y_scale),
        strokeDash=alt.StrokeDash("domain:N", scale=alt.Scale(domain=domains, range=dashes), legend=None),
    )
    return alt.layer(bands, lines).properties(height=300)
