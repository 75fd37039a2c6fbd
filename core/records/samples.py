"""Samples: an image, a question and its gold answer. No torch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from core.records.gold import Gold


@dataclass(frozen=True)
class Sample:
    """One question about one image.

    `sample_id` is the first 16 hex digits of a sha256 over the content; `source` says how to get the sample again.
    `choices`, `accepted` and `precision` say what else counts as right (`Gold`), `metric` how that is judged.
    """

    sample_id: str
    domain: str
    task: str
    question: str
    answer: str
    image: Image.Image | None = field(repr=False, compare=False)
    source: str = ""
    choices: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    precision: int | None = None
    metric: str = "exact_match"

    @property
    def gold(self) -> Gold:
        return Gold(self.answer, self.choices, self.accepted, self.precision)


def data_hash(samples: Sequence[Sample]) -> str:
    """One hash for a set of samples, in order: the provenance of everything computed from them."""
    return hashlib.sha256("".join(s.sample_id for s in samples).encode()).hexdigest()[:16]
