"""The commands `runs list, show, figures, export, import`; registered in core/cli/main.py. None of them needs torch."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from core.cli.shared import JsonOption, err, out, print_json, say
from core.errors import PlanError, StoreError, suggest
from core.library import finding
from core.library.run_view import RunView
from core.library.sources import read_sources, with_answers
from core.pruning import build_plan
from core.records.plan import PruningPlan, parse_budget
from core.records.runs import RunRecord

PLAIN: Any = {"markup": False, "highlight": False, "soft_wrap": True}
FORMATS = ("strata", "lmms-eval", "vlmevalkit")
EXPORTS = ("strata", "lmms-eval")

runs_app = typer.Typer(help="Recorded, measured and imported runs.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    app.add_typer(runs_app, name="runs")


@runs_app.command("list")
def runs_list(model: Annotated[str | None, typer.Option("--model")] = None, as_json: JsonOption = False) -> None:
    """Every run, recorded, measured here or imported."""
    rows = [run_row(r) for r in read_sources().records if model in (None, r.model.model_id)]
    if as_json:
        print_json(rows)
        return
    table = Table()
    table.add_column("run", no_wrap=True, min_width=16)  # whole, so that it can be copied into `runs show`
    for heading in ("model", "benchmark", "criterion", "dropped", "score", "n", "origin", "date"):
        table.add_column(heading)
    for row in rows:
        dropped = ",".join(map(str, row["dropped"])) or "none"
        name = row["criterion"] if row["seed"] is None else f"{row['criterion']} {row['seed']}"
        cells = (row["run_id"], row["model_id"], row["benchmark"], name, dropped, f"{row['graded_score']:.3f}")
        table.add_row(*cells, str(row["n"]), row["origin"], row["created"][:10])
    out.print(table)


@runs_app.command("figures")
def runs_figures(model: Annotated[str | None, typer.Option("--model")] = None, as_json: JsonOption = False) -> None:
    """Scores without outcomes item by item: published ones, and those that another harness wrote."""
    figures = [f for f in read_sources().figures if model in (None, f.model_id)]
    if as_json:
        print_json([f.to_dict() for f in figures])
        return
    for f in figures:
        dropped = f"{f.percent:g} %" if f.percent is not None else "?" if f.n_drop is None else str(f.n_drop)
        what = f"{f.model_id}, {f.benchmark}, {f.criterion}, layers dropped: {dropped}"
        n = f", n = {f.n}" if f.n else ""
        out.print(f"{f.origin}: {what}: {f.measure} {100 * f.value:g} % ({f.metric}{n}; {f.source})", **PLAIN)


def run_row(r: RunRecord) -> dict[str, Any]:
    return {
        "run_id": r.run_id,
        "benchmark": r.benchmark,
        "metric": r.metric,
        "score": r.score,
        "graded_score": r.graded_score,
        "n": r.n_scored,
        "complete": r.complete,
        "device": r.device,
        "created": r.created,
        "origin": r.origin,
        **r.plan.to_dict(),
    }


@runs_app.command("show")
def runs_show(run_id: str, as_json: JsonOption = False) -> None:
    """One run with its outcomes, item by item, whether it counts, and the score of its domain under the same plan."""
    found = [r for r in read_sources().records if len(run_id) >= 6 and r.run_id.startswith(run_id)]
    if len(found) != 1:
        raise StoreError(f"{len(found) or 'no'} runs are called '{run_id}': python -m core runs list shows the names")
    record = with_answers(found[0])
    view = RunView.of(record.model.model_id)
    counts = record.run_id in {r.run_id for r in view.records}
    of_domain = view.passport(record.plan).get(record.domain) if counts else None
    failures = [a.failure for a in record.answers if a and a.failure]
    kinds = {kind: failures.count(kind) for kind in sorted(set(failures))}
    more = {"counts": counts, record.domain: of_domain, **({"failures": kinds} if record.answers else {})}
    if as_json:
        print_json({"run_id": record.run_id, **more, **record.to_dict()})
        return
    for key, value in {**run_row(record), **more}.items():
        out.print(f"{key}: {value}", markup=False, highlight=False)
    for item_id, said in zip(record.item_ids, record.answers, strict=False):
        if said:
            verdict = said.failure or "right"
            out.print(f"{item_id}  {verdict}: {said.rule}  {said.text[:200]!r}", markup=False, highlight=False)


@runs_app.command("export")
def runs_export(
    file: Annotated[Path, typer.Argument(help="A new Parquet file; for lmms-eval a folder.")],
    model: Annotated[str | None, typer.Option("--model")] = None,
    form: Annotated[str, typer.Option("--format", help="One of: " + ", ".join(EXPORTS) + ".")] = "strata",
) -> None:
    """Write the runs measured here to a Parquet file, or as results that readers of lmms-eval take."""
    from cache import RunStore

    if form not in EXPORTS:
        raise StoreError(f"unknown format '{form}': {suggest(form, EXPORTS)}")
    with RunStore(finding.user_runs_path()) as runs:
        records = runs.records(model, answers=True)
        if not records:
            raise StoreError("nothing to export: no runs were measured here; run python -m core sweep first")
        if form == "strata":
            runs.export_parquet(file, records)
        else:
            from core.interop import write_lmms_eval

            write_lmms_eval(records, {s.data_hash: s for s in runs.item_sets()}, file)
    say(f"{len(records)} runs in {file}")


@runs_app.command("import")
def runs_import(
    file: Annotated[Path, typer.Argument(help="A file, or a folder of another harness's results.")],
    form: Annotated[str, typer.Option("--format", help="auto, " + ", ".join(FORMATS) + ".")] = "auto",
    model: Annotated[str, typer.Option(help="Of other harnesses' results: the model that was evaluated.")] = "",
    layers: Annotated[int, typer.Option(help="Its decoder layers, if nothing here knows them.", min=0)] = 0,
    plan: Annotated[Path | None, typer.Option(help="The plan it was pruned by, as JSON; else it is whole.")] = None,
    criterion: Annotated[str, typer.Option(help="With --budget and --model: the plan of a criterion instead.")] = "",
    budget: Annotated[str, typer.Option(help="Layers dropped: a count or a percentage.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Merge runs into the store: a Parquet file of ours, or results of lmms-eval or VLMEvalKit.

    A checkpoint that Strata exported, and that is still where it was evaluated, says itself which plan it is of.
    """
    from cache import RunStore
    from core.interop import detect_format

    if form not in ("auto", *FORMATS):
        raise StoreError(f"unknown format '{form}': {suggest(form, ('auto', *FORMATS))}")
    form = detect_format(file) if form == "auto" else form
    if form == "strata":
        with RunStore(finding.user_runs_path()) as runs:
            n = runs.import_parquet(file)
        print_json({"format": form, "runs": n}) if as_json else say(f"{n} runs imported from {file}")
        return
    from core.interop import read_results
    from core.interop.imports import keep_results

    if plan and (criterion or budget):
        raise PlanError("give either --plan, or --criterion with --budget")
    chosen = PruningPlan.load(plan) if plan else _plan_of(model, criterion, budget) if criterion or budget else None
    report = read_results(file, form)
    with RunStore(finding.user_runs_path()) as runs:
        kept = keep_results(report, runs, plan=chosen, model_id=model, n_layers=layers)
    for line in (*report.problems, *kept.problems, *(w for run in report.runs for w in run.warnings)):
        err.print(line, markup=False, highlight=False, soft_wrap=True, style="yellow")
    if as_json:
        print_json({"format": form, "runs": kept.records, "figures": kept.references, "problems": kept.problems})
        return
    said = f"{kept.records} runs and {kept.references} figures without outcomes imported from {file}"
    say(f"{said}; python -m core runs figures lists those" if kept.references else said)


def _plan_of(model: str, criterion: str, budget: str) -> PruningPlan:
    if not (model and criterion and budget):
        raise PlanError("--model, --criterion and --budget go together: they say which plan was evaluated")
    atlas = finding.load_atlas(model)
    return build_plan(atlas, criterion, parse_budget(budget, atlas.n_layers))
