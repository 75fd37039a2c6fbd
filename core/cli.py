"""The command line. Every command prints a table, or one JSON document with --json; progress goes to stderr.

Exit code 0, or 2 with one line that says what is wrong and what to do. torch is imported by the commands that need it.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from typer.exceptions import TyperException

from core.data.images import open_image
from core.data.samples import DOMAINS, draw_samples
from core.errors import PlanError, StrataError
from core.pruning import PruningPlan, SimilarityAtlas, build_plan, get_criterion, list_criteria, parse_budget
from core.runs import library

if TYPE_CHECKING:
    from core.vlm import VLM

app = typer.Typer(
    name="strata",
    help="Understand layer pruning of vision-language models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
runs_app = typer.Typer(help="Recorded and measured runs.", no_args_is_help=True, rich_markup_mode=None)
tiny_app = typer.Typer(help="The embedded model.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(runs_app, name="runs")
app.add_typer(tiny_app, name="tiny")

out, err = Console(), Console(stderr=True)

ModelOption = Annotated[str, typer.Option("--model", help="tiny, a Hub id (with @revision), or a local folder.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def main() -> None:
    """Entry point: errors become one line on stderr and exit code 2."""
    try:
        code = typer.main.get_command(app).main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except StrataError as error:
        _fail(str(error))
    except TyperException as error:
        _fail(f"{error.format_message()} (see python -m core --help)")
    except (typer.Abort, KeyboardInterrupt):
        _fail("stopped; finished items are kept, run the same command again to go on")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output has gone
        sys.exit(0)


def _fail(message: str) -> None:
    err.print(" ".join(message.split()), style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(2)


def _print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def _progress(label: str) -> Iterator[Any]:
    """A progress bar on stderr; yields a callback (done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total, text=label: bar.update(task, completed=done, total=total, description=text)


def _load(model: str, device: str = "auto") -> "VLM":
    from core.vlm.loading import load_vlm, quiet_transformers

    quiet_transformers()
    return load_vlm(model, device=device)


def _atlas(model: str, path: Path | None = None) -> SimilarityAtlas:
    return SimilarityAtlas.load(path) if path else library.load_atlas(model)


# ------------------------------------------------------------------------------------------------ models


@app.command()
def models(as_json: JsonOption = False) -> None:
    """Known models: the embedded one and those in the local Hub cache, with depth, size and whether they fit."""
    from core.vlm.loading import known_models, memory_bytes, quiet_transformers

    quiet_transformers()
    room = memory_bytes()
    specs, skipped = known_models()
    rows = [
        {**spec.to_dict(), "bytes_bf16": 2 * spec.n_parameters, "fits": 2.4 * spec.n_parameters < room}
        for spec in specs
    ]
    if as_json:
        _print_json({"memory_bytes": room, "models": rows, "unsupported": skipped})
        return
    table = Table(title=f"Models ({room / 2**30:.1f} GiB of memory free)")
    for heading in ("model", "family", "layers", "parameters", "bf16", "fits here"):
        table.add_column(heading)
    for row in rows:
        size = f"{row['bytes_bf16'] / 2**20:,.1f} MiB"
        cells = (row["model_id"], row["family"], str(row["n_layers"]), f"{row['n_parameters']:,}", size)
        table.add_row(*cells, "yes" if row["fits"] else "no")
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
    max_tokens: Annotated[int, typer.Option(min=1, max=1024)] = 48,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Ask a question about a picture, on the full model or on a pruned view."""
    picture = open_image(image)
    if plan is not None and (criterion or budget):
        raise PlanError("give either --plan or --criterion with --budget, not both")
    chosen = PruningPlan.load(plan) if plan else _plan(model, criterion, budget) if criterion or budget else None
    vlm = _load(model, device)
    from core.runs.records import GenerationConfig
    from core.vlm.generation import answer

    result = answer(vlm, chosen, picture, question, GenerationConfig(max_new_tokens=max_tokens))
    if as_json:
        _print_json(result.to_dict())
        return
    out.print(result.text, markup=False, highlight=False)
    err.print(
        f"{result.tokens} tokens · first after {result.ttft_s * 1000:.0f} ms · {result.tokens_per_s:.0f} tokens/s",
        style="dim",
    )


# ------------------------------------------------------------------------------------------------ calibrate, plan


@app.command()
def calibrate(
    model: ModelOption = "tiny",
    domains: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(DOMAINS),
    samples: Annotated[int, typer.Option(help="Calibration samples per domain.", min=2, max=100_000)] = 128,
    seed: Annotated[int, typer.Option()] = 0,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    device: DeviceOption = "auto",
    out_file: Annotated[Path | None, typer.Option("--out", help="Where the atlas goes.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the similarity of every span of decoder layers on calibration samples, and save the atlas."""
    from core.data.questions import domain_tasks
    from core.errors import CalibrationError, suggest

    names = [d.strip() for d in domains.split(",") if d.strip()]
    for name in names or [""]:
        if name not in DOMAINS:
            raise CalibrationError(f"unknown domain '{name}': {suggest(name, DOMAINS)}")
    vlm = _load(model, device)
    from core.vlm.similarity import compute_atlas

    drawn = {d: draw_samples("calibration", seed, samples, domain_tasks(d)) for d in names}
    with _progress("calibrating") as bar:
        atlas = compute_atlas(vlm, drawn, batch_size=batch_size, progress=bar)
    path = out_file or library.user_atlas_path(vlm.spec.model_id)
    try:
        atlas.save(path)
    except OSError as error:
        raise CalibrationError(f"cannot write {path}: {error.strerror}; give another place with --out") from error
    if as_json:
        similarity = {d: [round(float(v), 6) for v in atlas.mean(d)] for d in atlas.domains}
        _print_json({"model": atlas.model_id, "revision": atlas.revision, "path": str(path), "similarity": similarity})
        return
    table = Table(title=f"Similarity of each decoder layer · {atlas.model_id} · n = {samples} per domain")
    table.add_column("layer", justify="right")
    for name in atlas.domains:
        table.add_column(f"{name} (95 % interval)")
    means = {d: (atlas.mean(d), *atlas.interval(d)) for d in atlas.domains}
    for layer in range(atlas.n_layers):
        cells = [f"{m[layer]:.4f} ({low[layer]:.4f} to {high[layer]:.4f})" for m, low, high in means.values()]
        table.add_row(str(layer), *cells)
    out.print(table)
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
        _print_json(chosen.to_dict())
        return
    strip = "".join("×" if i in chosen.dropped else "■" for i in range(chosen.n_layers))
    out.print(
        f"{strip}  drops {', '.join(map(str, chosen.dropped))} of layers 0 to {chosen.n_layers - 1}", highlight=False
    )


# ------------------------------------------------------------------------------------------------ export


@app.command()
def export(
    out_dir: Annotated[Path, typer.Option("--out", help="A new folder for the checkpoint.")],
    model: ModelOption = "tiny",
    plan: Annotated[Path | None, typer.Option(help="A plan as JSON (python -m core plan --json).")] = None,
    criterion: Annotated[str | None, typer.Option(help="With --budget: the criterion that chooses the plan.")] = None,
    budget: Annotated[str | None, typer.Option(help="Layers to drop: a count or a percentage.")] = None,
    verify: Annotated[bool, typer.Option(help="Reload the export and compare its logits with the view's.")] = True,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write the pruned model to a folder that plain transformers loads; with --no-verify no weights enter memory."""
    if (plan is not None) == bool(criterion or budget):
        raise PlanError("give either --plan, or --criterion with --budget")
    chosen = PruningPlan.load(plan) if plan else _plan(model, criterion, budget)
    atlas_hash = "" if plan else _atlas(model).data_hash
    from core.vlm.loading import load_outline, quiet_transformers

    quiet_transformers()
    vlm = _load(model, device) if verify else load_outline(model)
    from core.vlm.export import export_plan

    scores = {
        r.benchmark: {"score": r.score, "n": r.n_scored, "metric": r.metric, "device": r.device}
        for r in library.all_runs()[0]
        if (r.plan.plan_id, r.model.revision) == (chosen.plan_id, vlm.spec.revision)
    }
    report = export_plan(vlm, chosen, out_dir, scores=scores, atlas_hash=atlas_hash, verify=verify)
    if as_json:
        _print_json(report.to_dict())
        return
    checked = "not compared with the view" if report.max_difference is None else "same logits as the view"
    out.print(
        f"{report.out}: {len(chosen.kept)} of {chosen.n_layers} decoder layers, {report.parameters:,} parameters, "
        f"{report.bytes / 2**20:,.1f} MiB in {len(report.files)} files, {checked}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


# ------------------------------------------------------------------------------------------------ sweep, regimes, runs


def parse_budgets(text: str) -> list[int]:
    """Budgets given as "1-8,10"."""
    budgets: set[int] = set()
    try:
        for part in text.split(","):
            first, _, last = part.partition("-")
            budgets |= set(range(int(first), int(last or first) + 1))
    except ValueError:
        raise PlanError(f"budgets '{text}' are not a list of counts: give for example 1-8,10") from None
    if not budgets:
        raise PlanError(f"budgets '{text}' are empty: give for example 1-8,10")
    return sorted(budgets)


@app.command()
def sweep(
    model: ModelOption = "tiny",
    criteria: Annotated[str, typer.Option(help="Comma-separated; all by default.")] = "",
    budgets: Annotated[str, typer.Option(help="Layers to drop, for example 1-8,10.")] = "1-12",
    random: Annotated[int, typer.Option("--random", help="Random plans per budget.", min=0, max=10_000)] = 16,
    benchmarks: Annotated[
        str, typer.Option(help="Comma-separated: tiny-math, tiny-general.")
    ] = "tiny-math,tiny-general",
    limit: Annotated[int, typer.Option(help="Items per benchmark.", min=1, max=100_000)] = 250,
    store: Annotated[Path | None, typer.Option(help="Run store, instead of the user's own.")] = None,
    atlas: Annotated[Path | None, typer.Option(help="An atlas file instead of the model's own.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Stated or not: what the store holds is not run again.")
    ] = True,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Score plans of every criterion and random ones on benchmarks, item by item; run again to resume."""
    from cache import RunStore
    from core.errors import StoreError, suggest
    from core.runs.sweep import benchmark_items, run_sweep, sweep_plans

    similarities = _atlas(model, atlas)
    names = [c.strip() for c in criteria.split(",") if c.strip()] or [c.name for c in list_criteria()]
    skipped: list[str] = []
    plans = sweep_plans(
        similarities,
        names,
        parse_budgets(budgets),
        random,
        on_skip=lambda name, n_drop, _why: skipped.append(f"{name} at {n_drop}"),
    )
    known = {items.benchmark: (items, samples) for items, samples in benchmark_items(n_per_domain=limit)}
    wanted = [b.strip() for b in benchmarks.split(",") if b.strip()]
    for name in wanted or [""]:
        if name not in known:
            raise StoreError(f"unknown benchmark '{name}': {suggest(name, known)}")
    vlm = _load(model, device)
    with RunStore(store or library.user_runs_path()) as runs, _progress("sweeping") as bar:
        report = run_sweep(vlm, similarities, plans, [known[b] for b in wanted], runs, progress=bar)
    if skipped:
        err.print(f"not possible, left out: {', '.join(skipped)}", markup=False, highlight=False)
    summary = {
        "model": vlm.spec.model_id,
        "plans": len(plans),
        "records": len(report.records),
        "outcomes_scored": report.scored,
        "outcomes_reused": report.reused,
        "seconds": round(report.seconds, 2),
        "skipped": skipped,
    }
    if as_json:
        scores = [
            {"run_id": r.run_id, "benchmark": r.benchmark, "score": r.score, "n": r.n_scored, **r.plan.to_dict()}
            for r in report.records
        ]
        _print_json({**summary, "scores": scores})
        return
    for benchmark in wanted:
        rows = [r for r in report.records if r.benchmark == benchmark]
        columns = sorted({r.plan.n_drop for r in rows})
        table = Table(title=f"Exact match on {benchmark} · n = {len(rows[0].item_ids)} · by layers dropped")
        for heading in ("criterion", *map(str, columns)):
            table.add_column(heading, justify="right" if heading != "criterion" else "left")
        for name in dict.fromkeys(r.plan.criterion for r in rows):
            scored = {k: [r.score for r in rows if (r.plan.criterion, r.plan.n_drop) == (name, k)] for k in columns}
            cells = [f"{sorted(v)[len(v) // 2]:.2f}" if v else "" for v in scored.values()]
            table.add_row("random, median" if name == "random" else name, *cells)
        out.print(table)
    err.print(
        f"{report.scored} outcomes scored, {report.reused} taken from the store, {report.seconds:.1f} s",
        highlight=False,
    )


@app.command()
def regimes(
    model: ModelOption = "tiny",
    domain: Annotated[str, typer.Option(help="math or general.")] = "math",
    as_json: JsonOption = False,
) -> None:
    """Which regime each measured budget is in, with the evidence."""
    from core.analysis import chance_score, detect_regimes
    from core.errors import StoreError
    from core.runs.records import outcomes_frame

    runs, items = library.all_runs()
    records = library.comparable(r for r in runs if r.model.model_id == model and r.domain == domain)
    if not records:
        raise StoreError(f"no runs of {model} on {domain} benchmarks: run python -m core sweep --model {model}")
    floor = max(chance_score(items[r.data_hash]) for r in records if r.data_hash in items)
    found = detect_regimes(outcomes_frame(records), floor=floor)
    if as_json:
        _print_json({"model": model, "domain": domain, **found.to_dict()})
        return
    for budget in found.budgets:
        out.print(found.explain(budget.n_drop), markup=False, highlight=False)


@runs_app.command("list")
def runs_list(model: Annotated[str | None, typer.Option("--model")] = None, as_json: JsonOption = False) -> None:
    """Every run, recorded and measured here."""
    rows = [_run_row(r) for r in library.all_runs()[0] if model in (None, r.model.model_id)]
    if as_json:
        _print_json(rows)
        return
    table = Table()
    table.add_column("run", no_wrap=True, min_width=16)  # whole, so that it can be copied into `runs show`
    for heading in ("model", "benchmark", "criterion", "dropped", "score", "n", "date"):
        table.add_column(heading)
    for row in rows:
        dropped = ",".join(map(str, row["dropped"])) or "none"
        name = row["criterion"] if row["seed"] is None else f"{row['criterion']} {row['seed']}"
        cells = (row["run_id"], row["model_id"], row["benchmark"], name, dropped, f"{row['score']:.3f}")
        table.add_row(*cells, str(row["n"]), row["created"][:10])
    out.print(table)


def _run_row(r: Any) -> dict[str, Any]:
    return {
        "run_id": r.run_id,
        "benchmark": r.benchmark,
        "score": r.score,
        "n": r.n_scored,
        "complete": r.complete,
        "device": r.device,
        "created": r.created,
        "origin": r.origin,
        **r.plan.to_dict(),
    }


@runs_app.command("show")
def runs_show(run_id: str, as_json: JsonOption = False) -> None:
    """One run with its outcomes, item by item."""
    from core.errors import StoreError

    found = [r for r in library.all_runs()[0] if len(run_id) >= 6 and r.run_id.startswith(run_id)]
    if len(found) != 1:
        raise StoreError(f"{len(found) or 'no'} runs are called '{run_id}': python -m core runs list shows the names")
    if as_json:
        _print_json({"run_id": found[0].run_id, **found[0].to_dict()})
        return
    for key, value in _run_row(found[0]).items():
        out.print(f"{key}: {value}", markup=False, highlight=False)


@runs_app.command("export")
def runs_export(file: Path, model: Annotated[str | None, typer.Option("--model")] = None) -> None:
    """Write the runs measured here to a Parquet file."""
    from cache import RunStore
    from core.errors import StoreError

    with RunStore(library.user_runs_path()) as runs:
        records = runs.records(model)
        if not records:
            raise StoreError("nothing to export: no runs were measured here; run python -m core sweep first")
        runs.export_parquet(file, records)
    err.print(f"{len(records)} runs in {file}", markup=False, highlight=False)


@runs_app.command("import")
def runs_import(file: Path) -> None:
    """Merge a Parquet file of runs into the store."""
    from cache import RunStore

    with RunStore(library.user_runs_path()) as runs:
        n = runs.import_parquet(file)
    err.print(f"{n} runs imported from {file}", markup=False, highlight=False)


# ------------------------------------------------------------------------------------------------ bench


@app.command()
def bench(
    case: Annotated[str, typer.Argument(help="similarity, view, forest or all.")] = "all",
    model: ModelOption = "tiny",
    rounds: Annotated[int, typer.Option(min=1, max=100)] = 3,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Speed of ours as a ratio to a reference way, after checking that both agree."""
    vlm = _load(model, device)
    from core.bench import run_bench

    report = run_bench(vlm, [case], rounds)
    if as_json:
        _print_json(report)
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
        _print_json(report)
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
