"""The command `recipes`: what there is to measure, what it takes, and what to type; registered in core/cli/main.py."""

import shlex
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.table import Table

from core.cli.shared import JsonOption, out, print_json
from core.errors import CalibrationError
from core.library import finding
from core.measure.estimates import Assumptions, Estimate, expected_hours
from core.measure.gpus import GPUS, get_gpu
from core.measure.recipes import Recipe, get_recipe, list_recipes
from core.measure.shapes import SHAPES, known_anatomy
from core.measure.workload import calibration_works, recipe_plans, recipe_works
from core.pruning.atlas import SimilarityAtlas
from core.pruning.cost import ModelAnatomy
from core.records.plan import protected_layers

USUAL_MODEL = "Qwen/Qwen3-VL-4B-Instruct"
USUAL_IMAGE_TOKENS = 1024  # of a model whose processor is not known here


def recipes(
    name: Annotated[str, typer.Argument(help="A recipe; all of them by default.")] = "",
    model: Annotated[
        str, typer.Option("--model", help="One whose shape ships, or a local folder with a config.json.")
    ] = USUAL_MODEL,
    gpu: Annotated[str, typer.Option(help="One of: " + ", ".join(GPUS) + ".")] = "H100",
    gpus: Annotated[int, typer.Option(help="How many of them.", min=1, max=10_000)] = 1,
    compute: Annotated[float, typer.Option(help="Share of the GPU's stated FLOP/s that is reached.")] = 0.4,
    bandwidth: Annotated[float, typer.Option(help="Share of its memory bandwidth that is reached.")] = 0.6,
    layer_ms: Annotated[float, typer.Option(help="Launch of one decoder layer, at least, in milliseconds.")] = 1.2,
    prompt_tokens: Annotated[int, typer.Option(help="Text of a question.", min=1)] = 128,
    image_tokens: Annotated[
        int, typer.Option(help="Of a picture; 0: as the model cuts one of 1024 by 768 pixels.", min=0)
    ] = 0,
    answer_tokens: Annotated[
        int, typer.Option(help="Mean length of an answer; 0: every answer runs to its benchmark's limit.", min=0)
    ] = 0,
    answer_batch: Annotated[
        int,
        typer.Option(help="Free answers written at once, of all plans; 0: as many as fit.", min=0, max=4096),
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Recipes of sweeps; of one: budgets, plans, items, expected GPU hours (an estimate) and the commands to type."""
    if not name:
        _print_list(as_json)
        return
    recipe, card = get_recipe(name), get_gpu(gpu)
    given = Assumptions(
        compute, bandwidth, layer_ms / 1000, prompt_tokens, answer_tokens=answer_tokens, answer_batch=answer_batch
    )
    anatomy, structural, usual, atlas = _model(model)
    image = image_tokens or usual
    plans = recipe_plans(recipe, model, anatomy.n_layers, structural, atlas)
    works, calibration = recipe_works(recipe, image), calibration_works(recipe, image)
    found = expected_hours(anatomy, works, plans, card, given, calibration)
    document = {
        "model": model,
        "n_layers": anatomy.n_layers,
        "recipe": recipe.to_dict(),
        "budgets": recipe.budgets(anatomy.n_layers, len(protected_layers(anatomy.n_layers, structural))),
        "plans_from": "atlas" if atlas else "drawn rankings",
        "image_tokens": image,
        "gpus": gpus,
        "estimate": found.to_dict(),
        "wall_hours": found.wall_hours(gpus),
        "commands": commands(recipe, model, found, gpus),
    }
    if as_json:
        print_json(document)
        return
    _print_plan_of_work(document, found)


def commands(recipe: Recipe, model: str, found: Estimate, gpus: int) -> dict[str, str]:
    """What to type: calibrate, then sweep here or on Ray. Both resume."""
    of_model = f"--model {shlex.quote(model)} --recipe {recipe.name}" + (
        "" if found.batch_size else " --device balanced"
    )
    batch = found.assumptions.answer_batch
    sweep = f"python -m core sweep {of_model}" + (f" --answer-batch {batch}" if batch > 1 else "")
    return {
        "calibrate": f"python -m core calibrate {of_model} --batch-size {found.batch_size or 1}",
        "sweep": sweep,
        "sweep on ray": f"{sweep} --executor ray --workers {gpus}",
    }


def _model(model: str) -> tuple[ModelAnatomy, tuple[int, ...], int, SimilarityAtlas | None]:
    """(Parts of the model, layers that no plan drops, tokens of a picture, its atlas if it was calibrated)."""
    name = model.partition("@")[0]
    structural: tuple[int, ...] = ()
    if model.startswith(("/", ".", "~")):  # a folder's configuration says it all
        from core.vlm.anatomy import read_anatomy
        from core.vlm.loading import quiet_transformers, read_spec

        quiet_transformers()
        name = model
        anatomy, structural = read_anatomy(model), read_spec(model).structural
    else:
        anatomy = known_anatomy(name)
    image_tokens = anatomy.tokens_per_image or USUAL_IMAGE_TOKENS
    if name in SHAPES:
        structural, image_tokens = SHAPES[name].structural, SHAPES[name].image_tokens
    atlas = None
    with suppress(CalibrationError):
        atlas = finding.load_atlas(name)
    return anatomy, structural, image_tokens, atlas


def _print_list(as_json: bool) -> None:
    if as_json:
        print_json([r.to_dict() for r in list_recipes()])
        return
    table = Table(title="Recipes (python -m core recipes NAME says what one takes)")
    for heading in ("recipe", "what", "% of layers", "criteria", "benchmarks, items"):
        table.add_column(heading, overflow="fold")
    for r in list_recipes():
        shares = ", ".join(f"{100 * share:g}" for share in r.shares)
        criteria = ", ".join((*r.criteria, f"{r.n_random} random"))
        table.add_row(r.name, r.title, shares, criteria, ", ".join(f"{key} {limit}" for key, limit in r.benchmarks))
    out.print(table)
    _say("Shapes that ship: " + ", ".join(SHAPES))


def _say(line: str) -> None:
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_plan_of_work(document: dict[str, Any], found: Estimate) -> None:
    recipe, given, gpu, gpus = document["recipe"], found.assumptions, found.gpu, document["gpus"]
    _say(f"{recipe['title']} ({recipe['source']}). {recipe['note']}")
    budgets = ", ".join(map(str, document["budgets"]))
    _say(f"{document['model']}: {document['n_layers']} decoder layers, of which {budgets} are dropped")
    _say(
        f"{found.plans} distinct plans (from {document['plans_from']}), the full model included: "
        f"{found.layers:,} layers, shared as {found.trie_nodes:,}"
    )
    table = Table(title=f"Expected hours of one {gpu.title} (estimated)")
    table.add_column("benchmark", no_wrap=True)
    for heading in ("items", "prompt", "answer up to", "prefill", "decoding", "hours"):
        table.add_column(heading, justify="right")
    for r in found.rows:
        hours = (f"{h:.2f}" for h in (r.prefill_hours, r.decode_hours, r.hours))
        table.add_row(r.benchmark, str(r.items), str(r.prompt_tokens), str(r.answer_tokens), *hours)
    table.add_row("all", *[""] * 5, f"{found.hours:.2f}", style="bold")
    out.print(table)
    _say(
        f"{found.hours:.1f} GPU hours in all, an estimate and no measurement; done after "
        f"{document['wall_hours']:.1f} hours on {gpus} of these, which take a few items at a time. Calibration "
        f"comes first: {60 * found.calibration_hours:.1f} minutes"
    )
    fit = f"batches of {found.batch_size} fit" if found.batch_size else "the model does not fit: use --device balanced"
    _say(f"In {gpu.memory_bytes / 1e9:.0f} GB {fit}")
    length = f"of {given.answer_tokens} tokens on average" if given.answer_tokens else "up to their limit"
    _say(
        f"Assumed: {given.compute:.0%} of the GPU's FLOP/s, {given.bandwidth:.0%} of its bandwidth, "
        f"{1000 * given.layer_s:g} ms to launch a layer, questions of {given.prompt_tokens} tokens, pictures of "
        f"{document['image_tokens']}, answers {length}; without downloads, loading and padding"
    )
    for what, command in document["commands"].items():
        _say(f"{what}: {command}")
