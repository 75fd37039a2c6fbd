"""A model's runs as one HTML file with working charts: for a static Space, a mail, or a machine without Strata.

Vega, Vega-Lite and Vega-Embed (BSD licences) are written into the file by vl-convert: it asks for nothing else.
"""

import html
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core import __version__
from core.analysis.statistics import wilson_interval
from core.errors import CalibrationError, StoreError
from core.runs import library

if TYPE_CHECKING:
    import pandas as pd

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline';
 img-src data: blob:">
<title>Strata: {title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;color:#0e1720;background:#fff;max-width:72rem;
margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;font-size:.85rem}}td,th{{padding:.2rem .6rem;border-bottom:1px solid #dde3e8;
text-align:right}}
td:first-child,th:first-child{{text-align:left}}.note{{color:#4a5660;font-size:.85rem}}</style>
<script>{script}</script></head><body>
<h1>{title}</h1><p class="note">{provenance}</p>
{sections}
</body></html>
"""
SECTION = """<h2>{heading}</h2><div id="{name}" role="img" aria-label="{alt}"></div>
<script>vegaEmbed("#{name}", {spec}, {{"actions": true}});</script>
<details><summary>The numbers as a table</summary>{table}</details>
"""


def build_report(model_id: str) -> str:
    """The HTML of a model's report: score against budget for each domain, and similarity of each layer.

    Raises:
        StoreError: no runs of the model.
    """
    import vl_convert

    records, _ = library.all_runs(model_id)
    records = library.comparable(records)
    if not records:
        raise StoreError(f"no runs of {model_id}: run python -m core sweep --model {model_id}, or import some")
    scores = _scores(records)
    sections = [
        _section(f"Exact match on {domain}", f"score-{i}", _score_chart(part), part)
        for i, (domain, part) in enumerate(scores.groupby("domain", sort=False))
    ]
    try:
        similarity = _similarity(model_id)
        sections.append(_section("How similar each layer's output is", "layers", _heatmap(similarity), similarity))
    except CalibrationError:
        sections.append("<p>No similarities of this model: python -m core calibrate makes them.</p>")
    first, made = records[0], datetime.now(UTC).date()
    dates = sorted(r.created[:10] for r in records)
    said = (
        f"{first.model.model_id} @ {first.model.revision[:10]}, {first.model.dtype}, {first.model.n_layers} layers · "
        f"{len(records)} runs on {first.device}, {dates[0]} to {dates[-1]} · n = "
        + ", ".join(sorted({f"{len(r.item_ids)} items of {r.benchmark} ({r.data_hash[:8]})" for r in records}))
        + f" · recorded; written by Strata {__version__} on {made}"
    )
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    return PAGE.format(
        title=html.escape(f"What {model_id} keeps when layers go"),
        provenance=html.escape(said),
        script=script,
        sections="\n".join(sections),
    )


def _scores(records: Any) -> "pd.DataFrame":
    """One row for each domain, criterion and budget; random plans of one budget together."""
    import pandas as pd

    rows = pd.DataFrame(
        [(r.domain, r.plan.criterion, r.plan.n_drop, r.n_correct, r.n_scored) for r in records if r.n_scored],
        columns=["domain", "criterion", "dropped", "right", "n"],
    )
    table = rows.groupby(["domain", "criterion", "dropped"], sort=False).sum().reset_index()
    table["score"] = table.right / table.n
    bounds = [wilson_interval(int(k), int(n)) for k, n in zip(table.right, table.n, strict=True)]
    table["low"], table["high"] = [b[0] for b in bounds], [b[1] for b in bounds]
    return table.sort_values(["domain", "criterion", "dropped"], ascending=[False, True, True], ignore_index=True)


def _similarity(model_id: str) -> "pd.DataFrame":
    import pandas as pd

    atlas = library.load_atlas(model_id)
    return pd.DataFrame(
        [(d, i, round(float(v), 5)) for d in atlas.domains for i, v in enumerate(atlas.mean(d))],
        columns=["domain", "layer", "similarity"],
    )


def _score_chart(table: "pd.DataFrame") -> Any:
    import altair as alt

    chosen = alt.selection_point(fields=["criterion"], bind="legend")
    base = alt.Chart(table[table.dropped > 0]).encode(
        x=alt.X("dropped:Q", title="layers dropped", axis=alt.Axis(tickMinStep=1)),
        color=alt.Color("criterion:N", title="criterion (click)"),
        opacity=alt.condition(chosen, alt.value(1.0), alt.value(0.08)),
        tooltip=["criterion", "dropped", alt.Tooltip("score", format=".3f"), "low", "high", "n"],
    )
    y = alt.Y("score:Q", title="exact match (higher is better)", scale=alt.Scale(domain=[0, 1]))
    lines = base.mark_line(point=True).encode(y=y, shape="criterion:N").add_params(chosen)
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title="exact match (higher is better)"), y2="high:Q")
    layers: list[Any] = [bars, lines]
    full = table[table.dropped == 0]
    if len(full):
        layers.append(alt.Chart(full.head(1)).mark_rule(strokeDash=[4, 4]).encode(y=y))
    return alt.layer(*layers).properties(width=760, height=340)


def _heatmap(table: "pd.DataFrame") -> Any:
    import altair as alt

    return (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("layer:O", title="decoder layer"),
            y=alt.Y("domain:N", title=None),
            color=alt.Color("similarity:Q", title="cosine", scale=alt.Scale(scheme="cividis")),
            tooltip=["domain", "layer", "similarity"],
        )
        .properties(width=760, height=120)
    )


def _section(heading: str, name: str, chart: Any, table: "pd.DataFrame") -> str:
    heading = html.escape(heading)
    return SECTION.format(
        heading=heading,
        name=name,
        alt=f"{heading}; the numbers are in the table below",
        # a name in the data must not end the script that it stands in
        spec=chart.to_json(indent=None).replace("<", "\\u003c"),
        table=table.to_html(index=False, border=0, float_format="{:.3f}".format),
    )
