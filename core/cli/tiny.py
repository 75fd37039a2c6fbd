"""The commands `tiny train`, `tiny evaluate` and `tiny samples`: the embedded model."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from core.cli.shared import DeviceOption, JsonOption, ModelOption, err, load_model, out, print_json, progress_bar
from core.scenes.samples import draw_samples


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


def tiny_evaluate(
    seed: Annotated[int, typer.Option(help="Of the freshly drawn set.")] = 0,
    limit: Annotated[int, typer.Option(help="Number of samples.", min=1, max=1_000_000)] = 1000,
    split: Annotated[str, typer.Option(help="test, validation, calibration or train.")] = "test",
    model: ModelOption = "tiny",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Exact match of the embedded model on a freshly drawn set, per task."""
    from core.errors import SampleError, suggest
    from core.scenes.samples import SPLITS

    if split not in SPLITS:
        raise SampleError(f"unknown split '{split}': {suggest(split, SPLITS)}")
    vlm = load_model(model, device)
    from core.vlm.tiny.evaluate import evaluate_tiny

    with progress_bar("evaluating") as bar:
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


def tiny_samples(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for pictures and samples.jsonl.")],
    n: Annotated[int, typer.Option("--n", min=1, max=100_000)] = 32,
    seed: Annotated[int, typer.Option()] = 0,
    split: Annotated[str, typer.Option()] = "test",
) -> None:
    """Write drawn samples as PNG pictures with questions and gold answers."""
    from core.errors import SampleError, suggest
    from core.scenes.samples import SPLITS

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


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="The embedded model.", no_args_is_help=True, rich_markup_mode=None)
    for name, command in (("train", tiny_train), ("evaluate", tiny_evaluate), ("samples", tiny_samples)):
        group.command(name)(command)
    app.add_typer(group, name="tiny")
