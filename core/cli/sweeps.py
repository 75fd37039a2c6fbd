"""The commands `sweep` and `search`: plans measured on benchmarks."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from core.cli.runs import run_row
from core.cli.shared import (
    DeviceOption,
    JsonOption,
    ModelOption,
    ProgressFileOption,
    err,
    load_atlas,
    load_model,
    names_in,
    out,
    print_json,
    progress_bar,
)
from core.errors import PlanError
from core.library import finding
from core.measure.recipes import get_recipe
from core.records.plan import parse_budget
from core.scenes.samples import DOMAINS

if TYPE_CHECKING:
    from core.measure.executors import Scorer


def parse_budgets(text: str) -> list[int]:
    """Budgets given as "1-8,10"."""
    budgets: set[int] = set()
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            counts = range(int(first), int(last or first) + 1)
            if not counts:
                raise ValueError(part)
            budgets |= set(counts)
    except ValueError:
        raise PlanError(f"budgets '{text}' are not a list of counts: give for example 1-8,10") from None
    if not budgets:
        raise PlanError(f"budgets '{text}' are empty: give for example 1-8,10")
    return sorted(budgets)


def _scorer(memory_gib: float | None) -> "Scorer | None":
    """The scorer with a limit on its memory; None: without one."""
    if memory_gib is None:
        return None
    from core.vlm.free_form import score_samples

    return partial(score_samples, memory_bytes=int(memory_gib * 2**30))


def sweep(
    model: ModelOption = "tiny",
    recipe: Annotated[str, typer.Option(help="What the options below leave open (python -m core recipes).")] = "",
    criteria: Annotated[str, typer.Option(help="Comma-separated; all by default.")] = "",
    budgets: Annotated[str, typer.Option(help="Layers to drop, for example 1-8,10; 1-12 by default.")] = "",
    random: Annotated[
        int | None, typer.Option("--random", help="Random plans per budget; 16 by default.", min=0, max=10_000)
    ] = None,
    benchmarks: Annotated[
        str,
        typer.Option(help="Comma-separated (python -m core benchmarks); tiny-math,tiny-general by default."),
    ] = "",
    limit: Annotated[
        int | None, typer.Option(help="Items per benchmark; 250 by default.", min=1, max=1_000_000)
    ] = None,
    part: Annotated[
        str, typer.Option(help="test, or held_out: without the items that calibrate --benchmarks may have used.")
    ] = "test",
    seed: Annotated[int, typer.Option(help="Of the items that a limit leaves.", min=0)] = 0,
    store: Annotated[Path | None, typer.Option(help="Run store, instead of the user's own.")] = None,
    atlas: Annotated[Path | None, typer.Option(help="An atlas file instead of the model's own.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Stated or not: what the store holds is not run again.")
    ] = True,
    executor: Annotated[str, typer.Option(help="local, or ray (needs requirements-ray.txt).")] = "local",
    workers: Annotated[
        int | None,
        typer.Option(help="With ray: copies of the model; one for each GPU, or each CPU, by default.", min=1),
    ] = None,
    ray_address: Annotated[
        str, typer.Option(help="With ray: local starts a cluster on this machine; auto or host:port joins one.")
    ] = "local",
    memory: Annotated[
        float | None,
        typer.Option(help="What scoring may take on top of the model, for each copy of it.", min=0.001, metavar="GIB"),
    ] = None,
    answer_batch: Annotated[
        int,
        typer.Option(help="Free answers written at once, of all plans; 1: each by itself.", min=1, max=4096),
    ] = 1,
    device: DeviceOption = "auto",
    progress_file: ProgressFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score plans of every criterion and random ones on benchmarks, item by item; run again to resume."""
    from core.errors import CalibrationError, ExecutorError, suggest
    from core.measure.executors import EXECUTORS, LocalExecutor, RayExecutor
    from core.measure.sweep import run_sweep
    from core.measure.whole_sweep import plan_sweep

    if executor not in EXECUTORS:
        raise ExecutorError(f"unknown executor '{executor}': {suggest(executor, EXECUTORS)}")
    chosen = get_recipe(recipe) if recipe else None
    try:
        similarities = load_atlas(model, atlas)
    except CalibrationError as error:
        raise CalibrationError(f"{error} --recipe {recipe}" if recipe and not atlas else str(error)) from error
    work = plan_sweep(
        similarities,
        names_in(criteria),
        parse_budgets(budgets) if budgets else (),
        random,
        names_in(benchmarks),
        limit=limit,
        part=part,
        seed=seed,
        recipe=chosen,
    )
    with (
        finding.open_runs(store) as runs,
        progress_bar("loading the model") as bar,
        RayExecutor(model, workers=workers, address=ray_address, scorer=_scorer(memory), device=device)
        if executor == "ray"
        else LocalExecutor(load_model(model, device), _scorer(memory)) as scoring,
    ):
        report = run_sweep(
            scoring, similarities, work.plans, work.benchmarks, runs, answer_batch=answer_batch, progress=bar
        )
    skipped = [f"{name} at {n_drop}" for name, n_drop, _ in work.skipped]
    if skipped:
        why: dict[str, str] = {}  # of each criterion, at the first budget it was left out
        for name, _, reason in work.skipped:
            why.setdefault(name, reason)
        reasons = "; ".join(why.values())
        err.print(f"not possible, left out: {', '.join(skipped)} ({reasons})", markup=False, highlight=False)
    for line in report.problems:
        err.print(f"left out: {line}", markup=False, highlight=False, soft_wrap=True, style="yellow")
    summary = {
        "model": scoring.spec.model_id,
        "plans": len(work.plans),
        "records": len(report.records),
        "outcomes_scored": report.scored,
        "outcomes_reused": report.reused,
        "seconds": round(report.seconds, 2),
        "skipped": skipped,
        "left_out": report.problems,
    }
    if as_json:
        scores = [run_row(r) for r in report.records]
        print_json({**summary, "scores": scores})
        return
    for items in report.items:
        rows = [r for r in report.records if r.benchmark == items.benchmark]
        columns = sorted({r.plan.n_drop for r in rows})
        metric, n = items.metric.replace("_", " "), max((r.n_scored for r in rows), default=0)
        table = Table(title=f"{items.benchmark}, {metric} · n = {n} · by layers dropped")
        for heading in ("criterion", *map(str, columns)):
            table.add_column(heading, justify="right" if heading != "criterion" else "left")
        for name in dict.fromkeys(r.plan.criterion for r in rows):
            own = [r for r in rows if r.plan.criterion == name]
            scored = {k: [r.graded_score for r in own if r.plan.n_drop == k] for k in columns}
            cells = [f"{sorted(v)[len(v) // 2]:.2f}" if v else "" for v in scored.values()]
            table.add_row("random, median" if name == "random" else name, *cells)
        out.print(table)
        if items.note:
            err.print(f"{items.benchmark}: {items.note}", markup=False, highlight=False, soft_wrap=True)
    err.print(
        f"{report.scored} outcomes scored, {report.reused} taken from the store, {report.seconds:.1f} s",
        highlight=False,
    )


def search(
    domain: Annotated[str, typer.Option(help="math or general.")],
    budget: Annotated[str, typer.Option(help="Layers to drop: a count or a percentage.")],
    model: ModelOption = "tiny",
    plans: Annotated[int, typer.Option(help="Distinct plans to try.", min=1, max=1_000_000)] = 300,
    validation: Annotated[int, typer.Option(help="Validation items, which choose the plan.", min=2)] = 256,
    limit: Annotated[int, typer.Option(help="Test items, which it is reported on.", min=2)] = 500,
    seed: Annotated[int, typer.Option(help="Of the search and of the validation items.")] = 0,
    out_file: Annotated[Path | None, typer.Option("--out", help="Where the plan goes, for ask and export.")] = None,
    atlas: Annotated[Path | None, typer.Option(help="An atlas file instead of the model's own.")] = None,
    device: DeviceOption = "auto",
    progress_file: ProgressFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find a plan by local search on validation items; compare it with the criteria on test items. Resumes."""
    from cache import RunStore
    from core.errors import SampleError, suggest
    from core.measure.search import search_plan
    from core.measure.sweep import benchmark_items

    if domain not in DOMAINS:
        raise SampleError(f"unknown domain '{domain}': {suggest(domain, DOMAINS)}")
    similarities = load_atlas(model, atlas)
    n_drop = parse_budget(budget, similarities.n_layers)
    vlm = load_model(model, device)
    [chosen_on] = benchmark_items("validation", seed, validation, domains=[domain])
    [reported_on] = benchmark_items(n_per_domain=limit, domains=[domain])
    with (
        RunStore(finding.user_runs_path()) as runs,
        RunStore(finding.user_trials_path()) as trials,
        progress_bar("searching") as bar,
    ):
        report = search_plan(
            vlm, similarities, n_drop, chosen_on, reported_on, runs, trials, max_plans=plans, seed=seed, progress=bar
        )
    if out_file:
        try:
            out_file.write_text(json.dumps(report.plan.to_dict(), indent=2) + "\n")
        except OSError as error:
            raise PlanError(f"cannot write {out_file}: {error.strerror}; give another place with --out") from error
    if as_json:
        print_json(report.to_dict())
        return
    table = Table(title=f"Exact match on {limit} test items, {n_drop} of {report.plan.n_layers} layers dropped")
    for heading in ("plan", "the best on", "score", "search minus it (95 %)", "McNemar p"):
        table.add_column(heading)
    table.add_row(report.plan.criterion, "validation", f"{report.score:.3f}")
    for rival in report.rivals:
        by = f"{rival.difference.value:+.3f} ({rival.difference.low:+.3f} to {rival.difference.high:+.3f})"
        on = "validation" if rival.chosen_on == "validation" else "test: optimistic"
        table.add_row(rival.plan.criterion, on, f"{rival.score:.3f}", by, f"{rival.p_value:.3g}")
    table.add_row("full model", "", f"{report.full_score:.3f}")
    out.print(table)
    out.print(f"{report.plan.criterion} drops {', '.join(map(str, report.plan.dropped))}", highlight=False)
    err.print(
        f"{report.tried} of {report.possible} plans tried on {validation} validation items: gold NLL "
        f"{report.validation_nll:.3f}, best criterion {report.rivals[0].validation_nll:.3f}; {report.seconds:.0f} s",
        highlight=False,
        soft_wrap=True,
    )
