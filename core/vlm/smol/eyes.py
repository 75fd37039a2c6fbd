"""The part of `smol` that is trained here and ships: vision tower, connector and adapters, in bfloat16."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel

from core.errors import ModelError
from core.vlm.smol.model import Connector

WEIGHTS, CONFIG = "eyes.safetensors", "eyes.json"


@dataclass(frozen=True)
class Eyes:
    """What training changed.

    Attributes:
        state: float32 tensors as `Learner.state` gives them: tower.*, connector.*, adapters.<module>.a and .b.
        config: "alpha", "rank", "vision_config", and what is known of the training.
    """

    state: dict[str, Tensor]
    config: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in self.state.items() if k.startswith(prefix)}

    def tower(self) -> CLIPVisionModel:
        tower = CLIPVisionModel(CLIPVisionConfig.from_dict(self.config["vision_config"]))
        tower.load_state_dict(self.part("tower."), strict=False)  # position ids are no weights
        return tower

    def projector(self) -> dict[str, Tensor]:
        """The weights of LLaVA's projector."""
        weights = self.part("connector.")
        out, width = weights["linear_1.weight"].shape
        connector = Connector(width, out)
        connector.load_state_dict(weights)
        return connector.folded()


def save_eyes(folder: Path, eyes: Eyes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().to(torch.bfloat16).contiguous() for k, v in eyes.state.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(eyes.config, indent=1) + "\n")


def load_eyes(folder: Path) -> Eyes:
    """
    Raises:
        ModelError: they are missing or damaged.
    """
    try:
        state = load_file(folder / WEIGHTS)
        config = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"the trained eyes of smol in '{folder}' cannot be read: {error}; get them again") from None
    return Eyes({k: v.float() for k, v in state.items()}, config)
