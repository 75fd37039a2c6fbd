"""Exporting a plan: a folder that plain transformers loads, with the plan's passport in it.

Weights go from file to file without passing through memory (core.vlm.shards). Everything is written into a hidden
folder beside the target, reloaded and compared with the plan's view there, and renamed at the end: a target is whole,
or it is not there.
"""

import errno
import gc
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText

from core.errors import ExportError, PlanError
from core.records.plan import PLAN_FILE, PruningPlan
from core.records.samples import Sample
from core.scenes.samples import draw_samples
from core.vlm.card import model_card, passport
from core.vlm.encoding import encode_samples
from core.vlm.loading import VLM, decoder_layers, describe
from core.vlm.processing import load_processor
from core.vlm.shards import find_layers, pruned_bytes, read_shards, write_pruned
from core.vlm.view import pruned_config, pruned_view

COPIED = ("*.json", "*.jinja", "*.txt", "*.model", "LICENSE*", "NOTICE*")  # beside the weights, from the source folder
WRITTEN = ("config.json", PLAN_FILE, "*.index.json", "adapter_*")  # made anew, or of something that is not exported
ROUNDING = 0.02  # of the largest logit: how far two runs of half-precision or GPU kernels may differ
# the same in float32 on CPU: 0, but that kernels of experts depend on how a weight is aligned in memory
EXACT_ROUNDING = 1e-5


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far the reloaded model's logits are from the view's (None: not compared)."""

    out: Path
    plan: PruningPlan
    parameters: int
    bytes: int  # of all files
    files: tuple[str, ...]
    max_difference: float | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "out": str(self.out), "plan": self.plan.to_dict(), "files": list(self.files)}


def export_plan(
    vlm: VLM,
    plan: PruningPlan,
    out: Path,
    *,
    scores: Mapping[str, Any] | None = None,
    atlas_hash: str = "",
    verify: bool = True,
) -> ExportReport:
    """Write the model without the plan's dropped layers to a new folder.

    Args:
        scores: measured scores for the model card (`RunView.passport`): name -> number, or a mapping of its columns.
        atlas_hash: of the calibration samples that the plan rests on.
        verify: reload the result and compare its logits with the view's before it gets its name. Needs a loaded model
            and memory for the pruned one beside it; without it, an outline (`load_outline`) is enough.
    Raises:
        PlanError: the plan is for another depth, or drops structural layers.
        ExportError: a target that exists, cannot be written or is full; a source that cannot be copied; a difference.
    """
    began = time.perf_counter()
    _check(vlm, plan)
    out = out.expanduser().resolve()
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise ExportError(f"{out} is there already and not empty: give a new folder")
        made = _make_parents(out)
    except OSError as error:
        raise ExportError(_cannot_write(out, error)) from error
    part: Path | None = None
    try:
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
        part.chmod(0o755)
        parameters = _write(vlm, plan, part, scores or {}, atlas_hash)
        difference = compare(vlm, plan, part) if verify else None
        files = tuple(sorted(str(p.relative_to(part)) for p in part.rglob("*") if p.is_file()))
        size = sum((part / f).stat().st_size for f in files)
        part.rename(out)
    except BaseException as error:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        for folder in made:
            with suppress(OSError):  # someone else uses it by now
                folder.rmdir()
        if isinstance(error, (OSError, SafetensorError)):
            raise ExportError(_cannot_write(out, error)) from error
        raise
    return ExportReport(out, plan, parameters, size, files, difference, time.perf_counter() - began)


def compare(vlm: VLM, plan: PruningPlan, folder: Path) -> float:
    """Largest difference of logits, on one drawn sample, between the plan's view and the checkpoint in a folder.

    Raises:
        ExportError: the folder does not load, or the difference is more than rounding.
    """
    sample = draw_samples("test", 0, 1)
    ours = _logits(vlm, plan, sample)
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=vlm.model.dtype,
            attn_implementation=vlm.model.config._attn_implementation,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
        processor = load_processor(folder)
        model = model.to(vlm.device).eval()
        theirs = _logits(VLM(model, processor, describe(model, vlm.spec.model_id, "")), None, sample)
    except torch.OutOfMemoryError as error:
        raise ExportError("no memory to reload and check the export beside the model: add --no-verify") from error
    except (OSError, ValueError, RuntimeError, ImportError, KeyError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise ExportError(f"the exported checkpoint does not load: {error}") from error
    del model
    gc.collect()
    if ours.shape != theirs.shape:
        raise ExportError(f"the exported checkpoint gives logits {tuple(theirs.shape)}, the view {tuple(ours.shape)}")
    difference = float((ours - theirs).abs().max())
    exact = vlm.device.type == "cpu" and vlm.model.dtype == torch.float32
    if not difference <= (EXACT_ROUNDING if exact else ROUNDING) * float(ours.abs().max()):
        raise ExportError(
            f"the exported checkpoint answers otherwise than the view (logits differ by {difference:.3g}): "
            f"{vlm.spec.family} keeps something per layer that is not cut with it, so nothing was written"
        )
    return difference


def _logits(vlm: VLM, plan: PruningPlan | None, samples: list[Sample]) -> torch.Tensor:
    """(1, T, V) float32."""
    model = pruned_view(vlm.model, plan.dropped) if plan else vlm.model
    with torch.inference_mode():
        logits: torch.Tensor = model(**encode_samples(vlm, samples).inputs).logits
        return logits.float()


def _check(vlm: VLM, plan: PruningPlan) -> None:
    if plan.n_layers != vlm.spec.n_layers:
        raise PlanError(f"the plan is for {plan.n_layers} layers, {vlm.spec.model_id} has {vlm.spec.n_layers}")
    fixed = sorted(set(plan.dropped) & set(vlm.spec.structural))
    if fixed:
        raise PlanError(f"layers {fixed} of {vlm.spec.model_id} take in visual features: no plan may drop them")
    if vlm.folder is None and vlm.model.device.type == "meta":
        raise ExportError(f"{vlm.spec.model_id} has neither weights nor a folder: load it first")


# ------------------------------------------------------------------------------------------------ what is written


def _write(vlm: VLM, plan: PruningPlan, part: Path, scores: Mapping[str, Any], atlas_hash: str) -> int:
    """Fill the folder; returns the number of parameters."""
    if vlm.folder is None:
        view = pruned_view(vlm.model, plan.dropped)
        _need(part, sum(p.numel() * p.element_size() for p in view.parameters()))
        view.save_pretrained(part)
        vlm.processor.save_pretrained(part)
        licence = ""
    else:
        _copy_pruned(vlm, plan, vlm.folder, part)
        licence = _licence(vlm.folder)
    document = passport(vlm.spec, plan, scores, atlas_hash)
    (part / PLAN_FILE).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    (part / "README.md").write_text(model_card(document, licence))
    return int(document["parameters"])


def _copy_pruned(vlm: VLM, plan: PruningPlan, folder: Path, part: Path) -> None:
    shapes = [{name: tuple(p.shape) for name, p in layer.named_parameters()} for layer in decoder_layers(vlm.model)]
    shards = read_shards(folder)
    prefix = find_layers(shards, shapes)
    _need(part, pruned_bytes(shards, prefix, plan.kept))
    for path in sorted({p for pattern in COPIED for p in folder.glob(pattern) if p.is_file()}):
        if not any(path.match(pattern) for pattern in WRITTEN):
            shutil.copyfile(path, part / path.name)
    # the source's own configuration: the loaded one carries the dtype of this machine
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    pruned_config(config, list(plan.kept)).save_pretrained(part)
    if not (part / "generation_config.json").exists() and vlm.model.generation_config is not None:
        vlm.model.generation_config.save_pretrained(part)
    write_pruned(shards, part, prefix, plan.kept)


def _licence(folder: Path) -> str:
    """The licence that the source's model card states in its front matter, if there is a card."""
    try:
        head = (folder / "README.md").read_text(errors="replace").split("---", 2)
    except OSError:
        return ""
    lines = head[1].splitlines() if len(head) == 3 and not head[0].strip() else []
    return next((line.partition(":")[2].strip().strip("\"'") for line in lines if line.startswith("license:")), "")


def _need(part: Path, size: int) -> None:
    free = shutil.disk_usage(part).free
    if size > free:
        raise ExportError(f"the export takes {size / 2**30:.2f} GiB, {part.parent} has {free / 2**30:.2f} GiB free")


def _make_parents(out: Path) -> list[Path]:
    """Create the folders above the target; returns those created, innermost first."""
    made = [p for p in out.parents if not p.exists()]
    out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(out.parent))
    return made


def _cannot_write(out: Path, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return f"the disk of {out.parent} is full: nothing was written; free some space or give another folder"
    return f"cannot export to {out}: {getattr(error, 'strerror', None) or error}; give another folder"
