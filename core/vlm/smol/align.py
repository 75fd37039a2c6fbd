"""First step of training: vision tower and connector put each patch where its words are; the decoder takes no part."""

import random
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.scenes.samples import random_split_scene
from core.scenes.scenes import draw
from core.vlm.smol.model import Connector, image_features
from core.vlm.smol.words import WordTargets

KINDS = ("layout", "crowd", "bars", "lines", "lines", "lines", "clock")
HELD_WEIGHT = 4.0  # of patches that hold something; most hold nothing


def aligned_batch(rng: random.Random, n: int, targets: WordTargets) -> tuple[Tensor, Tensor, Tensor]:
    """(n, 80, 80, 3) pictures, (n, 25, D) targets and (n, 25) bool, which patches hold something."""
    scenes = [random_split_scene(rng.choice(KINDS), "train", rng) for _ in range(n)]
    pixels = torch.from_numpy(np.stack([np.asarray(draw(s)) for s in scenes]))
    wanted, held = zip(*(targets(s) for s in scenes), strict=True)
    return pixels, torch.stack(wanted), torch.stack(held)


def alignment_loss(found: Tensor, wanted: Tensor, held: Tensor, common: Tensor) -> Tensor:
    """Squared error as a share of what sets the target apart, patches that hold something counting more."""
    error = (found - wanted).square().sum(-1) / (wanted - common).square().sum(-1)
    return (error * (1 + (HELD_WEIGHT - 1) * held)).mean()


def align(
    tower: nn.Module,
    connector: Connector,
    targets: WordTargets,
    steps: int,
    seed: int = 0,
    batch_size: int = 48,
    log: Callable[[str], None] = lambda line: None,
) -> float:
    """Train tower and connector; the mean cosine of the last 20 batches' patches that hold something."""
    groups = [
        {"params": list(connector.parameters()), "base_lr": 2e-3},
        {"params": list(tower.parameters()), "base_lr": 7e-4},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.0)
    rng = random.Random(f"align/{seed}")
    cosines: list[float] = []
    for step in range(steps):
        pixels, wanted, held = aligned_batch(rng, batch_size, targets)
        found = connector(image_features(tower, pixels))
        loss = alignment_loss(found, wanted, held, targets.common)
        loss.backward()
        nn.utils.clip_grad_norm_([p for g in groups for p in g["params"]], 1.0)  # type: ignore[attr-defined]
        scale = min(1.0, (step + 1) / min(50, steps)) * min(1.0, 2 * (1.02 - step / steps))
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * scale
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        apart, wanted_apart = found.detach() - targets.common, wanted - targets.common
        cosines.append(float(F.cosine_similarity(apart, wanted_apart, dim=-1)[held].mean()))
        if (step + 1) % 50 == 0:
            log(f"align step {step + 1} of {steps} · loss {loss:.3f} · cosine {np.mean(cosines[-50:]):.3f}")
    return float(np.mean(cosines[-20:]))
