"""The papers of an exported checkpoint: the plan's passport as JSON, and the model card. Plain text, no torch."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import core
from core.records.plan import PLAN_FILE, ModelSpec, PruningPlan

HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")
LICENCE = re.compile(r"^[a-z0-9.+-]{1,64}$")  # the Hub's licence names


def passport(spec: ModelSpec, plan: PruningPlan, scores: Mapping[str, Any], atlas_hash: str) -> dict[str, Any]:
    """Where a checkpoint comes from. `PruningPlan.load` reads it as the plan."""
    gone = sum(spec.layer_parameters[i] for i in plan.dropped)
    name = public_name(spec.model_id)
    return {
        **plan.to_dict(),
        "model_id": name,
        "revision": spec.revision,
        "family": spec.family,
        "kept": list(plan.kept),
        "parameters": spec.n_parameters - gone,
        "parameters_full": spec.n_parameters,
        "calibration_data_hash": atlas_hash,
        "scores": dict(scores),
        "strata_version": core.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def public_name(model_id: str) -> str:
    """The id of a model, or of a local one its folder's name: paths of this machine are nobody's business."""
    return Path(model_id).expanduser().resolve().name if model_id.startswith(("/", ".", "~")) else model_id


def model_card(document: Mapping[str, Any], licence: str = "") -> str:
    """README.md of the checkpoint, from its passport."""
    model, n = document["model_id"], document["n_layers"]
    share = 1 - document["parameters"] / document["parameters_full"]
    dropped = ", ".join(map(str, document["dropped"])) or "none"
    front: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "image-text-to-text"}
    if HUB_ID.match(model):
        front |= {"base_model": model}
    if LICENCE.match(licence):
        front |= {"license": licence}
    rows = {
        "Model": model,
        "Revision": f"`{document['revision']}`",
        "Dropped layers": f"{dropped} ({document['n_drop']} of {n}, counted from 0)",
        "Criterion": document["criterion"] + (f", seed {document['seed']}" if document["seed"] is not None else ""),
        "Parameters": f"{document['parameters']:,} of {document['parameters_full']:,} ({share:.1%} removed)",
        "Calibration data": f"`{document['calibration_data_hash']}`" if document["calibration_data_hash"] else "none",
        "Plan": f"`{document['plan_id']}`",
        "Made with": f"Strata {document['strata_version']}, {document['created']}",
    }
    stated = f"Its card states the licence `{licence}`. " if licence else ""
    return "\n".join(
        [
            "---",
            *(f"{key}: {json.dumps(value)}" for key, value in front.items()),
            "tags:",
            "- layer-pruning",
            "- strata",
            "---",
            "",
            f"# {model} without {document['n_drop']} of its {n} decoder layers",
            "",
            "Decoder layers were removed, nothing was trained afterwards: every remaining weight is the original's.",
            "",
            *_table(("", ""), [(key, str(value)) for key, value in rows.items()]),
            "",
            *_score_lines(document["scores"]),
            "## How to load",
            "",
            "```python",
            "from transformers import AutoModelForImageTextToText, AutoProcessor",
            "",
            'model = AutoModelForImageTextToText.from_pretrained("path/to/this/folder")',
            'processor = AutoProcessor.from_pretrained("path/to/this/folder")',
            "```",
            "",
            f"`{PLAN_FILE}` holds the same passport as JSON.",
            "",
            "## Licence",
            "",
            f"The weights are those of {model} and stay under its licence. {stated}"
            "Check its terms before you share this copy.",
            "",
        ]
    )


def _score_lines(scores: Mapping[str, Any]) -> list[str]:
    if not scores:
        return ["## Scores", "", "Not measured.", ""]
    rows = {name: value if isinstance(value, Mapping) else {"score": value} for name, value in scores.items()}
    columns = list(dict.fromkeys(c for row in rows.values() for c in row))
    cells = [(name, *(_number(row.get(c, "")) for c in columns)) for name, row in rows.items()]
    return ["## Scores", "", *_table(("measured on", *map(str, columns)), cells), ""]


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else ", ".join(value) if isinstance(value, list) else str(value)


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return ["| " + " | ".join(" ".join(c.replace("|", "\\|").split()) for c in line) + " |" for line in lines]
