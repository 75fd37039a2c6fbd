"""The commands `calibrate` and `plan`: similarities, and which layers a criterion drops."""

from contextlib import suppress
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from core.cli.shared import (
    DeviceOption,
    JsonOption,
    ModelOption,
    ProgressFileOption,
    chosen_plan,
    err,
    load_atlas,
    load_model,
    names_in,
    out,
    print_json,
    progress_bar,
)
from core.library import finding
from core.measure.calibration import N_SAMPLES, draw_calibration
from core.measure.recipes import get_recipe
from core.pruning import list_criteria
from core.records.samples import Sample
from core.scenes.samples import DOMAINS


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
    from core.benchmarks import load_benchmark
    from core.errors import CalibrationError

    wanted = {b: samples or N_SAMPLES for b in names_in(benchmarks)}
    if recipe and not wanted:
        wanted = {b: samples or n for b, n in get_recipe(recipe).calibration}
    drawn: dict[str, list[Sample]] = {}
    for benchmark, n in wanted.items():
        items, found = load_benchmark(benchmark, limit=n, seed=seed, part="calibration")
        drawn.setdefault(items.domain, []).extend(found)
    if not wanted:
        drawn = dict(draw_calibration(names_in(domains), samples or N_SAMPLES, seed))
    names = list(drawn)
    vlm = load_model(model, device)
    from core.measure.greedy import greedy_orders
    from core.vlm.similarity import compute_atlas

    with progress_bar("calibrating") as bar:
        atlas = compute_atlas(vlm, drawn, batch_size=batch_size, progress=bar)
    path = out_file or finding.user_atlas_path(vlm.spec.model_id)
    with suppress(CalibrationError):  # none yet, or a damaged one
        atlas = load_atlas(vlm.spec.model_id, out_file).merged(atlas)
    try:
        atlas.save(path)
        if greedy:
            with progress_bar("greedy removal") as bar:
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
    chosen = chosen_plan(model, criterion, budget, seed, atlas, protect_ends)
    if as_json:
        print_json(chosen.to_dict())
        return
    strip = "".join("×" if i in chosen.dropped else "■" for i in range(chosen.n_layers))
    out.print(
        f"{strip}  drops {', '.join(map(str, chosen.dropped))} of layers 0 to {chosen.n_layers - 1}", highlight=False
    )
