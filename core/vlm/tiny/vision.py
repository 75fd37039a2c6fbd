"""Dense supervision for the vision tower: what lies in each image patch, read off the scene that drew it.

Trained through answers alone, a vision tower from scratch stays blind for a long time: the decoder first learns what
can be guessed from the question. A linear head on the projector's output that names the content of each patch gives
every patch of every image a target, and costs a thirtieth of a decoder pass. The head is not part of the shipped model.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.scenes.scenes import CELL, COLORS, SHAPES, SIZE, Bar, Scene, Shape, TextLine
from core.vlm.tiny.model import N_IMAGE_TOKENS, PATCH

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-×"
LABELS: dict[str, int] = {
    name: i
    for i, name in enumerate(
        [f"color:{c}" for c in COLORS]
        + [f"shape:{s}" for s in SHAPES]
        + [f"size:{s}" for s in ("small", "middle", "large")]
        + [f"text:{c}" for c in CHARACTERS]
        + [f"bar:{v}" for v in range(1, 10)]
        + [f"hour:{h}" for h in range(1, 13)]
        + [f"minute:{m}" for m in range(0, 60, 5)]
    )
}


def patch_labels(scene: Scene) -> list[tuple[int, int]]:
    """(patch, label) pairs that hold for a scene; a mark counts for the patch that its centre, top or tip lies in."""
    pairs: list[tuple[int, int]] = []

    def put(x: float, y: float, *names: str) -> None:
        column, row = (min(max(int(v // PATCH), 0), SIZE // PATCH - 1) for v in (x, y))
        pairs.extend((row * (SIZE // PATCH) + column, LABELS[name]) for name in names)

    for m in scene.marks:
        if isinstance(m, Shape):
            size = "small" if m.radius <= 5 else "large" if m.radius >= 12 else "middle"
            put(m.x, m.y, f"shape:{m.shape}", f"color:{m.color}", f"size:{size}")
        elif isinstance(m, TextLine):
            for i, ch in enumerate(m.text):
                put(m.x + CELL * i + CELL / 2, m.y, f"text:{ch}", f"color:{m.color}")
        elif isinstance(m, Bar):
            top = 74 - 7 * m.value
            put(m.x + m.width / 2, top + 1, f"bar:{m.value}", f"color:{m.color}")
        else:
            for angle, length, name in (
                (30 * m.hour + m.minute / 2, 0.48, f"hour:{m.hour}"),
                (6 * m.minute, 0.8, f"minute:{m.minute}"),
            ):
                a, d = math.radians(angle), length * m.radius
                put(m.x + d * math.sin(a), m.y - d * math.cos(a), name)
    return pairs


def label_tensor(scene: Scene) -> Tensor:
    """(patches, labels) uint8 multi-hot."""
    target = torch.zeros(N_IMAGE_TOKENS, len(LABELS), dtype=torch.uint8)
    for patch, label in patch_labels(scene):
        target[patch, label] = 1
    return target


def build_head(width: int) -> nn.Linear:
    return nn.Linear(width, len(LABELS))


def patch_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy summed over labels, mean over patches; positives weigh more, as most patches are empty."""
    weight = torch.tensor(4.0, device=logits.device)
    loss = F.binary_cross_entropy_with_logits(logits.float(), targets.float(), pos_weight=weight, reduction="sum")
    return loss / (logits.shape[0] * logits.shape[1])


def patch_recall(logits: Tensor, targets: Tensor) -> float:
    """Share of the true labels that the head says (logit above 0)."""
    true = targets.bool()
    return float((logits[true] > 0).float().mean())
