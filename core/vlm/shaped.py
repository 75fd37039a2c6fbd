"""Models of a given shape with random weights: speed and memory can be measured without a checkpoint."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from core import settings
from core.errors import ModelError
from core.vlm.loading import UNREADABLE, VLM, describe, read_config
from core.vlm.placement import choose_place, loaded_dtype
from core.vlm.processing import load_processor
from core.vlm.tiny.model import IMAGE, build_processor


def load_random(shape: str, device: str = "auto", dtype: str = "auto") -> VLM:
    """A model built from a folder's config.json, weights drawn as its family initialises them.

    Args:
        shape: the folder. Its own processor is used if there is one; LLaVA shapes get the embedded model's tokenizer
            and pictures of the size that their vision tower needs.
        dtype: "auto" is float32 on the CPU and the configuration's own elsewhere.
    Raises:
        ModelError: no such configuration, or one without a processor.
    """
    folder = Path(shape).expanduser()
    if not (folder / "config.json").is_file():
        raise ModelError(f"no shape in '{shape}': give a folder that holds a config.json (assets/shapes/llava-8b)")
    config = read_config(folder, shape)
    place = choose_place(device, folder, dtype)
    processor = _processor(folder, config)
    kind: Any = loaded_dtype(dtype, place)
    with torch.device(place):
        model = AutoModelForImageTextToText.from_config(
            config, dtype=(config.dtype or torch.bfloat16) if kind == "auto" else kind
        )
    if model.generation_config is not None:
        model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
        model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.eval().requires_grad_(False)
    return VLM(model, processor, describe(model, f"random weights of {folder.name}", ""), folder)


def _processor(folder: Path, config: Any) -> Any:
    try:
        return load_processor(folder)
    except UNREADABLE as error:
        if config.model_type != "llava":
            raise ModelError(
                f"{folder} holds no processor that can be read: put the family's tokenizer and processor files beside "
                "its config.json"
            ) from error
    tokenizer = AutoTokenizer.from_pretrained(settings.TINY_DIR)
    config.image_token_index = config.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE)
    vision = config.vision_config
    return build_processor(tokenizer, vision.image_size, vision.patch_size)
