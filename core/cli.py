"""The command line. Every command prints a table, or one JSON document with --json; progress goes to stderr.

Exit code 0, or 2 with one line that says what is wrong and what to do. torch is imported by the commands that need it.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from typer.exceptions import TyperException

from core import benchmark_commands, hosting, interrupts, recipe_commands, run_commands, smol_commands
from core.console import DeviceOption, JsonOption, ModelOption, err, names_in, out, print_json, say
from core.data.images import open_image
from core.data.samples import DOMAINS, Sample, draw_samples
from core.errors import PlanError, StrataError
from core.pruning import PruningPlan, SimilarityAtlas, build_plan, get_criterion, list_criteria, parse_budget
from core.pruning.plan import protected_layers
from core.runs import library
from core.runs.jobs import Report
from core.runs.recipes import get_recipe

if TYPE_CHECKING:
    from core.runs.executors import Scorer
    from core.vlm import VLM

app = typer.Typer(
    name="strata",
    help="Understand layer pruning of vision-language models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
tiny_app = typer.Typer(help="The embedded model.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(tiny_app, name="tiny")
models_app = typer.Typer(rich_markup_mode=None)
app.add_typer(models_app, name="models")
smol_commands.register(app, models_app)
run_commands.register(app)
benchmark_commands.register(app)
hosting.register(app)
recipe_commands.register(app)

N_SAMPLES = 128  # calibration samples of a domain
MOST_DROPPED = 12  # layers, in a sweep that names no budgets

_report: Report | None = None  # where the running command says how far it is, besides the progress bar


def _report_to(path: Path | None) -> Path | None:
    global _report  # noqa: PLW0603  # one command runs in a process
    _report = Report(path) if path else None
    return path


ProgressFileOption = Annotated[
    Path | None,
    typer.Option(
        "--progress-file", help="Keep the state of this command in a JSON file.", callback=_report_to, is_eager=True
    ),
]


def main() -> None:
    """Entry point: errors become one line on stderr and exit code 2."""
    interrupts.listen()
    try:
        code = typer.main.get_command(app).main(standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C, without a word
            raise KeyboardInterrupt
        _say("done")
        sys.exit(code if isinstance(code, int) else 0)
    except StrataError as error:
        _fail(str(error))
    except TyperException as error:
        _fail(f"{error.format_message()} (see python -m core --help)")
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped; finished items are kept, run the same command again to go on", "cancelled")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output has gone
        sys.exit(0)
    except Exception as error:
        _say("failed", f"a bug in Strata: {error!r}")
        raise


def _say(status: str, message: str = "") -> None:
    if _report is not None:
        _report.finish(status, message)


def _fail(message: str, status: str = "failed") -> None:
    _say(status, message)
    err.print(" ".join(message.split()), style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(2)


@contextmanager
def _progress(label: str) -> Iterator[Any]:
    """A progress bar on stderr; yields a callback (done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=None)

        def progress(done: int, total: int, text: str = label) -> None:
            interrupts.check()
            bar.update(task, completed=done, total=total, description=text)
            if _report is not None:
                _report.progress(done, total, text)

        yield progress


def _load(model: str, device: str = "auto") -> "VLM":
    from core.vlm.loading import load_vlm, quiet_transformers

    quiet_transformers()
    return load_vlm(model, device=device)


def _atlas(model: str, path: Path | None = None) -> SimilarityAtlas:
    return SimilarityAtlas.load(path) if path else library.load_atlas(model)


# ------------------------------------------------------------------------------------------------ models


@models_app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: JsonOption = False) -> None:
    """Known models: embedded, fetched and in the local Hub cache, with depth, size, and where they would run."""
    if context.invoked_subcommand is not None:
        return
    from core.vlm.loading import known_models, quiet_transformers
    from core.vlm.placement import loaded_bytes, memory_bytes, roomy_place

    quiet_transformers()
    room = memory_bytes()
    specs, skipped = known_models()
    rows = []
    for spec in specs:
        size = loaded_bytes(spec)
        place = roomy_place(size)
        rows.append({**spec.to_dict(), "weights_bytes": size, "fits": place is not None, "runs_on": place})
    if as_json:
        print_json({"memory_bytes": room, "models": rows, "unsupported": skipped})
        return
    table = Table(title=f"Models ({room / 2**30:.1f} GiB of memory free)")
    for heading in ("model", "family", "layers", "parameters", "weights here", "attention", "runs on"):
        table.add_column(heading)
    for row in rows:
        weights = f"{row['weights_bytes'] / 2**20:,.1f} MiB"
        cells = (row["model_id"], row["family"], str(row["n_layers"]), f"{row['n_parameters']:,}", weights)
        table.add_row(*cells, row["attention"], row["runs_on"] or "does not fit")
    out.print(table)
    for name, why in skipped.items():
        err.print(f"{name}: {why}", markup=False, highlight=False)


# ------------------------------------------------------------------------------------------------ ask


@app.command()
def ask(
    image: Annotated[Path, typer.Option(help="A PNG, JPEG or WebP picture.")],
    question: Annotated[str, typer.Option()],
    model: ModelOption = "tiny",
    plan: Annotated[Path | None, typer.Option(help="A plan as JSON (python -m core plan --json).")] = None,
    criterion: Annotated[str | None, typer.Option(help="With --budget: the criterion that chooses the plan.")] = None,
    budget: Annotated[str | None, typer.Option(help="Layers to drop: a count or a percentage.")] = None,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", "--max-tokens", min=1, max=1024)] = 48,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token at each step.", min=0)] = 0.0,
    top_p: Annotated[float, typer.Option(help="With a temperature: sample from the likeliest tokens only.")] = 1.0,
    seed: Annotated[int, typer.Option(help="With a temperature: the same seed, the same answer.", min=0)] = 0,
    top: Annotated[int, typer.Option(help="Show the K likeliest tokens of each step.", metavar="K", min=0)] = 0,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Ask a question about a picture, on the full model or on a pruned view."""
    from core.runs.records import GenerationConfig

    config = GenerationConfig(max_new_tokens, temperature, top_p, seed, top)
    picture = open_image(image)
    if plan is not None and (criterion or budget):
        raise PlanError("give either --plan or --criterion with --budget, not both")
    chosen = PruningPlan.load(plan) if plan else _plan(model, criterion, budget) if criterion or budget else None
    vlm = _load(model, device)
    from core.vlm.generation import answer

    result = answer(vlm, chosen, picture, question, config)
    if as_json:
        print_json({**result.to_dict(), "device": vlm.spec.device, "attention": vlm.spec.attention})
        return
    out.print(result.text, markup=False, highlight=False)
    for event in result.events if top else ():
        likeliest = "  ".join(f"{text!r} {probability:.3f}" for text, probability in event.top)
        out.print(f"{event.text!r}: {likeliest}", markup=False, highlight=False)
    err.print(
        f"{result.tokens} tokens · first after {result.ttft_s * 1000:.0f} ms · {result.tokens_per_s:.0f} tokens/s",
        style="dim",
    )


# ------------------------------------------------------------------------------------------------ calibrate, plan


@app.command()
def calibrate(
    model: ModelOption = "tiny",
    domains: Annotated[str, typer.Option(help="Comma-separated; drawn questions.")] = ",".join(DOMAINS),
    benchmarks: Annotated[
        str, typer.Option(help="Instead: real questions, each benchmark under its domain (numinamath,llava_onevision).")
    ] = "",
    recipe: Annotated[str, typer.Option(help="Instead: the calibration set of a recipe.")] = "",
    samples: Annotated[
        int | None, typer.Option(help="Per domain or benchmark; 128 by default.", min=2, max=100_000)
    ] = None,
    seed: Annotated[int, typer.Option()] = 0,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    greedy: Annotated[bool, typer.Option("--greedy", help="Also find the order of greedy removal; resumes.")] = False,
    device: DeviceOption = "auto",
    out_file: Annotated[Path | None, typer.Option("--out", help="Where the atlas goes.")] = None,
    progress_file: ProgressFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the similarity of every span of decoder layers on calibration samples, and save the atlas.

    Other domains and a greedy order calibrated before stay in it, as long as the model's weights are the same.
    """
    from core.data.benchmarks import load_benchmark
    from core.data.questions import domain_tasks
    from core.errors import CalibrationError, suggest

    names = names_in(domains)
    for name in names or [""]:
        if name not in DOMAINS:
            raise CalibrationError(f"unknown domain '{name}': {suggest(name, DOMAINS)}")
    wanted = {b: samples or N_SAMPLES for b in names_in(benchmarks)}
    if recipe and not wanted:
        wanted = {b: samples or n for b, n in get_recipe(recipe).calibration}
    drawn: dict[str, list[Sample]] = {}
    for benchmark, n in wanted.items():
        items, found = load_benchmark(benchmark, limit=n, seed=seed, part="calibration")
        drawn.setdefault(items.domain, []).extend(found)
    if not wanted:
        drawn = {d: draw_samples("calibration", seed, samples or N_SAMPLES, domain_tasks(d)) for d in names}
    names = list(drawn)
    vlm = _load(model, device)
    from core.runs.greedy import greedy_orders
    from core.vlm.similarity import compute_atlas

    with _progress("calibrating") as bar:
        atlas = compute_atlas(vlm, drawn, batch_size=batch_size, progress=bar)
    path = out_file or library.user_atlas_path(vlm.spec.model_id)
    with suppress(CalibrationError):  # none yet, or a damaged one
        atlas = _atlas(vlm.spec.model_id, out_file).merged(atlas)
    try:
        atlas.save(path)
        if greedy:
            with _progress("greedy removal") as bar:
                for order in greedy_orders(vlm, drawn, atlas.greedy, progress=bar):
                    atlas = replace(atlas, greedy=order)
                    atlas.save(path)  # each round, so that a stop loses one round at most
    except OSError as error:
        raise CalibrationError(f"cannot write {path}: {error.strerror}; give another place with --out") from error
    if as_json:
        similarity = {d: [round(float(v), 6) for v in atlas.mean(d)] for d in names}
        document = {"model": atlas.model_id, "revision": atlas.revision, "path": str(path), "similarity": similarity}
        losses = [round(v, 6) if isfinite(v) else None for v in atlas.greedy.losses] if atlas.greedy else []
        print_json({**document, "greedy": {**asdict(atlas.greedy), "losses": losses} if atlas.greedy else None})
        return
    counts = ", ".join(f"{len(s)} {d}" for d, s in drawn.items())
    table = Table(title=f"Similarity of each decoder layer · {atlas.model_id} · n = {counts}")
    table.add_column("layer", justify="right")
    for name in names:
        table.add_column(f"{name} (95 % interval)")
    means = {d: (atlas.mean(d), *atlas.interval(d)) for d in names}
    for layer in range(atlas.n_layers):
        cells = [f"{m[layer]:.4f} ({low[layer]:.4f} to {high[layer]:.4f})" for m, low, high in means.values()]
        table.add_row(str(layer), *cells)
    out.print(table)
    if atlas.greedy:
        before, *after = atlas.greedy.losses
        steps = ", ".join(f"{layer} ({loss:.3f})" for layer, loss in zip(atlas.greedy.layers, after, strict=True))
        out.print(f"greedy removal, gold NLL {before:.3f} at first: {steps}", markup=False, highlight=False)
    err.print(f"saved to {path}", markup=False, highlight=False)


def _plan(
    model: str,
    criterion: str | None,
    budget: str | None,
    seed: int = 0,
    atlas_path: Path | None = None,
    ends: bool = True,
) -> PruningPlan:
    if not criterion or not budget:
        raise PlanError("--criterion and --budget go together: for example --criterion math_aware --budget 4")
    get_criterion(criterion)  # an unknown name is the clearer complaint, before the atlas is looked for
    atlas = _atlas(model, atlas_path)
    return build_plan(atlas, criterion, parse_budget(budget, atlas.n_layers), seed=seed, protect_ends=ends)


@app.command()
def plan(
    criterion: Annotated[str, typer.Option(help="One of: " + ", ".join(c.name for c in list_criteria()) + ".")],
    budget: Annotated[str, typer.Option(help="Layers to drop: a count or a percentage.")],
    model: ModelOption = "tiny",
    seed: Annotated[int, typer.Option(help="Of random plans.")] = 0,
    atlas: Annotated[Path | None, typer.Option(help="An atlas file instead of the model's own.")] = None,
    protect_ends: Annotated[bool, typer.Option(help="Keep the first and the last layer.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Which layers a criterion drops at a budget."""
    chosen = _plan(model, criterion, budget, seed, atlas, protect_ends)
    if as_json:
        print_json(chosen.to_dict())
        return
    strip = "".join("×" if i in chosen.dropped else "■" for i in range(chosen.n_layers))
    out.print(
        f"{strip}  drops {', '.join(map(str, chosen.dropped))} of layers 0 to {chosen.n_layers - 1}", highlight=False
    )


# ------------------------------------------------------------------------------------------------ export


EXPORT_FORMATS = ("folder", "mergekit", "snippet", "plan")
EVALUATED = ("scienceqa", "chartqa", "realworldqa", "vstar", "ai2d", "pope")  # by both harnesses, without a judge


@app.command()
def export(
    target: Annotated[
        Path | None, typer.Option("--out", help="A new folder for the checkpoint; for other formats a file.")
    ] = None,
    model: ModelOption = "tiny",
    plan: Annotated[Path | None, typer.Option(help="A plan as JSON (python -m core plan --json).")] = None,
    criterion: Annotated[str | None, typer.Option(help="With --budget: the criterion that chooses the plan.")] = None,
    budget: Annotated[str | None, typer.Option(help="Layers to drop: a count or a percentage.")] = None,
    form: Annotated[str, typer.Option("--format", help="One of: " + ", ".join(EXPORT_FORMATS) + ".")] = "folder",
    verify: Annotated[bool, typer.Option(help="Reload the export and compare its logits with the view's.")] = True,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write the pruned model to a folder that plain transformers loads; with --no-verify no weights enter memory.

    The other formats are text: a mergekit recipe, Python that applies the plan as a view, or the plan as JSON.
    """
    from core.data.interop import evaluation_commands
    from core.errors import ExportError, StoreError, suggest

    if form not in EXPORT_FORMATS:
        raise ExportError(f"unknown format '{form}': {suggest(form, EXPORT_FORMATS)}")
    if (plan is not None) == bool(criterion or budget):
        raise PlanError("give either --plan, or --criterion with --budget")
    chosen = PruningPlan.load(plan) if plan else _plan(model, criterion, budget)
    if form != "folder":
        _export_text(chosen, model, form, target, as_json)
        return
    if target is None:
        raise ExportError("the checkpoint needs a place: give a new folder with --out")
    atlas_hash = "" if plan else _atlas(model).data_hash
    from core.vlm.loading import load_outline, quiet_transformers

    quiet_transformers()
    vlm = _load(model, device) if verify else load_outline(model)
    from core.vlm.export import export_plan

    scores = library.measured_scores(chosen, vlm.spec.revision)
    report = export_plan(vlm, chosen, target, scores=scores, atlas_hash=atlas_hash, verify=verify)
    evaluate: dict[str, str] = {}
    with suppress(StoreError):  # a folder that a harness's argument strings cannot hold
        evaluate = evaluation_commands(target, vlm.spec.family, EVALUATED)
    if as_json:
        print_json({**report.to_dict(), "evaluate": evaluate})
        return
    difference = report.max_difference
    checked = "not compared with the view" if difference is None else f"logits within {difference:.2g} of the view's"
    if difference == 0:
        checked = "same logits as the view"
    out.print(
        f"{report.out}: {len(chosen.kept)} of {chosen.n_layers} decoder layers, {report.parameters:,} parameters, "
        f"{report.bytes / 2**20:,.1f} MiB in {len(report.files)} files, {checked}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for key in ("lmms-eval", "vlmevalkit-config", "vlmevalkit", "note"):
        if key in evaluate:
            say(f"{key}: {evaluate[key]}")


def _export_text(plan: PruningPlan, model: str, form: str, target: Path | None, as_json: bool) -> None:
    """A plan for other tools, to stdout or a file; no model is loaded."""
    from core import settings
    from core.errors import ExportError
    from core.pruning.recipes import mergekit_yaml, python_snippet

    if form == "plan":
        text = json.dumps(plan.to_dict(), indent=2) + "\n"
    elif form == "snippet":
        text = python_snippet(replace(plan, model_id=model))
    else:
        text = mergekit_yaml(plan, str(settings.named_folder(model) or model))
    if target:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        except OSError as error:
            raise ExportError(f"cannot write {target}: {error.strerror}; give another file with --out") from error
    if as_json:
        print_json({"format": form, "plan": plan.to_dict(), "out": str(target) if target else None, "text": text})
    elif target:
        err.print(f"{form} in {target}", markup=False, highlight=False)
    else:
        sys.stdout.write(text)


# ------------------------------------------------------------------------------------------------ sweep, regimes, runs


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


@app.command()
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
    from cache import RunStore
    from core.errors import CalibrationError, ExecutorError, suggest
    from core.runs.executors import EXECUTORS, LocalExecutor, RayExecutor
    from core.runs.sweep import EMBEDDED, N_PER_DOMAIN, N_RANDOM, find_benchmarks, run_sweep, sweep_plans

    if executor not in EXECUTORS:
        raise ExecutorError(f"unknown executor '{executor}': {suggest(executor, EXECUTORS)}")
    chosen = get_recipe(recipe) if recipe else None
    wanted = {name: limit or N_PER_DOMAIN for name in names_in(benchmarks)}
    if not wanted:
        given = chosen.benchmarks if chosen else [(name, N_PER_DOMAIN) for name in EMBEDDED]
        wanted = {name: limit or most for name, most in given}
    try:
        similarities = _atlas(model, atlas)
    except CalibrationError as error:
        raise CalibrationError(f"{error} --recipe {recipe}" if recipe and not atlas else str(error)) from error
    names = names_in(criteria) or (list(chosen.criteria) if chosen else [c.name for c in list_criteria()])
    if random is None:
        random = chosen.n_random if chosen else N_RANDOM
    n_protected = len(protected_layers(similarities.n_layers, similarities.structural))
    if budgets:
        counts = parse_budgets(budgets)
    elif chosen:
        counts = chosen.budgets(similarities.n_layers, n_protected)
    else:
        counts = list(range(1, 1 + min(MOST_DROPPED, similarities.n_layers - n_protected)))
    skipped: list[str] = []
    why: dict[str, str] = {}  # of each criterion, at the first budget it was left out

    def skip(name: str, n_drop: int, error: StrataError) -> None:
        skipped.append(f"{name} at {n_drop}")
        why.setdefault(name, str(error))

    plans = sweep_plans(similarities, names, counts, random, on_skip=skip)
    found = find_benchmarks(wanted, seed=seed, part=part)
    with (
        RunStore(store or library.user_runs_path()) as runs,
        _progress("loading the model") as bar,
        RayExecutor(model, workers=workers, address=ray_address, scorer=_scorer(memory), device=device)
        if executor == "ray"
        else LocalExecutor(_load(model, device), _scorer(memory)) as scoring,
    ):
        report = run_sweep(scoring, similarities, plans, found, runs, answer_batch=answer_batch, progress=bar)
    if skipped:
        reasons = "; ".join(why.values())
        err.print(f"not possible, left out: {', '.join(skipped)} ({reasons})", markup=False, highlight=False)
    for line in report.problems:
        err.print(f"left out: {line}", markup=False, highlight=False, soft_wrap=True, style="yellow")
    summary = {
        "model": scoring.spec.model_id,
        "plans": len(plans),
        "records": len(report.records),
        "outcomes_scored": report.scored,
        "outcomes_reused": report.reused,
        "seconds": round(report.seconds, 2),
        "skipped": skipped,
        "left_out": report.problems,
    }
    if as_json:
        scores = [run_commands.run_row(r) for r in report.records]
        print_json({**summary, "scores": scores})
        return
    for items, _ in found:
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


@app.command()
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
    from core.runs.search import search_plan
    from core.runs.sweep import benchmark_items

    if domain not in DOMAINS:
        raise SampleError(f"unknown domain '{domain}': {suggest(domain, DOMAINS)}")
    similarities = _atlas(model, atlas)
    n_drop = parse_budget(budget, similarities.n_layers)
    vlm = _load(model, device)
    [chosen_on] = benchmark_items("validation", seed, validation, domains=[domain])
    [reported_on] = benchmark_items(n_per_domain=limit, domains=[domain])
    with (
        RunStore(library.user_runs_path()) as runs,
        RunStore(library.user_trials_path()) as trials,
        _progress("searching") as bar,
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


@app.command()
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

    runs, items = library.all_runs(model)
    if out_file is not None:
        own = [r for r in runs if r.model.model_id == model]
        maps = {}
        for name in sorted({r.domain for r in own}):
            records = library.comparable(r for r in own if r.domain == name)
            maps[name] = {"runs": library.runs_key(records), **library.regimes(records, items).to_dict()}
        try:
            out_file.write_text(json.dumps(maps) + "\n")
        except OSError as error:
            raise StoreError(f"cannot write {out_file}: {error.strerror}; give another file with --out") from error
        return
    records = library.comparable(r for r in runs if r.model.model_id == model and r.domain == domain)
    if not records:
        raise StoreError(f"no runs of {model} on {domain} benchmarks: run python -m core sweep --model {model}")
    known = sorted({r.benchmark for r in records})
    if benchmark is not None and benchmark not in known:
        raise StoreError(f"no runs of {model} on '{benchmark}': {suggest(benchmark, known)}")
    records = [r for r in records if benchmark in (None, r.benchmark)]
    found = library.regimes(records, items)
    summary = found.summary(f"{domain} ({benchmark or ', '.join(known)})")
    if as_json:
        print_json({"model": model, "domain": domain, "benchmark": benchmark, "summary": summary, **found.to_dict()})
        return
    out.print(summary + "\n", markup=False, highlight=False)
    for budget in found.budgets:
        out.print(found.explain(budget.n_drop), markup=False, highlight=False)


# ------------------------------------------------------------------------------------------------ bench


@app.command()
def bench(
    case: Annotated[str, typer.Argument(help="similarity, view, decode, forest, growth, ui or all.")] = "all",
    model: ModelOption = "tiny",
    rounds: Annotated[int, typer.Option(min=1, max=100)] = 3,
    random_weights: Annotated[
        str,
        typer.Option("--random-weights", metavar="DIR", help="Instead of --model: a folder with a config.json."),
    ] = "",
    dtype: Annotated[str, typer.Option(help="With --random-weights: float32, bfloat16, float16 or auto.")] = "auto",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Speed of ours as a ratio to a reference way, after checking that both agree."""
    from core.bench import run_bench
    from core.vlm.loading import quiet_transformers
    from core.vlm.shaped import load_random

    quiet_transformers()
    vlm = load_random(random_weights, device, dtype) if random_weights else _load(model, device)

    with _progress("measuring") as bar:
        report = run_bench(vlm, [case], rounds, bar)
    if as_json:
        print_json(report)
        return
    table = Table(title=f"{report['machine']['model']} on {report['machine']['device']}, {rounds} rounds, medians")
    for heading in ("case", "ours", "reference", "ratio", "agree", "reference is"):
        table.add_column(heading)
    for row in report["cases"]:
        times = (f"{row['ours_s'] * 1000:.1f} ms", f"{row['reference_s'] * 1000:.1f} ms", f"{row['ratio']:.2f}")
        table.add_row(row["name"], *times, "yes" if row["agree"] else "NO", row["reference"])
    out.print(table)


# ------------------------------------------------------------------------------------------------ tiny


@tiny_app.command("train")
def tiny_train(
    minutes: Annotated[float, typer.Option(help="Time budget, over all resumed sessions.", min=0.01)] = 95.0,
    out_dir: Annotated[Path | None, typer.Option("--out", help="Where the best model goes.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Where training resumes from.")] = None,
    seed: Annotated[int, typer.Option()] = 0,
    device: DeviceOption = "auto",
    compiled: Annotated[bool, typer.Option("--compile/--no-compile", help="Use torch.compile.")] = True,
) -> None:
    """Train the embedded model from scratch; run again to resume, with more minutes to go on."""
    from core import settings
    from core.vlm.loading import quiet_transformers
    from core.vlm.tiny.train import TrainConfig, train

    quiet_transformers()
    train(
        TrainConfig(minutes=minutes, vision_minutes=min(6.0, minutes / 12), seed=seed),
        out_dir or settings.TINY_DIR,
        checkpoint or settings.data_dir() / "training" / "tiny",
        device,
        compiled,
        log=lambda line: err.print(line, markup=False, highlight=False, soft_wrap=True),
    )


@tiny_app.command("evaluate")
def tiny_evaluate(
    seed: Annotated[int, typer.Option(help="Of the freshly drawn set.")] = 0,
    limit: Annotated[int, typer.Option(help="Number of samples.", min=1, max=1_000_000)] = 1000,
    split: Annotated[str, typer.Option(help="test, validation, calibration or train.")] = "test",
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Exact match of the embedded model on a freshly drawn set, per task."""
    from core.data.samples import SPLITS
    from core.errors import SampleError, suggest

    if split not in SPLITS:
        raise SampleError(f"unknown split '{split}': {suggest(split, SPLITS)}")
    vlm = _load(model, device)
    from core.vlm.tiny.evaluate import evaluate_tiny

    with _progress("evaluating") as bar:
        report = evaluate_tiny(vlm, seed, limit, split, bar)
    if as_json:
        print_json(report)
        return
    table = Table(title=f"Exact match · {split} split, seed {seed}, n = {limit}")
    for heading in ("domain", "task", "exact match", "n"):
        table.add_column(heading)
    for name, row in report["tasks"].items():
        table.add_row(row["domain"], name, f"{row['exact_match']:.3f}", str(row["n"]))
    for name, row in report["domains"].items():
        table.add_row(name, "all", f"{row['exact_match']:.3f}", str(row["n"]), style="bold")
    out.print(table)


@tiny_app.command("samples")
def tiny_samples(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for pictures and samples.jsonl.")],
    n: Annotated[int, typer.Option("--n", min=1, max=100_000)] = 32,
    seed: Annotated[int, typer.Option()] = 0,
    split: Annotated[str, typer.Option()] = "test",
) -> None:
    """Write drawn samples as PNG pictures with questions and gold answers."""
    from core.data.samples import SPLITS
    from core.errors import SampleError, suggest

    if split not in SPLITS:
        raise SampleError(f"unknown split '{split}': {suggest(split, SPLITS)}")
    lines = []
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for s in draw_samples(split, seed, n):
            assert s.image is not None
            s.image.save(out_dir / f"{s.sample_id}.png")
            row = {"id": s.sample_id, "image": f"{s.sample_id}.png", "domain": s.domain, "task": s.task}
            lines.append(json.dumps({**row, "question": s.question, "answer": s.answer}, ensure_ascii=False))
        (out_dir / "samples.jsonl").write_text("\n".join(lines) + "\n")
    except OSError as error:
        raise SampleError(f"cannot write to {out_dir}: {error.strerror}; give another folder with --out") from error
    err.print(f"{n} samples in {out_dir}", markup=False, highlight=False)
