"""A model's processor; families that also take videos work without torchvision, for pictures.

The Qwen-VL, InternVL and SmolVLM processors have a video processor besides the image processor, which needs
torchvision. Strata uses no videos, so that part is left out if torchvision is missing.
"""

from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoProcessor
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils import is_torchvision_available

VIDEO = "video_processor"
SAFE: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}


def load_processor(folder: Path) -> Any:
    """The processor in a model's folder, for text and pictures.

    Raises:
        what transformers raises for unusable files.
    """
    if not is_torchvision_available():
        kind = PROCESSOR_MAPPING.get(type(AutoConfig.from_pretrained(folder, **SAFE)), None)
        if kind is not None and VIDEO in kind.get_attributes():
            return for_pictures(kind).from_pretrained(folder, **SAFE)
    return AutoProcessor.from_pretrained(folder, **SAFE)


def for_pictures(kind: Any) -> Any:
    """A family's processor class without its video part. Its name stays, because saved files state it."""

    parts = [name for name in kind.get_attributes() if name != VIDEO]
    body = {"get_attributes": classmethod(lambda _: parts), VIDEO: None, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), body)
