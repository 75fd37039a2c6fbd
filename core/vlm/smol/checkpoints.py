"""States of training on disk: resumable ones with the optimizer's moments, and the small one that ships."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from core import settings
from core.errors import ModelError
from core.vlm.smol.eyes import Eyes, save_eyes
from core.vlm.smol.learner import Learner

WEIGHTS, COUNTERS = "state.safetensors", "state.json"


def save_checkpoint(
    folder: Path, learner: Learner, optimizer: torch.optim.Optimizer, counters: dict[str, object]
) -> None:
    """Weights, optimizer state and counters, each file swapped in whole; the JSON comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model/{k}": v.contiguous() for k, v in learner.state().items()}
    for number, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{number}/{k}": torch.as_tensor(v).contiguous() for k, v in slots.items()}
    save_file(tensors, folder / f"{WEIGHTS}.new")
    (folder / f"{WEIGHTS}.new").replace(folder / WEIGHTS)
    (folder / f"{COUNTERS}.new").write_text(json.dumps(counters))
    (folder / f"{COUNTERS}.new").replace(folder / COUNTERS)


def load_checkpoint(folder: Path, learner: Learner, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Put weights and moments back in place; the counters."""
    tensors, counters = _read(folder)
    learner.load(_weights(tensors))
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, number, slot = key.split("/")
            state.setdefault(int(number), {})[slot] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return counters


def export_eyes(checkpoint: Path, out: Path) -> Eyes:
    """Write what ships from a checkpoint: the weights in bfloat16, the counters, and the curve of the validations.

    Raises:
        ModelError: there is no checkpoint.
    """
    tensors, counters = _read(checkpoint)
    vision = json.loads((settings.TINY_DIR / "config.json").read_text())["vision_config"]
    config = {"rank": counters["config"]["rank"], "alpha": counters["config"]["alpha"], "vision_config": vision}
    config["training"] = {k: counters[k] for k in ("step", "elapsed_s", "cpu_s", "answers", "scores", "config")}
    eyes = Eyes(_weights(tensors), config)
    save_eyes(out, eyes)
    (out / "training_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in counters["log"]))
    return eyes


def _read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        return load_file(folder / WEIGHTS), json.loads((folder / COUNTERS).read_text())
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"no checkpoint of smol can be read in '{folder}': {error}") from None


def _weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix("model/"): v for k, v in tensors.items() if k.startswith("model/")}
