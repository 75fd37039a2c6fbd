"""Processors of families that also take videos, without torchvision: the pictures' part alone, under its own name."""

import json
from pathlib import Path

import pytest
from transformers.utils import is_torchvision_available

from core.vlm.generation import answer
from core.vlm.loading import load_vlm
from tests.checkpoints import write_qwen
from tests.models import some_samples

pytestmark = pytest.mark.skipif(is_torchvision_available(), reason="the whole processor is read where torchvision is")


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
@pytest.mark.parametrize("as_on_the_hub", [False, True])
def test_qwen_checkpoints_answer_without_torchvision(family: str, as_on_the_hub: bool, tmp_path: Path) -> None:
    """They could not be loaded: their processors ask for torchvision, for videos that nobody shows them."""
    folder = write_qwen(tmp_path / family, family)
    if as_on_the_hub:  # older files: one for pictures, by the class that needs torchvision, and one for videos
        both = json.loads((folder / "processor_config.json").read_text())
        (folder / "processor_config.json").unlink()
        pictures = {**both["image_processor"], "image_processor_type": "Qwen2VLImageProcessorFast"}
        kind = {"processor_class": both["processor_class"]}
        (folder / "preprocessor_config.json").write_text(json.dumps({**pictures, **kind}))
        video = {**pictures, "video_processor_type": "Qwen3VLVideoProcessor"}
        (folder / "video_preprocessor_config.json").write_text(json.dumps({**video, **kind}))
    vlm = load_vlm(str(folder))
    names = {"qwen2_vl": "Qwen2VLProcessor", "qwen2_5_vl": "Qwen2_5_VLProcessor", "qwen3_vl": "Qwen3VLProcessor"}
    assert type(vlm.processor).__name__ == names[family]
    sample = some_samples(1)[0]
    said = answer(vlm, None, sample.image, sample.question)
    assert said.tokens > 0
    encoded = vlm.processor(text=["<|image_pad|>?"], images=[[sample.image]])
    n_tokens = encoded["input_ids"][0].count(vlm.processor.tokenizer.convert_tokens_to_ids("<|image_pad|>"))
    assert n_tokens == encoded["image_grid_thw"][0].prod() // 4 > 1, "a picture fills as many tokens as its patches do"
    vlm.processor.save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "processor_config.json").read_text())
    assert saved["processor_class"] == names[family]
