"""Small random models for tests: the embedded architecture, untrained, weights large enough to tell layers apart."""

from functools import lru_cache

import torch

from core.records.samples import Sample
from core.scenes.samples import draw_samples
from core.vlm.loading import VLM, describe
from core.vlm.tiny.model import build_model, build_processor, build_tokenizer


@lru_cache(maxsize=2)
def random_vlm(n_layers: int = 6, seed: int = 0) -> VLM:
    """A random VLM in float32; shared between tests, so no test may change it."""
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, n_layers, seed).eval()
    torch.manual_seed(seed)
    for p in model.parameters():
        if p.ndim >= 2:
            torch.nn.init.normal_(p, std=0.08)
    model.requires_grad_(False)
    return VLM(model, build_processor(tokenizer), describe(model, "random", "test"))


@lru_cache(maxsize=8)
def some_samples(n: int = 12, seed: int = 0) -> tuple[Sample, ...]:
    return tuple(draw_samples("test", seed, n))
