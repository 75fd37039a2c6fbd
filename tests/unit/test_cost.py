"""The cost of a plan, predicted without weights, is what the real pruned model counts."""

import copy
import subprocess
import sys
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForImageTextToText, DynamicCache, PreTrainedModel

from core.errors import PlanError
from core.pruning.cost import Cost, LayerAnatomy, ModelAnatomy, estimate_cost, fits
from core.records.plan import PruningPlan
from core.vlm.anatomy import compute_anatomy, read_anatomy
from core.vlm.loading import image_token_id, load_vlm
from core.vlm.view import pruned_view
from tests.models import random_vlm

TEXT = 23  # prompt tokens beside the image
TINY_TEXT: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def qwen2_5_vl() -> Any:
    vision = {"depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32}
    vision |= {"patch_size": 4, "window_size": 32, "fullatt_block_indexes": [2]}
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
    text = {**TINY_TEXT, "rope_parameters": rope}
    return AutoConfig.for_model("qwen2_5_vl", text_config=text, vision_config=vision, image_token_id=7)


def gemma3() -> Any:
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"image_size": 32, "patch_size": 4}
    text = {**TINY_TEXT, "head_dim": 8, "sliding_window": 16}
    return AutoConfig.for_model(
        "gemma3", text_config=text, vision_config=vision, mm_tokens_per_image=16, image_token_id=7
    )


def smolvlm() -> Any:
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision |= {"image_size": 32, "patch_size": 4}
    return AutoConfig.for_model(
        "smolvlm",
        text_config={"model_type": "llama", **TINY_TEXT, "pad_token_id": 0},
        vision_config=vision,
        scale_factor=2,
        image_token_id=7,
        pad_token_id=0,
    )


def picture(family: str) -> tuple[dict[str, torch.Tensor], int]:
    """(model inputs, image tokens) of one picture."""
    if family == "qwen2_5_vl":
        return {"pixel_values": torch.rand(24 * 16, 3 * 2 * 4 * 4), "image_grid_thw": torch.tensor([[1, 24, 16]])}, 96
    if family == "gemma3":
        return {"pixel_values": torch.rand(1, 3, 32, 32)}, 16
    if family == "smolvlm":
        return {"pixel_values": torch.rand(1, 1, 3, 32, 32)}, 16
    return {"pixel_values": torch.rand(1, 3, 80, 80)}, 25


@lru_cache(maxsize=4)
def model_of(family: str) -> PreTrainedModel:
    """A small random model, with the attention that the counter sees through: that of CPUs is one fused operation."""
    if family == "llava":
        model = copy.deepcopy(random_vlm().model)  # the shared one keeps its attention
        model.set_attn_implementation("eager")
        return model
    torch.manual_seed(0)
    config = {"qwen2_5_vl": qwen2_5_vl, "gemma3": gemma3, "smolvlm": smolvlm}[family]()
    return AutoModelForImageTextToText.from_config(config, attn_implementation="eager").eval()


@lru_cache(maxsize=4)
def anatomy_of(family: str) -> ModelAnatomy:
    return compute_anatomy(model_of(family).config, family)


def counted(model: PreTrainedModel, family: str) -> tuple[int, list[int], DynamicCache]:
    """(prefill FLOPs, FLOPs of each decoding step, cache) of the real model."""
    pixels, n = picture(family)
    ids = torch.tensor([[8] * 3 + [image_token_id(model)] * n + [8] * (TEXT - 3)])
    extra: dict[str, Any] = {}
    if family in ("gemma3", "qwen2_5_vl"):
        kinds = (ids == image_token_id(model)).int()
        extra = {"token_type_ids": kinds} if family == "gemma3" else {"mm_token_type_ids": kinds}
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    steps = []
    with torch.inference_mode():
        with FlopCounterMode(display=False) as flops:
            model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1, **pixels, **extra)
        for _ in range(3):
            with FlopCounterMode(display=False) as step:
                model(input_ids=torch.tensor([[8]]), past_key_values=cache, use_cache=True, logits_to_keep=1)
            steps.append(step.get_total_flops())
    return flops.get_total_flops(), steps, cache


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "gemma3", "smolvlm"])
@pytest.mark.parametrize("dropped", [(), (1, 3)])
def test_the_prediction_is_what_the_pruned_model_counts(family: str, dropped: tuple[int, ...]) -> None:
    full = model_of(family)
    n_layers = len(full.get_decoder().layers)
    anatomy = anatomy_of(family)
    plan = PruningPlan(family, n_layers, dropped)
    pruned = pruned_view(full, dropped)
    n = picture(family)[1]
    cost = estimate_cost(anatomy, plan, prompt_tokens=TEXT, image_tokens=n, new_tokens=4)
    assert anatomy.vision_counted and anatomy.tokens_per_image == (0 if family == "qwen2_5_vl" else n)
    assert cost.parameters.total == sum(p.numel() for p in pruned.parameters())
    assert cost.bytes.total == sum(p.numel() * p.element_size() for p in pruned.parameters())
    prefill, steps, cache = counted(pruned, family)
    assert cost.prefill_flops.total == pytest.approx(prefill, rel=0.01)
    assert cost.decode_flops_per_token.total == pytest.approx(sum(steps) / len(steps), rel=0.01)
    cached = sum(layer.keys.shape[1] * layer.keys.shape[3] * 2 for layer in cache.layers)
    assert cost.kv_bytes_per_token == 4 * cached


def test_the_parts_of_the_embedded_model() -> None:
    model = load_vlm("tiny").model
    cost = estimate_cost(read_anatomy("tiny"), None, prompt_tokens=10, image_tokens=25, new_tokens=5)
    parts = model.model
    assert cost.parameters.vision == sum(p.numel() for p in parts.vision_tower.parameters())
    assert cost.parameters.projector == sum(p.numel() for p in parts.multi_modal_projector.parameters())
    assert cost.parameters.decoder == sum(p.numel() for p in parts.language_model.parameters())
    assert cost.parameters.head == 0 and cost.decode_flops_per_token.head > 0  # tied, but still multiplied with
    assert cost.bytes.total == 2 * cost.parameters.total  # stored in bfloat16


def hand_made() -> ModelAnatomy:
    layers = (LayerAnatomy(10, 20.0, 4.0, 6), LayerAnatomy(30, 60.0, 4.0, 6, window=8))
    return ModelAnatomy("m", "r", layers, 100, 7, 50, 3, 40, 2, 16, 5.0, 1.0, 2.0, 0.5, 80.0)


def test_hand_worked_numbers() -> None:
    plan = PruningPlan("m", 2, (0,))
    cost = estimate_cost(hand_made(), plan, prompt_tokens=4, image_tokens=2, new_tokens=4, batch=3)
    assert (cost.parameters.decoder, cost.parameters.total, cost.parameters.floor) == (50 + 30 + 3, 230, 147)
    assert cost.bytes.total == 460 and cost.kv_bytes_per_token == 12
    assert cost.kv_bytes == 3 * 12 * 8  # ten tokens, of which the window keeps eight
    assert cost.prefill_flops.vision == 3 * (5 * 2 + 1 * 4) and cost.prefill_flops.projector == 3 * 2 * 2
    assert cost.prefill_flops.decoder == 3 * (60 * 6 + 4 * 36 + 3) and cost.prefill_flops.head == 3 * 80
    # three steps after the prefill's own token: 7, 8 and again 8 keys
    assert cost.decode_flops_per_token.decoder == round(60 + 4 * (7 + 8 + 8) / 3 + 0.5)


def test_what_fits_leaves_headroom() -> None:
    cost: Cost = estimate_cost(hand_made(), None, prompt_tokens=4, image_tokens=2, new_tokens=4)
    needed = 1.2 * (cost.bytes.total + cost.kv_bytes)
    assert fits(cost, round(needed) + 1) and not fits(cost, round(needed) - 1)


def test_an_anatomy_survives_json() -> None:
    assert ModelAnatomy.from_dict(hand_made().to_dict()) == hand_made()


@pytest.mark.parametrize("bad", [{"prompt_tokens": -1}, {"prompt_tokens": 0, "image_tokens": 0}, {"batch": 0}])
def test_impossible_requests_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(PlanError):
        estimate_cost(hand_made(), None, **{"prompt_tokens": 1, "image_tokens": 1, "new_tokens": 1, **bad})


def test_a_plan_of_another_depth_is_refused() -> None:
    with pytest.raises(PlanError, match="3 layers"):
        estimate_cost(hand_made(), PruningPlan("m", 3, (1,)), prompt_tokens=1, image_tokens=0, new_tokens=1)


def test_costs_and_recipes_need_no_torch() -> None:
    code = "import sys, core.pruning.cost, core.pruning.formats; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
