"""The command `bench`: speed as ratios to reference ways."""

from typing import Annotated

import typer
from rich.table import Table

from core.cli.shared import DeviceOption, JsonOption, ModelOption, load_model, out, print_json, progress_bar


def bench(
    case: Annotated[str, typer.Argument(help="similarity, view, decode, forest, growth, ui or all.")] = "all",
    model: ModelOption = "tiny",
    rounds: Annotated[int, typer.Option(min=1, max=100)] = 3,
    random_weights: Annotated[
        str,
        typer.Option("--random-weights", metavar="DIR", help="Instead of --model: a folder with a config.json."),
    ] = "",
    dtype: Annotated[str, typer.Option(help="With --random-weights: float32, bfloat16, float16 or auto.")] = "auto",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Speed of ours as a ratio to a reference way, after checking that both agree."""
    from core.bench import run_bench
    from core.vlm.loading import quiet_transformers
    from core.vlm.shaped import load_random

    quiet_transformers()
    vlm = load_random(random_weights, device, dtype) if random_weights else load_model(model, device)

    with progress_bar("measuring") as bar:
        report = run_bench(vlm, [case], rounds, bar)
    if as_json:
        print_json(report)
        return
    table = Table(title=f"{report['machine']['model']} on {report['machine']['device']}, {rounds} rounds, medians")
    for heading in ("case", "ours", "reference", "ratio", "agree", "reference is"):
        table.add_column(heading)
    for row in report["cases"]:
        times = (f"{row['ours_s'] * 1000:.1f} ms", f"{row['reference_s'] * 1000:.1f} ms", f"{row['ratio']:.2f}")
        table.add_row(row["name"], *times, "yes" if row["agree"] else "NO", row["reference"])
    out.print(table)
