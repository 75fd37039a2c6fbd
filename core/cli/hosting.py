"""Commands for whoever shows Strata elsewhere: `doctor`, `record` and `report`; registered in core/cli/main.py."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from core import __version__, settings
from core.cli.shared import JsonOption, print_json
from core.errors import LimitError, StoreError, StrataError
from core.files import replace_text
from core.library import finding
from core.library.recordings import ANSWERING, RecordedAnswer, image_hash, save_lines
from core.library.run_view import RunView
from core.limits import load_limits
from core.pruning import build_plan
from core.records.plan import PruningPlan
from core.scenes.samples import draw_from_source

PACKAGES = {  # what is missing where a package is: what it is for, how to get it
    "torch": ("answers, calibration and sweeps", "requirements.txt"),
    "transformers": ("answers, calibration and sweeps", "requirements.txt"),
    "datasets": ("real benchmarks", "requirements.txt"),
    "math_verify": ("answers with formulas", "requirements.txt"),
    "gguf": ("python -m core models fetch smol", "requirements.txt"),
    "accelerate": ("models larger than one GPU", "requirements-gpu.txt"),
    "torchvision": ("faster picture processors", "requirements-gpu.txt"),
    "ray": ("sweeps on a cluster", "requirements-ray.txt"),
    "vl_convert": ("python -m core report", "requirements-report.txt"),
}
NEEDED = ("streamlit", "altair", "numpy", "pandas", "pyarrow", "PIL", "diskcache", "scipy")  # by the pages themselves
RECORDED_CRITERIA, RECORDED_BUDGETS = ("math_aware", "non_math_aware", "mixed", "deepest"), (4, 6, 8)


def check_up() -> dict[str, Any]:
    """What runs on this machine: checks with what was found and how to mend it; "ready": the pages can be served."""
    checks: list[dict[str, Any]] = []

    def check(name: str, ok: bool, found: str, fix: str = "", needed: bool = False) -> None:
        checks.append({"name": name, "ok": ok, "found": found, "fix": "" if ok else fix, "needed": needed})

    version = sys.version_info
    known = (3, 11) <= version[:2] <= (3, 13)
    check("Python", known, f"{version[0]}.{version[1]}.{version[2]}", "install Python 3.11, 3.12 or 3.13")
    lacking = [name for name in NEEDED if find_spec(name) is None]
    install = "pip install -r requirements-viewer.txt"
    check("pages", not lacking, f"missing: {', '.join(lacking)}" if lacking else "all packages", install, needed=True)
    for name, (what, where) in PACKAGES.items():
        here = find_spec(name) is not None
        check(name, here, "installed" if here else f"missing: {what}", f"pip install -r {where}")
    runs = len(list(settings.RECORDED_DIR.glob("*.runs.parquet")))
    check("recorded runs", bool(runs), f"{runs} files", "git checkout cache/recorded")
    weights = any(settings.TINY_DIR.glob("*.safetensors"))
    check("embedded model", weights, "weights here" if weights else "no weights", "git checkout assets/strata-tiny")
    home = settings.data_dir()
    can_write = settings.writable(str(home))
    check("user folder", can_write, f"{home}", "set STRATA_HOME to a folder that you can write")
    if can_write:
        free = shutil.disk_usage(home).free / 2**30
        check("disk", free > 0.5, f"{free:.1f} GiB free", "free some space, or set STRATA_HOME to another disk")
    try:
        limits = load_limits()
        check("limits", True, "of a public instance" if settings.demo() else "none of a public instance", needed=True)
        models = limits.model_ids
        mode = "replay" if settings.replay() else "demo" if settings.demo() else "live"
    except LimitError as error:
        check("limits", False, str(error), "correct the variable", needed=True)
        models, mode = None, "unknown"
    return {
        "version": __version__,
        "mode": mode,
        "device": _device(),
        "models": list(models) if models is not None else None,
        "ready": all(c["ok"] for c in checks if c["needed"]),
        "checks": checks,
    }


def _device() -> str:
    if find_spec("torch") is None:
        return "none: recorded runs and answers only"
    import torch

    if not torch.cuda.is_available():
        return f"CPU, {os.cpu_count()} cores"
    name, memory = torch.cuda.get_device_name(0), torch.cuda.mem_get_info(0)[0] / 2**30
    return f"{torch.cuda.device_count()} x {name}, {memory:.0f} GiB free on the first"


def doctor(as_json: JsonOption = False) -> None:
    """What runs here, what is missing, and how to get it. Exit code 2 if not even the pages can be served."""
    found = check_up()
    if as_json:
        print_json(found)
    else:
        typer.echo(f"Strata {found['version']}, {found['mode']} mode, device: {found['device']}")
        for c in found["checks"]:
            mark = "ok     " if c["ok"] else "MISSING" if c["needed"] else "absent "
            typer.echo(f"{mark}  {c['name']}: {c['found']}" + (f"  ->  {c['fix']}" if c["fix"] else ""))
    if not found["ready"]:
        raise typer.Exit(2)


def record(
    model: Annotated[str, typer.Option("--model", help="tiny, a Hub id, or a local folder.")] = "tiny",
    out_file: Annotated[Path | None, typer.Option("--out", help="Where the answers go, NAME.answers.jsonl.")] = None,
) -> None:
    """Answer the gallery with the full model and several plans, and keep every token with its time for replay."""
    from datetime import UTC, datetime

    from core.vlm.generation import answer
    from core.vlm.loading import load_vlm, quiet_transformers

    quiet_transformers()
    atlas = finding.load_atlas(model)
    samples = [draw_from_source(s) for s in finding.gallery_sources(RunView.of(model).items.values())]
    if not samples:
        raise StoreError(f"no measured items of {model} to ask: run python -m core sweep --model {model}")
    plans: dict[str, PruningPlan | None] = {"": None}
    for criterion in RECORDED_CRITERIA:
        for budget in RECORDED_BUDGETS:
            if budget < atlas.n_layers - 1:
                plan = build_plan(atlas, criterion, budget)
                plans[plan.plan_id] = plan
    vlm = load_vlm(model)
    answer(vlm, None, samples[0].image, samples[0].question, ANSWERING)  # not recorded: it pays for loading
    made = [
        RecordedAnswer(
            vlm.spec,
            answer(vlm, plan, s.image, s.question, ANSWERING),
            ANSWERING,
            s.sample_id,
            s.answer,
            image_hash(s.image),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
        )
        for s in samples
        for plan in plans.values()
    ]
    path = out_file or settings.data_dir() / "answers" / f"{finding.model_slug(model)}.answers.jsonl"
    save_lines(path, made)
    typer.echo(f"{len(made)} answers of {len(plans)} plans to {len(samples)} questions in {path}", err=True)


def report(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for index.html.")],
    model: Annotated[str, typer.Option("--model", help="tiny, a Hub id, or a local folder.")] = "tiny",
) -> None:
    """One HTML file with the charts and tables of a model's runs; it opens without a server and without network."""
    if find_spec("vl_convert") is None:
        raise StrataError("the report needs vl-convert: pip install -r requirements-report.txt")
    from core.report import build_report  # draws with Altair, which the other commands do without

    path = out_dir.absolute() / "index.html"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise StoreError(f"cannot write to {out_dir}: {error.strerror}; give another folder with --out") from error

    try:
        replace_text(path, build_report(model))
    except StrataError:
        path.unlink()
        raise
    typer.echo(f"{path} ({path.stat().st_size / 1e6:.1f} MB)", err=True)
