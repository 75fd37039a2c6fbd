"""A sweep without a model: a stand-in scorer, plans and benchmarks, light enough to run in many short processes."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from cache import RunStore
from core.measure.sweep import Benchmark, run_sweep, sweep_plans
from core.pruning.atlas import TOKEN_KINDS, CalibrationSample, SimilarityAtlas
from core.records.items import BenchmarkItem, ItemSet
from core.records.plan import ModelSpec, PruningPlan
from core.records.runs import RunRecord, outcomes_frame
from core.records.samples import Sample

N_LAYERS = 8
SPEC = ModelSpec("tiny", "rev", "llava", N_LAYERS, (), 800, (100,) * N_LAYERS, "float32", "cpu")
VLM: Any = SimpleNamespace(spec=SPEC)
CRITERIA = ("math_aware", "non_math_aware", "mixed", "uniform")


def sweep_atlas() -> SimilarityAtlas:
    """Math and general agree on all layers but 2 and 5, so that their rankings coincide at some budgets only."""
    values = np.full((2, len(TOKEN_KINDS), N_LAYERS, N_LAYERS), np.nan, np.float32)
    layers = np.array([0.1, 0.9, 0.8, 0.5, 0.4, 0.3, 0.2, 0.1], np.float32)
    for sample, swap in enumerate((False, True)):
        similarity = layers.copy()
        if swap:
            similarity[[2, 5]] = similarity[[5, 2]]
        for length in range(1, N_LAYERS + 1):
            for start in range(N_LAYERS - length + 1):
                values[sample, :, start, length - 1] = similarity[start : start + length].prod()
    samples = (CalibrationSample("m", "math", "count"), CalibrationSample("g", "general", "colour"))
    return SimilarityAtlas("tiny", "rev", N_LAYERS, (), samples, values, np.ones((2, len(TOKEN_KINDS)), np.int32))


def make_benchmark(domain: str, n: int = 10) -> Benchmark:
    samples = [Sample(f"{domain}{i}", domain, "count", "How many?", str(i), None, f"made:{i}") for i in range(n)]
    items = tuple(BenchmarkItem(s.sample_id, s.task, s.question, s.answer, s.source) for s in samples)
    return ItemSet(f"tiny-{domain}", domain, "test", f"hash-{domain}-{n}", items), samples


@dataclass
class Scores:
    correct: np.ndarray
    gold_nll: np.ndarray
    sample_ids: tuple[str, ...]


class FakeScorer:
    """`score_plans` without a model: an outcome depends on plan and item only; every outcome asked for is counted."""

    def __init__(self, batch_size: int = 2, seconds: float = 0.0) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.batch_size, self.seconds = batch_size, seconds

    def __call__(
        self,
        vlm: Any,
        plans: Sequence[PruningPlan],
        samples: Sequence[Sample],
        *,
        progress: Callable[[int, int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Scores:
        correct = np.zeros((len(plans), len(samples)), bool)
        nll = np.full((len(plans), len(samples)), np.nan)
        for i, sample in enumerate(samples):
            if i % self.batch_size == 0 and should_stop is not None and should_stop():
                break
            for p, plan in enumerate(plans):
                self.asked[plan.plan_id, sample.sample_id] += 1
                value = random.Random(plan.plan_id + sample.sample_id).random()
                correct[p, i], nll[p, i] = value > 0.4, round(value, 4)
            time.sleep(self.seconds)
            if progress is not None:
                progress(i + 1, len(samples))
        return Scores(correct, nll, tuple(s.sample_id for s in samples))


def outcomes_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Every outcome, in an order that does not depend on how it came to be."""
    frame = outcomes_frame(records)
    return frame.sort_values(["benchmark", "criterion", "n_drop", "seed", "item_id"], ignore_index=True)


# ------------------------------------------------------------------------------------------------ for processes

PLANS = sweep_plans(sweep_atlas(), CRITERIA, [2, 3], 3)
BENCHMARKS = [make_benchmark("math", 240), make_benchmark("general", 160)]
CHUNK = 4
PIECE = CHUNK * len({p.plan_id for p in PLANS})  # outcomes
OUTCOMES = PIECE * 400 // CHUNK


class LoggedStore(RunStore):
    """Says in a file which pieces are scored ("s") and which of them are saved ("k")."""

    def __init__(self, path: Path, log: Path) -> None:
        super().__init__(path)
        self.log = log.open("ab", buffering=0)

    def put_many(self, records: Iterable[RunRecord]) -> None:
        records = list(records)
        if records:
            self.log.write(b"s")
            super().put_many(records)
            self.log.write(b"k")


def sweep_process(path: Path, log: Path, benchmarks: Sequence[int] = (0, 1), seconds_per_item: float = 0.001) -> None:
    with LoggedStore(path, log) as store:
        chosen = [BENCHMARKS[i] for i in benchmarks]
        scorer = FakeScorer(seconds=seconds_per_item)
        run_sweep(VLM, sweep_atlas(), PLANS, chosen, store, chunk=CHUNK, scorer=scorer)
