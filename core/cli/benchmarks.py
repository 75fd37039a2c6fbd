"""The command `benchmarks`: what a sweep can measure; registered in core/cli/main.py."""

from dataclasses import asdict
from typing import Any

from rich.table import Table

from core.benchmarks import Benchmark, list_benchmarks
from core.cli.shared import JsonOption, out, print_json


def benchmarks(as_json: JsonOption = False) -> None:
    """Benchmarks that sweep and calibrate take: where they come from, how they are scored, and under which licence."""
    rows = [_row(b) for b in list_benchmarks()]
    if as_json:
        print_json(rows)
        return
    table = Table(title="For sweep --benchmarks and calibrate --benchmarks")
    table.add_column("name", no_wrap=True)
    for heading in ("domain", "dataset", "rows", "metric", "tokens", "licence"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        size = f"{row['rows']:,}" if row["rows"] else "stream" if row["streaming"] else ""
        cells = (row["key"], row["domain"], row["dataset"] or f"{row['key']}:PATH", size, row["metric"])
        table.add_row(*cells, str(row["max_new_tokens"]), row["licence"])
    out.print(table)


def _row(benchmark: Benchmark) -> dict[str, Any]:
    left_out = ("columns", "to_item", "config_fault", "harness")
    stated = {k: v for k, v in vars(benchmark).items() if k not in left_out}
    return {**stated, "harness": asdict(benchmark.harness), "description": benchmark.description}
