"""The command `regimes`: which regime each measured budget is in."""

import json
from pathlib import Path
from typing import Annotated

import typer

from core.cli.shared import JsonOption, ModelOption, out, print_json
from core.errors import StoreError
from core.library.choosing import runs_key
from core.library.run_view import RunView


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
    view = RunView.of(model)
    if out_file is not None:
        maps = {
            name: {"runs": runs_key(view.of_domain(name)), **found.to_dict()}
            for name in view.domains
            if (found := view.regimes(name))
        }
        try:
            out_file.write_text(json.dumps(maps) + "\n")
        except OSError as error:
            raise StoreError(f"cannot write {out_file}: {error.strerror}; give another file with --out") from error
        return
    view = view.need(domain, benchmark)
    found = view.regimes(domain)
    if found is None:
        raise StoreError(
            f"no pruned plan of {model} was measured on {domain}: run python -m core sweep --model {model}"
        )
    names, left_out = ", ".join(view.benchmarks(domain)), view.left_out(domain)
    summary = found.summary(f"{domain} ({names})")
    if as_json:
        document = {"model": model, "domain": domain, "benchmark": benchmark, "benchmarks": view.benchmarks(domain)}
        scores = view.scores()
        rows = scores[scores.group == domain].drop(columns="group").to_dict("records")
        print_json({**document, "left_out": left_out, "summary": summary, **found.to_dict(), "scores": rows})
        return
    out.print(summary + "\n", markup=False, highlight=False)
    if left_out:
        out.print(f"Left out: {left_out}.\n", markup=False, highlight=False)
    for budget in found.budgets:
        out.print(found.explain(budget.n_drop), markup=False, highlight=False)
