"""The command `regimes`: which regime each measured budget is in."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli.shared import JsonOption, ModelOption, out, print_json
from core.library import finding

if TYPE_CHECKING:
    pass


def regimes(
    model: ModelOption = "tiny",
    domain: Annotated[str, typer.Option(help="math or general.")] = "math",
    benchmark: Annotated[str | None, typer.Option(help="One benchmark of the domain; all by default.")] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Write the maps of all domains to this file, as they are recorded.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Which regime each measured budget is in: a summary, then the evidence of each."""
    from core.errors import StoreError, suggest

    runs, items = finding.all_runs(model)
    if out_file is not None:
        own = [r for r in runs if r.model.model_id == model]
        maps = {}
        for name in sorted({r.domain for r in own}):
            records = finding.comparable(r for r in own if r.domain == name)
            maps[name] = {"runs": finding.runs_key(records), **finding.regimes(records, items).to_dict()}
        try:
            out_file.write_text(json.dumps(maps) + "\n")
        except OSError as error:
            raise StoreError(f"cannot write {out_file}: {error.strerror}; give another file with --out") from error
        return
    records = finding.comparable(r for r in runs if r.model.model_id == model and r.domain == domain)
    if not records:
        raise StoreError(f"no runs of {model} on {domain} benchmarks: run python -m core sweep --model {model}")
    known = sorted({r.benchmark for r in records})
    if benchmark is not None and benchmark not in known:
        raise StoreError(f"no runs of {model} on '{benchmark}': {suggest(benchmark, known)}")
    records = [r for r in records if benchmark in (None, r.benchmark)]
    found = finding.regimes(records, items)
    summary = found.summary(f"{domain} ({benchmark or ', '.join(known)})")
    if as_json:
        print_json({"model": model, "domain": domain, "benchmark": benchmark, "summary": summary, **found.to_dict()})
        return
    out.print(summary + "\n", markup=False, highlight=False)
    for budget in found.budgets:
        out.print(found.explain(budget.n_drop), markup=False, highlight=False)


def register(app: typer.Typer) -> None:
    app.command()(regimes)
