"""What the commands share: where they print, the options that several take, and one JSON document with --json."""

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console

out, err = Console(), Console(stderr=True)

ModelOption = Annotated[str, typer.Option("--model", help="tiny, a Hub id (with @revision), or a local folder.")]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="auto (a GPU that holds the model, else balanced, else the CPU), cpu, cuda, cuda:0, or balanced: layers "
        "spread over all GPUs and the CPU (needs accelerate, see requirements-gpu.txt)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def print_json(document: Any) -> None:
    """JSON has no NaN and no infinity: they become null."""
    finite = json.loads(json.dumps(document), parse_constant=lambda _: None)
    sys.stdout.write(json.dumps(finite, indent=2, ensure_ascii=False) + "\n")


def say(text: str) -> None:
    """A line for people, on stderr, as it is."""
    err.print(text, markup=False, highlight=False, soft_wrap=True)


def names_in(text: str) -> list[str]:
    """The names of a comma-separated list, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
