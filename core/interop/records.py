"""Neutral records of what another harness measured: a run, its tasks, their samples. No torch, no files.

Values are fractions, 0 to 1, whatever unit the harness writes; what a file states is kept beside them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FLAGGED = 0.005  # half a point: a stated score that is further from its own samples is pointed out
MOVED = ("lmms-lab-encoder/", "lmms-lab/")  # in July 2026 data sets moved from the second name to the first


@dataclass(frozen=True)
class ImportedSample:
    """One answered question.

    Attributes:
        sample_key: the harness's own number of the row (`doc_id`, `index`); it may repeat, see `counted`.
        native_id: the data set's id, where the harness states it; else "".
        prompt: what was asked, as text, "" where the file does not hold it; prompt_sha256: its hash, or "".
        raw: what the model wrote; parsed: what the harness read out of it.
        score: 0 to 1, None where it is not known.
        score_source: harness | recomputed, from the gold answer and what was parsed.
        counted: False for a row that repeats another (of an appended run, or of another filter): kept, not counted.
    """

    sample_key: str
    native_id: str = ""
    prompt_sha256: str = ""
    prompt: str = field(default="", repr=False)
    gold: str = field(default="", repr=False)
    raw: str = field(default="", repr=False)
    parsed: str = ""
    score: float | None = None
    score_source: str = "harness"
    counted: bool = True


@dataclass(frozen=True)
class ImportedTask:
    """One metric of one task.

    Attributes:
        key: our benchmark's name where it is known, else the harness's.
        task: the harness's name.
        dataset_id: resolved, so that the two names of a moved data set are one; "" where it is not stated.
        unit: fraction | percent, of `stated`; unknown where no table says so: a size never decides.
        value: fraction; recomputed from the samples where they decide the metric, else as stated; None: not known.
        stated: as it is in the file.
        n_rows: that were counted; None where nothing says so.
        samples: of the metrics that they decide one by one; parts and aggregates of the same rows have none.
        how: what the metric is of its rows, see `core.interop.names.Metric`.
    """

    key: str
    task: str
    domain: str
    dataset_id: str
    split: str
    metric: str
    unit: str
    filter: str
    value: float | None
    stated: float | None
    n_rows: int | None
    samples: tuple[ImportedSample, ...] = field(default=(), repr=False)
    how: str = "rows"

    @property
    def stated_fraction(self) -> float | None:
        """What the file states, as a fraction; None where its unit is not known."""
        divisor = {"fraction": 1, "percent": 100}.get(self.unit)
        return None if divisor is None or self.stated is None else self.stated / divisor

    @property
    def disagrees(self) -> bool:
        """Is the stated score more than half a point from what the samples give?"""
        stated = self.stated_fraction
        return stated is not None and self.value is not None and abs(stated - self.value) > FLAGGED


@dataclass(frozen=True)
class ImportedRun:
    """What one command of a harness measured.

    Attributes:
        harness: lmms-eval | vlmevalkit.
        adapter: the harness's name for how the model was run: prompts, and so scores, differ between adapters.
        model_ref: what was loaded: a Hub id, a folder, or a name in the harness's own configuration.
        created: ISO date and time; lmms-eval states no zone.
        limit: of rows, as the file states it; None: the whole split.
        generation: settings of the decoding, by task.
        source: names of the files that were read.
        plan: of what was evaluated, in files that Strata wrote; else empty.
    """

    harness: str
    harness_version: str
    adapter: str
    model_ref: str
    created: str
    limit: float | None
    generation: Mapping[str, Any]
    tasks: tuple[ImportedTask, ...]
    warnings: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)

    @property
    def smoke(self) -> bool:
        """Only the first rows were run: its scores say that it works, and nothing else."""
        return self.limit is not None


@dataclass(frozen=True)
class ImportReport:
    """What was read, and one line for each file that could not be."""

    runs: tuple[ImportedRun, ...]
    problems: tuple[str, ...] = ()


def resolve_dataset_id(dataset_id: str) -> str:
    """One name for both names of a data set that moved; the older one, which most files have."""
    new, old = MOVED
    return old + dataset_id.removeprefix(new) if dataset_id.startswith(new) else dataset_id


def prompt_hash(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest() if prompt else ""
