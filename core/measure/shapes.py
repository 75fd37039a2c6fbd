"""Models whose shape ships (assets/shapes), so that costs are known without torch and without a download."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core import settings
from core.errors import RecipeError, suggest
from core.library.finding import model_slug, recorded_anatomy_path
from core.pruning.cost import ModelAnatomy


@dataclass(frozen=True)
class Shape:
    """A model's shape as its configuration on the Hub states it.

    Attributes:
        n_parameters: as published, to the digits that are; `source` says where.
        structural: layers that no plan may drop (DeepStack).
        image_tokens: of a picture of 1024 by 768 pixels, as the model's own processor cuts it.
    """

    model_id: str
    n_parameters: int
    source: str
    image_tokens: int
    structural: tuple[int, ...] = ()

    @property
    def folder(self) -> Path:
        return settings.ASSETS / "shapes" / model_slug(self.model_id)


SHAPES = {
    shape.model_id: shape
    for shape in (
        Shape("Qwen/Qwen3-VL-4B-Instruct", 4_437_815_808, "checkpoint of 8,875,631,616 bytes", 768, (0, 1, 2)),
        Shape("Qwen/Qwen3-VL-8B-Instruct", 8_767_123_696, "the Hub's count", 768, (0, 1, 2)),
        Shape("Qwen/Qwen2.5-VL-7B-Instruct", 8_292_166_656, "checkpoint of 16,584,333,312 bytes", 999),
        Shape("OpenGVLab/InternVL3-8B-hf", 7_945_000_000, "checkpoint of 15.89 GB", 13 * 256),
        Shape("llava-hf/llava-onevision-qwen2-7b-ov-hf", 8_030_000_000, "the Hub's count, 8.03 B", 4725),
        Shape("HuggingFaceTB/SmolVLM2-2.2B-Instruct", 2_246_784_880, "checkpoint of 8.99 GB in float32", 13 * 81),
    )
}


def known_anatomy(model_id: str) -> ModelAnatomy:
    """The anatomy that ships of a model.

    Raises:
        RecipeError: none ships.
    """
    path = recorded_anatomy_path(model_id)
    if not path.exists():
        known = [*SHAPES, "tiny"]
        raise RecipeError(
            f"the shape of '{model_id}' does not ship: {suggest(model_id, known)}; of any other model, give a local "
            "folder that holds its config.json"
        )
    return ModelAnatomy.from_dict(json.loads(path.read_text()))


def write_anatomies(folder: Path, shapes: Iterable[Shape] = tuple(SHAPES.values())) -> None:
    """Count the parts of each shape and write NAME.anatomy.json, as they ship in cache/recorded. Needs torch.

    To write those again: python -c "from core import settings; from core.measure.shapes import write_anatomies;
    write_anatomies(settings.RECORDED_DIR)".
    """
    from core.vlm.anatomy import compute_anatomy
    from core.vlm.loading import read_config

    for shape in shapes:
        anatomy = compute_anatomy(read_config(shape.folder, shape.model_id), shape.model_id)
        path = folder / recorded_anatomy_path(shape.model_id).name
        path.write_text(json.dumps(anatomy.to_dict(), indent=1) + "\n")
