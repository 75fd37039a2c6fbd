"""The command `export`: a plan as a checkpoint, or as text for other tools."""

import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from core.cli.shared import (
    EMBEDDED,
    DeviceOption,
    JsonOption,
    PlannedOption,
    chosen_plan,
    err,
    given_plan,
    load_atlas,
    load_model,
    out,
    print_json,
    say,
)
from core.errors import PlanError
from core.library.run_view import RunView
from core.records.plan import PruningPlan

EXPORT_FORMATS = ("folder", "mergekit", "snippet", "plan")


EVALUATED = ("scienceqa", "chartqa", "realworldqa", "vstar", "ai2d", "pope")  # by both harnesses, without a judge


def export(
    target: Annotated[
        Path | None, typer.Option("--out", help="A new folder for the checkpoint; for other formats a file.")
    ] = None,
    model: PlannedOption = None,
    plan: Annotated[Path | None, typer.Option(help="A plan as JSON (python -m core plan --json).")] = None,
    criterion: Annotated[str | None, typer.Option(help="With --budget: the criterion that chooses the plan.")] = None,
    budget: Annotated[str | None, typer.Option(help="Layers to drop: a count or a percentage.")] = None,
    form: Annotated[str, typer.Option("--format", help="One of: " + ", ".join(EXPORT_FORMATS) + ".")] = "folder",
    verify: Annotated[bool, typer.Option(help="Reload the export and compare its logits with the view's.")] = True,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write the pruned model to a folder that plain transformers loads; with --no-verify no weights enter memory.

    The other formats are text: a mergekit recipe, Python that applies the plan as a view, or the plan as JSON.
    """
    from core.errors import ExportError, StoreError, suggest
    from core.interop import evaluation_commands

    if form not in EXPORT_FORMATS:
        raise ExportError(f"unknown format '{form}': {suggest(form, EXPORT_FORMATS)}")
    if (plan is not None) == bool(criterion or budget):
        raise PlanError("give either --plan, or --criterion with --budget")
    chosen, name = given_plan(plan, model) if plan else (chosen_plan(model, criterion, budget), model or EMBEDDED)
    if form != "folder":
        _export_text(chosen, name, form, target, as_json)
        return
    if target is None:
        raise ExportError("the checkpoint needs a place: give a new folder with --out")
    similarities = None if plan else load_atlas(name, criteria=[chosen.criterion])
    atlas_hash = similarities.data_hash if similarities and similarities.samples else ""
    from core.vlm.loading import load_outline, quiet_transformers

    quiet_transformers()
    vlm = load_model(name, device) if verify else load_outline(name)
    from core.vlm.export import export_plan

    scores = RunView.of(chosen.model_id, revision=vlm.spec.revision).passport(chosen)
    report = export_plan(vlm, chosen, target, scores=scores, atlas_hash=atlas_hash, verify=verify)
    evaluate: dict[str, str] = {}
    with suppress(StoreError):  # a folder that a harness's argument strings cannot hold
        evaluate = evaluation_commands(target, vlm.spec.family, EVALUATED)
    if as_json:
        print_json({**report.to_dict(), "evaluate": evaluate})
        return
    difference = report.max_difference
    checked = "not compared with the view" if difference is None else f"logits within {difference:.2g} of the view's"
    if difference == 0:
        checked = "same logits as the view"
    out.print(
        f"{report.out}: {len(chosen.kept)} of {chosen.n_layers} decoder layers, {report.parameters:,} parameters, "
        f"{report.bytes / 2**20:,.1f} MiB in {len(report.files)} files, {checked}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for key in ("lmms-eval", "vlmevalkit-config", "vlmevalkit", "note"):
        if key in evaluate:
            say(f"{key}: {evaluate[key]}")


def _export_text(plan: PruningPlan, model: str, form: str, target: Path | None, as_json: bool) -> None:
    """A plan for other tools, to stdout or a file; no model is loaded."""
    from core import settings
    from core.errors import ExportError
    from core.pruning.formats import mergekit_yaml, python_snippet

    if form == "plan":
        text = json.dumps(plan.to_dict(), indent=2) + "\n"
    elif form == "snippet":
        text = python_snippet(replace(plan, model_id=model))
    else:
        text = mergekit_yaml(plan, str(settings.named_folder(model) or model))
    if target:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        except OSError as error:
            raise ExportError(f"cannot write {target}: {error.strerror}; give another file with --out") from error
    if as_json:
        print_json({"format": form, "plan": plan.to_dict(), "out": str(target) if target else None, "text": text})
    elif target:
        err.print(f"{form} in {target}", markup=False, highlight=False)
    else:
        sys.stdout.write(text)
