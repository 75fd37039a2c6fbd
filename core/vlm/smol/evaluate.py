"""Scores of `smol` on freshly drawn samples, and how far its language is from the pretrained decoder's."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.progress import Progress
from core.vlm.loading import VLM
from core.vlm.smol.fetch import pretrained
from core.vlm.smol.language import CHECK_TOPICS, language_drift, prompts, write_answers
from core.vlm.tiny.evaluate import evaluate_tiny

TEXT_LENGTH = 40  # tokens of an answer in the language check


def evaluate_smol(
    vlm: VLM,
    seed: int,
    n: int,
    split: str = "test",
    texts: int = 0,
    package: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Greedy exact match by task, as `evaluate_tiny` gives it; with `texts`, "language" too.

    Args:
        texts: prompts without a picture, at most 200, on topics that training did not use.
        package: of the pretrained decoder, if it was not downloaded here.
    """
    report = evaluate_tiny(vlm, seed, n, split, progress)
    if texts:
        decoder, tokenizer = pretrained(package)
        written = write_answers(decoder, tokenizer, prompts(CHECK_TOPICS)[:texts], TEXT_LENGTH, seed)
        drift = language_drift(decoder, vlm.model, written)
        report["language"] = {k: round(v, 4) for k, v in asdict(drift).items()}
    return report
