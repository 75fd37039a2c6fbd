"""Reference scores: what a paper or another harness states, without outcomes item by item. No torch.

They are shown next to what is measured here and never counted with it: without outcomes there is no paired test.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

from core.errors import StoreError

MEASURES = ("score", "retention")
ORIGINS = ("imported", "published")


@dataclass(frozen=True)
class ReferenceScore:
    """One score.

    Attributes:
        criterion: what chose the layers, as in a plan; "published" if the paper does not say.
        n_drop: layers dropped; None if unknown, or if something other than layers was removed.
        percent: of depth, as the source states it.
        value: a fraction. Retention is the score divided by the full model's, and may exceed 1.
        measure: score | retention.
        metric: how it was scored, the harness first ("lmms-eval:pope_f1_score"): harnesses are never compared.
        n: items; None if unknown.
        source: a citation, or harness, version and file.
        origin: imported | published.
    """

    model_id: str
    benchmark: str
    domain: str
    criterion: str
    value: float
    metric: str
    source: str
    origin: str
    n_drop: int | None = None
    percent: float | None = None
    measure: str = "score"
    n: int | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("model_id", "benchmark", "domain", "criterion", "metric", "source"):
            text = getattr(self, name)
            if not isinstance(text, str) or not text.strip() or not text.isprintable():
                raise StoreError(f"a reference score needs a {name} on one line, not {str(text)[:60]!r}")
        if self.measure not in MEASURES or self.origin not in ORIGINS:
            raise StoreError(
                f"a reference score is a {' or '.join(MEASURES)}, {' or '.join(ORIGINS)}: "
                f"not '{self.measure}', '{self.origin}'"
            )
        most = 1.0 if self.measure == "score" else 10.0
        if not _is_number(self.value) or not 0 <= self.value <= most:
            raise StoreError(f"{self.benchmark}: {self.value} is no {self.measure}: give a fraction, 0.5 for 50 %")
        if self.percent is not None and not (_is_number(self.percent) and 0 <= self.percent < 100):
            raise StoreError(f"{self.benchmark}: {self.percent} percent of the layers cannot be dropped")
        for name in ("n_drop", "n"):
            count = getattr(self, name)
            if count is not None and (type(count) is not int or count < (name == "n")):
                raise StoreError(f"{self.benchmark}: {name} is {count}: give a count, or leave it out")

    @property
    def key(self) -> str:
        """Content key without the value: a corrected score replaces the earlier one."""
        content = [
            *(self.model_id, self.benchmark, self.criterion, self.n_drop, self.percent),
            *(self.measure, self.metric, self.source, self.origin),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_dict(cls, data: Any) -> "ReferenceScore":
        """
        Raises:
            StoreError: not a reference score.
        """
        try:
            return cls(**data)
        except TypeError as error:
            raise StoreError(f"not a reference score: {error}") from error


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
