"""Calibration: the drawn samples that similarities are measured on, and the atlas of a model in one call."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from core.errors import CalibrationError, suggest
from core.pruning.atlas import SimilarityAtlas
from core.records.samples import Sample
from core.scenes.questions import domain_tasks
from core.scenes.samples import DOMAINS, draw_samples

if TYPE_CHECKING:
    from core.vlm.loading import VLM

N_SAMPLES = 128  # of a domain


def draw_calibration(
    domains: Sequence[str] = DOMAINS, n_samples: int = N_SAMPLES, seed: int = 0
) -> dict[str, list[Sample]]:
    """Drawn calibration samples of each domain; they share no scene with training, validation or test.

    Raises:
        CalibrationError: no domain, or one that is not drawn here.
    """
    for name in domains or [""]:
        if name not in DOMAINS:
            raise CalibrationError(f"unknown domain '{name}': {suggest(name, DOMAINS)}")
    return {d: draw_samples("calibration", seed, n_samples, domain_tasks(d)) for d in domains}


def calibrate(
    model: "VLM | str" = "tiny",
    domains: Sequence[str] | Mapping[str, Sequence[Sample]] = DOMAINS,
    n_samples: int = N_SAMPLES,
    seed: int = 0,
    *,
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
) -> SimilarityAtlas:
    """Measure the similarity of every span of decoder layers, on each domain.

    Nothing is kept on disk: `atlas.save(path)` does that; `python -m core calibrate` keeps the atlas for the pages.

    Args:
        model: a loaded model, or a name as `load_vlm` takes it.
        domains: names of drawn domains (math, general), or samples of your own by domain.
        n_samples: drawn samples of each domain.
        batch_size: samples of a forward pass.
        progress: called with (samples done, samples in all) after each batch.
    Raises:
        CalibrationError: an unknown domain, or no samples.
        ModelError: the model cannot be loaded.
    """
    samples = domains if isinstance(domains, Mapping) else draw_calibration(domains, n_samples, seed)
    from core.vlm.loading import load_vlm
    from core.vlm.similarity import compute_atlas

    vlm = load_vlm(model) if isinstance(model, str) else model
    return compute_atlas(vlm, samples, batch_size=batch_size, progress=progress)
