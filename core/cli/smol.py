"""The commands `smol train`, `smol export` and `smol evaluate`: the eyes of the fetched model."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from core.cli.shared import DeviceOption, JsonOption, ModelOption, load_model, out, print_json, progress_bar, say


def smol_train(
    minutes: Annotated[float, typer.Option(help="Time budget, over all resumed sessions.", min=0.01)] = 420.0,
    checkpoint: Annotated[Path | None, typer.Option(help="Where training resumes from.")] = None,
    out_dir: Annotated[Path | None, typer.Option("--out", help="Where the trained eyes go.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    scratch: Annotated[bool, typer.Option("--scratch", help="Begin anew, not with the eyes that ship.")] = False,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train the eyes of smol beside the frozen decoder; run again to resume, with more minutes to go on.

    Without a checkpoint, training goes on from the eyes that ship.
    """
    from core import settings
    from core.vlm.loading import quiet_transformers
    from core.vlm.smol.train import TrainConfig, train_eyes

    quiet_transformers()
    train_eyes(
        TrainConfig(minutes=minutes, seed=seed),
        out_dir or settings.SMOL_EYES,
        checkpoint or settings.data_dir() / "training" / "smol",
        threads,
        scratch,
        log=say,
    )


def smol_export(
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint of smol train.")] = None,
    out_dir: Annotated[Path | None, typer.Option("--out", help="Where the trained eyes go.")] = None,
) -> None:
    """Write the eyes of a checkpoint, while training goes on or after it was stopped."""
    from core import settings
    from core.vlm.smol.checkpoints import export_eyes

    export_eyes(checkpoint or settings.data_dir() / "training" / "smol", out_dir or settings.SMOL_EYES)


def smol_evaluate(
    seed: Annotated[int, typer.Option(help="Of the freshly drawn set.")] = 0,
    limit: Annotated[int, typer.Option(help="Number of samples.", min=1, max=1_000_000)] = 500,
    split: Annotated[str, typer.Option(help="test, validation, calibration or train.")] = "test",
    texts: Annotated[int, typer.Option(help="Prompts without a picture for the language check; 0: none.", min=0)] = 0,
    package: Annotated[Path | None, typer.Option(help="The downloaded package, for the language check.")] = None,
    model: ModelOption = "smol",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Exact match of the model on a freshly drawn set, per task, and how far its language has moved."""
    from core.errors import SampleError, suggest
    from core.scenes.samples import SPLITS

    if split not in SPLITS:
        raise SampleError(f"unknown split '{split}': {suggest(split, SPLITS)}")
    vlm = load_model(model, device)
    from core.vlm.smol.evaluate import evaluate_smol

    with progress_bar("evaluating") as bar:
        report = evaluate_smol(vlm, seed, limit, split, texts, package, bar)
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
    if "language" in report:
        found = report["language"]
        out.print(
            f"Language, {found['n']} texts of the pretrained decoder: KL {found['kl']:.3f} nats a token, "
            f"the same likeliest token at {found['same_token']:.1%}",
            highlight=False,
        )


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The fetched model's eyes.", no_args_is_help=True, rich_markup_mode=None)
    for name, command in (("train", smol_train), ("export", smol_export), ("evaluate", smol_evaluate)):
        group.command(name)(command)
    app.add_typer(group, name="smol")
