"""A model's runs as one HTML file with the charts of the pages.

For a static Space, a mail, or a machine without Strata. Vega, Vega-Lite and Vega-Embed (BSD licences) are written into
the file by vl-convert: it asks for nothing else. `python -m core report` calls it.
"""

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from core import __version__
from core.analysis import tables
from core.charts import layers as layer_charts
from core.charts import scores as score_charts
from core.charts import style
from core.errors import CalibrationError, StoreError
from core.library import finding
from core.library.run_view import RunView
from core.records.runs import RunRecord

WIDTH = 860
SHOWN = ("math_aware", "non_math_aware", "mixed", "uniform", "deepest", "block", "greedy")
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline';
 img-src data: blob:">
<title>Strata: {title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;color:#0e1720;background:#fff;max-width:60rem;
margin:2rem auto;padding:0 1rem}}
div[role=img],details{{overflow-x:auto}}.key span{{display:inline-block;margin-right:1.2rem}}
table{{border-collapse:collapse;font-size:.85rem}}td,th{{padding:.2rem .6rem;border-bottom:1px solid #dde3e8;
text-align:right}}
td:first-child,th:first-child{{text-align:left}}.note{{color:#4a5660;font-size:.85rem}}</style>
<script>{script}</script></head><body>
<h1>{title}</h1><p class="note">{provenance}</p>
{sections}
</body></html>
"""
SECTION = """<h2>{heading}</h2><p class="key">{key}</p><div id="{name}" role="img" aria-label="{alt}"></div>
<script>vegaEmbed("#{name}", {spec}, {{"actions": true}});</script>
{notes}
<details><summary>The numbers as a table</summary>{table}</details>
"""


def build_report(model_id: str) -> str:
    """The HTML of a model's report: score against budget with regimes for each domain, and similarity of each layer.

    Raises:
        StoreError: no runs of the model.
    """
    import vl_convert

    view = RunView.of(model_id)
    if not view.records:
        raise StoreError(f"no runs of {model_id}: run python -m core sweep --model {model_id}, or import some")
    sections = [_scores(view, domain, f"score-{i}") for i, domain in enumerate(view.domains)]
    try:
        sections.append(_layers(model_id))
    except CalibrationError:
        sections.append("<p>No similarities of this model: python -m core calibrate makes them.</p>")
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    return PAGE.format(
        title=html.escape(f"What {model_id} keeps when layers go"),
        provenance=html.escape(_provenance(view.records)),
        script=script,
        sections="\n".join(sections),
    )


def _provenance(records: Sequence[RunRecord]) -> str:
    first, made = records[0], datetime.now(UTC).date()
    dates = sorted(r.created[:10] for r in records)
    sets = sorted({f"{len(r.item_ids)} items of {r.benchmark} ({r.data_hash[:8]})" for r in records})
    return (
        f"{first.model.model_id} @ {first.model.revision[:10]}, {first.model.dtype}, {first.model.n_layers} layers · "
        f"{len(records)} runs on {first.device}, {dates[0]} to {dates[-1]} · n = {', '.join(sets)}"
        f" · recorded; written by Strata {__version__} on {made}"
    )


def _scores(view: RunView, domain: str, name: str) -> str:
    """The chart of the Benchmarks page: a few criteria drawn, every one of them in the table."""
    table = view.scores()
    table, found = table[table.group == domain], view.regimes(domain)
    measured = score_charts.ordered(c for c in table[table.n_drop > 0].criterion.unique() if c != "random")
    searches = [c for c in measured if style.searched(c)]
    shown = [c for c in measured if c in SHOWN][:7] + searches or measured[:7]
    envelope = tables.random_envelope(table, [domain])
    chart = score_charts.score_chart(
        tables.curves(table, shown, [domain]),
        envelope,
        tables.full_score(table, domain),
        view.records[0].model.n_layers,
        intervals="bars",
        regimes=view.regime_labels(domain),
        boundaries=found.boundaries if found else (),
    )
    initials = ", ".join(f"{initial} {label}" for label, initial in score_charts.REGIME_INITIALS.items())
    names = view.benchmarks(domain)
    means = f"Scores: the mean over {' and '.join(names)}, each weighing the same." if len(names) > 1 else ""
    notes = f"Bars: 95 % Wilson intervals. Grey: 10th to 90th percentile of the random plans. Regimes: {initials}."
    said = [means, notes, view.left_out(domain), found.summary() if found else ""]
    numbers = tables.drawn_numbers(tables.curves(table, measured, [domain]), envelope, None)
    return _section(
        f"Right answers on {domain}",
        name,
        chart,
        numbers,
        shown,
        said,
    )


def _layers(model_id: str) -> str:
    frame = layer_charts.heatmap_frame(finding.load_atlas(model_id), "all", tasks=False)
    return _section("How similar each layer's output is", "layers", layer_charts.similarity_heatmap(frame), frame)


def _section(
    heading: str, name: str, chart: Any, table: pd.DataFrame, criteria: Sequence[str] = (), notes: Sequence[str] = ()
) -> str:
    heading = html.escape(heading)
    return SECTION.format(
        heading=heading,
        name=name,
        key="".join(f"<span>{style.legend_key(c)} {html.escape(tables.label(c))}</span>" for c in criteria),
        alt=f"{heading}; the numbers are in the table below",
        # a name in the data must not end the script that it stands in
        spec=chart.properties(width=WIDTH, background="#ffffff").to_json(indent=None).replace("<", "\\u003c"),
        notes="\n".join(f'<p class="note">{html.escape(n)}</p>' for n in notes if n),
        table=table.to_html(index=False, border=0, float_format="{:.3f}".format),
    )
