"""The command `ask`: a question about a picture, on the full model or on a pruned view."""

from pathlib import Path
from typing import Annotated

import typer

from core.benchmarks.images import open_image
from core.cli.shared import DeviceOption, JsonOption, ModelOption, chosen_plan, err, load_model, out, print_json
from core.errors import PlanError
from core.records.plan import PruningPlan


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
    from core.records.answers import GenerationConfig

    config = GenerationConfig(max_new_tokens, temperature, top_p, seed, top)
    picture = open_image(image)
    if plan is not None and (criterion or budget):
        raise PlanError("give either --plan or --criterion with --budget, not both")
    chosen = PruningPlan.load(plan) if plan else chosen_plan(model, criterion, budget) if criterion or budget else None
    vlm = load_model(model, device)
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
