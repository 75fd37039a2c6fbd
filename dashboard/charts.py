"""Finished charts, kept by their content: to build one takes longer than everything else that a page does for it."""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import altair as alt
import pyarrow as pa
import streamlit as st

from core.charts.style import INK, Drawn

READABLE = {"labelColor": INK.to_dict(), "titleColor": INK.to_dict()}  # Streamlit's own grey is 3.7:1 on white


def trust_charts() -> None:
    """Stop Altair from checking each part of a chart against its JSON schema, and from refusing long tables.

    The app calls this; tests/unit/test_figures.py and test_plan_tables.py build the charts with the checks on.
    """
    alt.data_transformers.disable_max_rows()
    alt.utils.schemapi.disable_debug_mode()
    for kind in (alt.Chart, alt.LayerChart):
        kind.validate = classmethod(lambda *_args, **_kwargs: None)  # type: ignore[assignment]


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs={FunctionType: lambda f: (f.__module__, f.__qualname__)})
def drawn(build: Callable[..., Drawn], *args: Any, **named: Any) -> dict[str, Any]:
    """What `build` draws of these arguments, as a Vega-Lite specification with its tables in Arrow's stream format.

    Everything that changes the chart is an argument, and each is part of the key by its content.
    """
    spec = build(*args, **named).to_dict()
    spec["config"] = {**spec.get("config", {}), "axis": READABLE, "legend": READABLE}
    spec["datasets"] = {name: _arrow(rows) for name, rows in spec.get("datasets", {}).items()}
    return spec


def _arrow(rows: list[dict[str, Any]]) -> bytes:
    table = pa.Table.from_pylist(rows)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())
