"""What the commands share: where they print, the options that several take, and one JSON document with --json."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from core import interrupts
from core.errors import CalibrationError, PlanError
from core.library import finding
from core.measure.jobs import Report
from core.pruning import SimilarityAtlas, build_plan, get_criterion
from core.records.plan import PruningPlan, model_name, parse_budget

if TYPE_CHECKING:
    from core.vlm import VLM

EMBEDDED = "tiny"
out, err = Console(), Console(stderr=True)

ModelOption = Annotated[
    str, typer.Option("--model", help="tiny, smol (once fetched), a Hub id (with @revision), or a local folder.")
]
PlannedOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="tiny, smol, a Hub id (with @revision), or a folder; by default the plan's or atlas's own, or tiny.",
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="auto (a GPU that holds the model, else balanced, else the CPU), cpu, cuda, cuda:0, or balanced: layers "
        "spread over all GPUs and the CPU (needs accelerate, see requirements-gpu.txt)."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


report: Report | None = None  # where the running command says how far it is, besides the progress bar


def report_to(path: Path | None) -> Path | None:
    global report  # noqa: PLW0603  # one command runs in a process
    report = Report(path) if path else None
    return path


ProgressFileOption = Annotated[
    Path | None,
    typer.Option(
        "--progress-file", help="Keep the state of this command in a JSON file.", callback=report_to, is_eager=True
    ),
]


@contextmanager
def progress_bar(label: str) -> Iterator[Any]:
    """A progress bar on stderr; yields a callback (done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(label, total=None)

        def progress(done: int, total: int, text: str = label) -> None:
            interrupts.check()
            bar.update(task, completed=done, total=total, description=text)
            if report is not None:
                report.progress(done, total, text)

        yield progress


def load_model(model: str, device: str = "auto") -> "VLM":
    from core.vlm.loading import load_vlm, quiet_transformers

    quiet_transformers()
    return load_vlm(model, device=device)


def load_atlas(model: str | None, path: Path | None = None, criteria: Iterable[str] = ("",)) -> SimilarityAtlas:
    """A model's atlas; one without similarities where there is none and no criterion needs any.

    Args:
        model: if it is left out, whatever the file is of, or the embedded one.
        path: a file instead of the model's own.
    Raises:
        CalibrationError: there is none, or the file is of another model.
    """
    if path:
        atlas = SimilarityAtlas.load(path)
        if model and atlas.model_id != model_name(model):
            raise CalibrationError(f"{path} is an atlas of {atlas.model_id}, not of {model}: give that model's own")
        return atlas
    model = model or EMBEDDED
    try:
        return finding.load_atlas(model)
    except CalibrationError:
        if not all(name and get_criterion(name).blind for name in criteria):
            raise
        try:
            from core.vlm.loading import load_outline, quiet_transformers
        except ImportError:
            load_outline = None  # type: ignore[assignment]
        if load_outline is None:
            raise
        quiet_transformers()
        return SimilarityAtlas.without_samples(load_outline(model).spec)


def given_plan(path: Path, model: str | None) -> tuple[PruningPlan, str]:
    """A plan from a file, and the model that it is of: the one that is asked for, else the plan's own.

    Raises:
        PlanError: not a plan, or one of another model, or of another depth as far as that is known here.
    """
    plan = PruningPlan.load(path)
    model = model or plan.model_id
    return plan.of(model_name(model), finding.known_depth(model)), model


def chosen_plan(
    model: str | None,
    criterion: str | None,
    budget: str | None,
    seed: int = 0,
    atlas_path: Path | None = None,
    ends: bool = True,
) -> PruningPlan:
    if not criterion or not budget:
        raise PlanError("--criterion and --budget go together: for example --criterion math_aware --budget 4")
    get_criterion(criterion)  # an unknown name is the clearer complaint, before the atlas is looked for
    atlas = load_atlas(model, atlas_path, [criterion])
    return build_plan(atlas, criterion, parse_budget(budget, atlas.n_layers), seed=seed, protect_ends=ends)


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
