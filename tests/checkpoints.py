"""Tiny random checkpoints of real families, saved with the files that the Hub's have, to be used as users do."""

import json
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from core.vlm.processing import for_pictures
from core.vlm.tiny.model import build_tokenizer
from tests.conformance.families import FAMILIES

QWEN_TOKENS = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|user|>' }}{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' }}{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def write_qwen(folder: Path, family: str = "qwen3_vl", seed: int = 0) -> Path:
    """A Qwen-VL of six layers; pictures are cut into few patches, so that it is quick."""
    tokenizer = build_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(QWEN_TOKENS)})
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    ids = {n: tokenizer.convert_tokens_to_ids(token) for n, token in zip(names, QWEN_TOKENS, strict=True)}
    overrides = json.loads(json.dumps(FAMILIES[family].config))
    text = overrides["text_config"]
    text |= {"vocab_size": len(tokenizer), "max_position_embeddings": 4096}
    text |= {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = AutoConfig.for_model(family, **{**overrides, **ids, "tie_word_embeddings": False})
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    vision = config.vision_config
    side = vision.patch_size * vision.spatial_merge_size
    images = Qwen2VLImageProcessorPil(
        patch_size=vision.patch_size,
        merge_size=vision.spatial_merge_size,
        temporal_patch_size=vision.temporal_patch_size,
        min_pixels=4 * side**2,
        max_pixels=16 * side**2,
    )
    kind = PROCESSOR_MAPPING[type(config)]
    for_pictures(kind)(images, tokenizer, chat_template=TEMPLATE).save_pretrained(folder)
    return folder
