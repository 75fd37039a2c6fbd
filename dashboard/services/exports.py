"""A plan as a Hub-ready folder in one zip file, made on demand; kept until the process ends. No Streamlit here."""

import hashlib
import json
import shlex
import tempfile
import threading
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from core.analysis.plan_tables import parameters_left
from core.errors import ExportError
from core.library.finding import model_slug
from core.library.run_view import RunView
from core.records.plan import ModelSpec, PruningPlan

ZIP_LIMIT = 200_000_000  # bytes of weights; a larger checkpoint goes straight to a folder, by the command line
KEPT = 4  # zip files on the disk at the same time
CHUNK = 2**20
BYTES = {"float32": 4, "float": 4, "float16": 2, "bfloat16": 2, "int8": 1}
Stage = Callable[[float, str], object]  # share of the work that is done, and what comes now
_building = threading.Lock()


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="strata-exports-")


def plan_name(plan: PruningPlan) -> str:
    """A name for a plan's files: "tiny-math_aware-6"."""
    return model_slug(f"{plan.model_id}-{plan.criterion}-{plan.n_drop}")


def export_command(plan: PruningPlan) -> str:
    """The command that writes the folder, from the plan as it is downloaded."""
    name = plan_name(plan)
    return f"python -m core export --model {shlex.quote(plan.model_id)} --plan plan-{name}.json --out {name}"


def pruned_bytes(model: ModelSpec, plan: PruningPlan) -> int:
    """Size of the pruned weights in the type that the model was measured in; its files may be smaller."""
    return parameters_left(model, plan) * BYTES.get(model.dtype.removeprefix("torch."), 4)


def build_zip(model: ModelSpec, plan: PruningPlan, atlas_hash: str = "", progress: Stage = lambda *_: None) -> Path:
    """Export, check against the plan's view, and zip; what is there already is not made again.

    Raises:
        ExportError: the checkpoint is too large for a download, or cannot be written.
    """
    if pruned_bytes(model, plan) > ZIP_LIMIT:
        raise ExportError(f"the checkpoint is too large for a download here: run {export_command(plan)}")
    scores = RunView.of(plan.model_id, revision=model.revision).passport(plan)
    inputs = [model.revision, plan.to_dict(), atlas_hash, scores]
    key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
    target = Path(_folder().name) / f"{plan_name(plan)}-{key}.zip"
    with _building:  # two visitors who want the same file make it once; others wait, so that memory holds one model
        if target.exists():
            return target
        from core.vlm.export import export_plan
        from core.vlm.loading import load_vlm

        progress(0.05, "Loading the model …")
        vlm = load_vlm(plan.model_id, device="cpu")
        if vlm.spec.revision != model.revision:
            raise ExportError(
                f"{plan.model_id} is {vlm.spec.revision} here, the page shows {model.revision}: reload it"
            )
        with tempfile.TemporaryDirectory(dir=_folder().name) as work:
            progress(0.3, "Writing the checkpoint, loading it again and comparing its logits …")
            out = Path(work) / plan_name(plan)
            export_plan(vlm, plan, out, scores=scores, atlas_hash=atlas_hash)
            try:
                part = _zip(out, lambda share: progress(0.7 + 0.3 * share, "Packing …"))
                part.rename(target)
            except OSError as error:
                raise ExportError(f"cannot write the zip: {error.strerror}; free some space and try again") from error
        _forget_old(target)
    return target


def _zip(folder: Path, progress: Callable[[float], object]) -> Path:
    """The folder as a zip beside it; stored, since weights hardly compress."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    total = sum(p.stat().st_size for p in files)
    done = 0
    target = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            info = zipfile.ZipInfo.from_file(path, f"{folder.name}/{path.relative_to(folder)}")
            with path.open("rb") as source, archive.open(info, "w") as sink:
                while block := source.read(CHUNK):
                    sink.write(block)
                    done += len(block)
                    progress(done / total)
    return target


def _forget_old(newest: Path) -> None:
    others = sorted((p for p in newest.parent.glob("*.zip") if p != newest), key=lambda p: p.stat().st_mtime)
    for path in others[: max(0, len(others) + 1 - KEPT)]:
        path.unlink()
