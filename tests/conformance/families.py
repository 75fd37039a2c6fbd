"""One tiny random model of each family, with image inputs, built from its configuration without any download.

`python -m tests.conformance.families` prints the table of families and plans of docs/families.md.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel
from transformers.utils import logging

logging.disable_progress_bar()

N_LAYERS = 6
IMAGE = 95  # the token that stands for an image
TEXT: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
VISION: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
QWEN_VISION: dict[str, Any] = {
    "depth": 2,
    "hidden_size": 32,
    "num_heads": 4,
    "patch_size": 4,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
    "in_channels": 3,
    "in_chans": 3,
}
EXPERTS = {"moe_intermediate_size": 16, "num_experts_per_tok": 2}
MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
QWEN_TOKENS = {"image_token_id": IMAGE, "video_token_id": 96, "vision_start_token_id": 97, "vision_end_token_id": 98}


@dataclass(frozen=True)
class Family:
    """How to build a tiny model: configuration overrides, pixel inputs, and how many image tokens these fill."""

    name: str
    config: dict[str, Any]
    pixels: Callable[[], dict[str, Tensor]]
    n_image_tokens: int
    structural: tuple[int, ...] = ()
    attention: tuple[int, ...] = tuple(range(N_LAYERS))  # of which any plan must keep one

    def plans(self) -> list[tuple[int, ...]]:
        """What can be dropped: every set of layers that leaves one, the structural ones, and an attention layer."""
        free = [i for i in range(N_LAYERS) if i not in self.structural]
        sets = (dropped for n in range(1, N_LAYERS) for dropped in combinations(free, n))
        return [dropped for dropped in sets if not set(self.attention) <= set(dropped)]


def _plain(size: int = 32) -> Callable[[], dict[str, Tensor]]:
    return lambda: {"pixel_values": torch.rand(1, 3, size, size)}


def _tiles(key: str = "pixel_values", n: int = 1, **more: Any) -> Callable[[], dict[str, Tensor]]:
    def pixels() -> dict[str, Tensor]:
        made = {key: torch.rand(1, n, 3, 32, 32)}
        return made | {k: torch.tensor(v) for k, v in more.items()}

    return pixels


def _patches(patch: int = 4, temporal: int = 2, grid: int = 4) -> Callable[[], dict[str, Tensor]]:
    """Flattened patches of one image of grid x grid patches, as the Qwen-VL processors make them."""
    return lambda: {
        "pixel_values": torch.rand(grid * grid, 3 * temporal * patch * patch),
        "image_grid_thw": torch.tensor([[1, grid, grid]]),
    }


FAMILIES = {
    f.name: f
    for f in (
        Family(
            "llava",
            {
                "text_config": {"model_type": "llama", **TEXT},
                "vision_config": {"model_type": "clip_vision_model", "projection_dim": 32, **VISION},
                "image_token_index": IMAGE,
                "vision_feature_layer": -1,
            },
            _plain(),
            16,
        ),
        Family(
            "llava_next",
            {
                "text_config": {"model_type": "llama", **TEXT},
                "vision_config": {"model_type": "clip_vision_model", "projection_dim": 32, **VISION},
                "image_token_index": IMAGE,
                "vision_feature_layer": -1,
                "image_grid_pinpoints": [[32, 32]],
            },
            _tiles(n=2, image_sizes=[[32, 32]]),
            16 + 16 + 4,
        ),
        Family(
            "llava_onevision",
            {
                "text_config": {"model_type": "qwen2", **TEXT},
                "vision_config": {"model_type": "siglip_vision_model", **VISION},
                "image_token_index": IMAGE,
                "video_token_index": 96,
                "vision_feature_layer": -1,
                "image_grid_pinpoints": [[32, 32]],
            },
            _tiles(n=2, image_sizes=[[32, 32]]),
            16 + 16 + 4,
        ),
        Family(
            "qwen2_vl",
            {
                "text_config": {**TEXT, "rope_parameters": MROPE},
                "vision_config": {**QWEN_VISION, "embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2},
                **QWEN_TOKENS,
            },
            _patches(),
            4,
        ),
        Family(
            "qwen2_5_vl",
            {
                "text_config": {**TEXT, "rope_parameters": MROPE},
                "vision_config": {
                    **QWEN_VISION,
                    "intermediate_size": 48,
                    "out_hidden_size": 32,
                    "window_size": 16,
                    "fullatt_block_indexes": [1],
                },
                **QWEN_TOKENS,
            },
            _patches(),
            4,
        ),
        Family(
            "qwen3_vl",
            {
                "text_config": {**TEXT, "rope_parameters": {**MROPE, "mrope_interleaved": True}},
                "vision_config": {
                    **QWEN_VISION,
                    "depth": 3,
                    "intermediate_size": 48,
                    "out_hidden_size": 32,
                    "num_position_embeddings": 64,
                    "deepstack_visual_indexes": [0, 1],
                },
                **QWEN_TOKENS,
            },
            _patches(),
            4,
            (0, 1),
        ),
        Family(
            "qwen3_vl_moe",  # experts in every second layer
            {
                "text_config": {
                    **TEXT,
                    **EXPERTS,
                    "num_local_experts": 4,
                    "decoder_sparse_step": 2,
                    "rope_parameters": {**MROPE, "mrope_interleaved": True},
                },
                "vision_config": {
                    **QWEN_VISION,
                    "depth": 3,
                    "intermediate_size": 48,
                    "out_hidden_size": 32,
                    "num_position_embeddings": 64,
                    "deepstack_visual_indexes": [0, 1],
                },
                **QWEN_TOKENS,
            },
            _patches(),
            4,
            (0, 1),
        ),
        Family(
            "internvl",
            {
                "text_config": {"model_type": "qwen2", **TEXT},
                "vision_config": {**VISION, "image_size": [32, 32], "patch_size": [8, 8]},
                "image_token_id": IMAGE,
                "image_seq_length": 4,
            },
            _plain(),
            4,
        ),
        Family(
            "smolvlm",
            {
                "text_config": {"model_type": "llama", **TEXT},
                "vision_config": VISION,
                "image_token_id": IMAGE,
                "scale_factor": 2,
            },
            _tiles(),
            4,
        ),
        Family(
            "idefics3",
            {
                "text_config": {"model_type": "llama", **TEXT},
                "vision_config": VISION,
                "image_token_id": IMAGE,
                "scale_factor": 2,
            },
            _tiles(),
            4,
        ),
        Family(
            "gemma3",
            {
                "text_config": {
                    **TEXT,
                    "sliding_window": 8,
                    "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] * 2,
                    "query_pre_attn_scalar": 8,
                },
                "vision_config": {"model_type": "siglip_vision_model", **VISION},
                "image_token_index": IMAGE,
                "image_token_id": IMAGE,
                "mm_tokens_per_image": 4,
                "boi_token_index": 96,
                "eoi_token_index": 97,
            },
            _plain(),
            4,
        ),
        Family(
            "paligemma",
            {
                "text_config": {"model_type": "gemma", **TEXT},
                "vision_config": {"model_type": "siglip_vision_model", **VISION, "projection_dim": 32},
                "image_token_index": IMAGE,
                "projection_dim": 32,
                "hidden_size": 32,
            },
            _plain(),
            16,
        ),
        Family(
            "mistral3",
            {
                "text_config": {"model_type": "mistral", **TEXT},
                "vision_config": {"model_type": "pixtral", **VISION, "head_dim": 8},
                "image_token_index": IMAGE,
                "spatial_merge_size": 2,
                "vision_feature_layer": -1,
            },
            lambda: {"pixel_values": torch.rand(1, 3, 32, 32), "image_sizes": torch.tensor([[32, 32]])},
            4,
        ),
        Family(
            "glm4v",
            {
                "text_config": {**TEXT, "rope_parameters": {**MROPE, "partial_rotary_factor": 1.0}},
                "vision_config": {**QWEN_VISION, "intermediate_size": 48, "out_hidden_size": 32, "image_size": 32},
                "image_token_id": IMAGE,
                "video_token_id": 96,
                "image_start_token_id": 97,
                "image_end_token_id": 98,
                "video_start_token_id": 94,
                "video_end_token_id": 93,
            },
            _patches(),
            4,
        ),
        Family(
            "glm4v_moe",  # experts from the third layer on
            {
                "text_config": {
                    **TEXT,
                    **EXPERTS,
                    "n_routed_experts": 4,
                    "n_shared_experts": 1,
                    "first_k_dense_replace": 2,
                    "rope_parameters": {**MROPE, "partial_rotary_factor": 1.0},
                },
                "vision_config": {**QWEN_VISION, "intermediate_size": 48, "out_hidden_size": 32, "image_size": 32},
                "image_token_id": IMAGE,
                "video_token_id": 96,
                "image_start_token_id": 97,
                "image_end_token_id": 98,
                "video_start_token_id": 94,
                "video_end_token_id": 93,
            },
            _patches(),
            4,
        ),
        Family(
            "llama4",  # experts in every second layer, no position embedding in every third
            {
                "text_config": {
                    **TEXT,
                    "intermediate_size_mlp": 48,
                    "num_local_experts": 4,
                    "interleave_moe_layer_step": 2,
                    "no_rope_layers": [1, 1, 0] * 2,
                    "attention_chunk_size": 16,
                },
                "vision_config": {
                    **VISION,
                    "intermediate_size": 128,
                    "vision_output_dim": 32,
                    "projector_input_dim": 32,
                    "projector_output_dim": 32,
                },
                "image_token_index": IMAGE,
                "image_token_id": IMAGE,
            },
            _plain(),
            4,
        ),
        Family(
            "aya_vision",
            {
                "image_token_id": IMAGE,
                "text_config": {
                    "model_type": "cohere2",
                    **TEXT,
                    "sliding_window": 8,
                    "layer_types": ["sliding_attention", "full_attention"] * 3,
                },
                "vision_config": {"model_type": "siglip_vision_model", **VISION},
                "image_token_index": IMAGE,
                "downsample_factor": 2,
                "vision_feature_layer": -1,
            },
            _plain(),
            4,
        ),
        Family(
            "qwen3_5",
            {
                "text_config": {
                    **TEXT,
                    "layer_types": ["linear_attention", "full_attention"] * 3,
                    "rope_parameters": {**MROPE, "mrope_interleaved": True, "partial_rotary_factor": 1.0},
                    "linear_num_key_heads": 2,
                    "linear_num_value_heads": 2,
                    "linear_key_head_dim": 8,
                    "linear_value_head_dim": 8,
                },
                "vision_config": {
                    **QWEN_VISION,
                    "intermediate_size": 48,
                    "out_hidden_size": 32,
                    "num_position_embeddings": 64,
                },
                **QWEN_TOKENS,
            },
            _patches(),
            4,
            attention=(1, 3, 5),
        ),
        Family(
            "ovis2",
            {
                "text_config": {"model_type": "qwen2", **TEXT},
                "vision_config": {**VISION, "hidden_stride": 2, "vocab_size": 64, "num_visual_indicator_tokens": 5},
                "image_token_id": IMAGE,
                "visual_indicator_token_ids": [90, 91, 92, 93, 94],
                "hidden_size": 32,
                "vocab_size": 100,
            },
            _plain(),
            4,
        ),
    )
}


def build(name: str, seed: int = 0) -> PreTrainedModel:
    family = FAMILIES[name]
    torch.manual_seed(seed)
    config = AutoConfig.for_model(name, **family.config)
    model = AutoModelForImageTextToText.from_config(config).eval().float()
    for p in model.parameters():
        if p.ndim >= 2:
            torch.nn.init.normal_(p, std=0.15)
    return model.requires_grad_(False)


def inputs(name: str, n_text: int = 7) -> dict[str, Tensor]:
    """One prompt: two tokens, the image, text."""
    family = FAMILIES[name]
    generator = torch.Generator().manual_seed(1)
    text = torch.randint(5, 90, (n_text,), generator=generator)
    ids = torch.cat(
        [
            torch.tensor([1, 97 if "qwen" in name or "glm4v" in name else 3]),
            torch.full((family.n_image_tokens,), IMAGE),
            text,
        ]
    )[None]
    torch.manual_seed(2)
    made = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **family.pixels()}
    if name in ("gemma3", "paligemma"):
        made["token_type_ids"] = (ids == IMAGE).long()
    if "grid" in "".join(made):
        made["mm_token_type_ids"] = (ids == IMAGE).long()
    return made


def plan_table() -> str:
    """Markdown: each family and the number of plans that its tests try."""
    most = sum(comb(N_LAYERS, n) for n in range(1, N_LAYERS))
    lines = [f"| family | plans of {N_LAYERS} layers | what any plan keeps |", "| --- | --- | --- |"]
    for f in FAMILIES.values():
        kept = f"layers {', '.join(map(str, f.structural))} (DeepStack)" if f.structural else "one layer"
        if len(f.attention) < N_LAYERS:
            kept = f"one of the attention layers {', '.join(map(str, f.attention))}"
        n = len(f.plans())
        lines.append(f"| {f.name} | {'all ' if n == most else ''}{n} | {kept} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(plan_table())
