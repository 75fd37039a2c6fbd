"""Sweeps with a stand-in scorer: nothing is scored twice, nothing finished is lost."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cache import RunStore
from core import __version__
from core.data.samples import Sample, draw_from_source
from core.errors import CalibrationError, PlanError
from core.pruning.atlas import TOKEN_KINDS, CalibrationSample, SimilarityAtlas
from core.pruning.plan import ModelSpec, PruningPlan
from core.runs.records import BenchmarkItem, ItemSet, RunRecord, outcomes_frame
from core.runs.sweep import Benchmark, benchmark_items, run_sweep, sweep_plans

N_LAYERS = 8
SPEC = ModelSpec("tiny", "rev", "llava", N_LAYERS, (), 800, (100,) * N_LAYERS, "float32", "cpu")
VLM: Any = SimpleNamespace(spec=SPEC)


def make_atlas() -> SimilarityAtlas:
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

    def __init__(self, batch_size: int = 2) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.batch_size = batch_size

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
            if progress is not None:
                progress(i + 1, len(samples))
        return Scores(correct, nll, tuple(s.sample_id for s in samples))


@pytest.fixture
def atlas() -> SimilarityAtlas:
    return make_atlas()


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with RunStore(tmp_path / "runs") as opened:
        yield opened


BENCHMARKS = [make_benchmark("math"), make_benchmark("general", 7)]
CRITERIA = ("math_aware", "non_math_aware", "mixed", "uniform")


def table(records: Sequence[RunRecord]) -> pd.DataFrame:
    frame = outcomes_frame(records)
    return frame.sort_values(["benchmark", "criterion", "n_drop", "seed", "item_id"], ignore_index=True)


def undisturbed(atlas: SimilarityAtlas, tmp_path: Path, plans: Sequence[PruningPlan]) -> pd.DataFrame:
    with RunStore(tmp_path / "undisturbed") as store:
        run_sweep(VLM, atlas, plans, BENCHMARKS, store, scorer=FakeScorer())
        return table(store.records())


# ------------------------------------------------------------------------------------------------ plans and items


def test_plans_of_a_sweep(atlas: SimilarityAtlas) -> None:
    skipped: list[tuple[str, int]] = []
    plans = sweep_plans(
        atlas, ["math_aware", "interlace", "random"], [4, 2, 2], 5, on_skip=lambda c, k, _: skipped.append((c, k))
    )
    assert (plans[0].criterion, plans[0].dropped) == ("full", ())
    assert [(p.criterion, p.n_drop) for p in plans[1:3]] == [("math_aware", 2), ("interlace", 2)]
    assert skipped == [("interlace", 4)]
    randoms = [p for p in plans if p.criterion == "random" and p.n_drop == 4]
    assert randoms[0].seed == 0
    assert len({p.dropped for p in randoms}) == len(randoms) <= 5


def test_random_plans_that_repeat_are_left_out_and_more_of_them_extend_fewer(atlas: SimilarityAtlas) -> None:
    few, many = (sweep_plans(atlas, [], [1], n)[1:] for n in (4, 200))
    assert len(many) == N_LAYERS - 2  # one layer of the six that are not protected
    assert many[: len(few)] == few
    assert [p.seed for p in many] == sorted(p.seed for p in many if p.seed is not None)


def test_what_no_criterion_could_do_is_an_error(atlas: SimilarityAtlas) -> None:
    with pytest.raises(PlanError, match="outside 1 to 6"):
        sweep_plans(atlas, CRITERIA, [7], 2)
    for name in ("manual", "mth_aware"):
        with pytest.raises(PlanError, match="unknown criterion"):
            sweep_plans(atlas, [name], [2], 2)


def test_embedded_benchmarks_are_reproducible_distinct_and_nameable() -> None:
    first, again = benchmark_items(n_per_domain=20), benchmark_items(n_per_domain=20)
    assert [(s.benchmark, s.domain, s.split) for s, _ in first] == [
        ("tiny-math", "math", "test"),
        ("tiny-general", "general", "test"),
    ]
    assert [s for s, _ in first] == [s for s, _ in again]
    for items, samples in first:
        assert [i.item_id for i in items.items] == [s.sample_id for s in samples]
        assert len({i.item_id for i in items.items}) == 20
        assert draw_from_source(items.items[3].source).sample_id == items.items[3].item_id
    other, _ = benchmark_items(seed=1, n_per_domain=20)[0]
    assert other.data_hash != first[0][0].data_hash


# ------------------------------------------------------------------------------------------------ running


def test_one_record_per_plan_and_benchmark_with_provenance(atlas: SimilarityAtlas, store: RunStore) -> None:
    plans = sweep_plans(atlas, CRITERIA, [2, 3], 3)
    report = run_sweep(VLM, atlas, plans, BENCHMARKS, store, scorer=FakeScorer())
    assert len(report.records) == len(plans) * 2 == len(store.records())
    assert not report.stopped
    assert {r.run_id: r for r in report.records} == {r.run_id: r for r in store.records()}
    record = store.records(benchmark="tiny-math", criterion="math_aware")[0]
    assert record.plan.dropped == (1, 2)
    assert record.similarity_dropped == pytest.approx(0.9 + 0.8)
    assert store.records(benchmark="tiny-general", criterion="math_aware")[0].similarity_dropped == pytest.approx(1.2)
    assert (record.model, record.device, record.data_hash) == (SPEC, "cpu", "hash-math-10")
    assert (record.version, record.metric, record.origin) == (__version__, "exact_match", "measured")
    assert record.created.endswith("+00:00")
    assert record.complete
    full = store.records(benchmark="tiny-math", criterion="full")[0]
    assert (full.plan.n_drop, full.similarity_dropped) == (0, 0.0)
    assert store.items("hash-math-10") == BENCHMARKS[0][0]


def test_plans_that_coincide_are_scored_once(atlas: SimilarityAtlas, store: RunStore) -> None:
    plans = sweep_plans(atlas, CRITERIA, [1, 2, 3, 4], 10)
    assert len({p.plan_id for p in plans}) < len(plans)
    scorer = FakeScorer()
    report = run_sweep(VLM, atlas, plans, BENCHMARKS, store, scorer=scorer)
    assert set(scorer.asked.values()) == {1}
    assert report.scored == len(scorer.asked) == len({p.plan_id for p in plans}) * 17
    by_plan: dict[tuple[str, str], set[tuple[bool | None, ...]]] = {}
    for r in store.records():
        by_plan.setdefault((r.plan.plan_id, r.benchmark), set()).add(r.correct)
    assert {len(v) for v in by_plan.values()} == {1}


def test_a_criterion_added_later_takes_over_what_another_measured(atlas: SimilarityAtlas, store: RunStore) -> None:
    run_sweep(VLM, atlas, sweep_plans(atlas, ["math_aware"], [2], 0), BENCHMARKS, store, scorer=FakeScorer())
    same = [PruningPlan("tiny", N_LAYERS, (1, 2), "mixed")]
    scorer = FakeScorer()
    report = run_sweep(VLM, atlas, same, BENCHMARKS, store, scorer=scorer)
    assert (report.scored, report.reused) == (0, 17)
    assert not scorer.asked
    assert store.records(criterion="mixed")[0].complete


@pytest.mark.parametrize("calls_until_stop", [1, 2, 3, 7, 12])
def test_a_stopped_sweep_resumes_without_scoring_anything_twice(
    atlas: SimilarityAtlas, store: RunStore, tmp_path: Path, calls_until_stop: int
) -> None:
    plans = sweep_plans(atlas, CRITERIA, [2, 3], 3)
    scorer = FakeScorer()
    calls = iter(range(1000))
    first = run_sweep(
        VLM,
        atlas,
        plans,
        BENCHMARKS,
        store,
        chunk=4,
        scorer=scorer,
        should_stop=lambda: next(calls) >= calls_until_stop,
    )
    assert first.stopped
    assert first.scored == sum(scorer.asked.values())
    assert sum(r.n_scored for r in store.records()) >= first.scored
    second = run_sweep(VLM, atlas, plans, BENCHMARKS, store, chunk=3, scorer=scorer)
    assert not second.stopped
    assert second.reused == first.scored
    assert set(scorer.asked.values()) == {1}
    pd.testing.assert_frame_equal(table(store.records()), undisturbed(atlas, tmp_path, plans))


def test_a_kill_loses_the_chunk_in_flight_only(atlas: SimilarityAtlas, store: RunStore, tmp_path: Path) -> None:
    plans = sweep_plans(atlas, CRITERIA, [2], 2)
    scorer = FakeScorer()

    def killed(*args: Any, **kwargs: Any) -> Scores:
        if len(scorer.asked) >= 8 * len({p.plan_id for p in plans}):
            raise KeyboardInterrupt
        return scorer(*args, **kwargs)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(VLM, atlas, plans, BENCHMARKS, store, chunk=4, scorer=killed)
    assert {r.n_scored for r in store.records(benchmark="tiny-math")} == {8}
    run_sweep(VLM, atlas, plans, BENCHMARKS, store, chunk=4, scorer=scorer)
    assert set(scorer.asked.values()) == {1}
    pd.testing.assert_frame_equal(table(store.records()), undisturbed(atlas, tmp_path, plans))


def test_a_finished_sweep_run_again_scores_nothing_and_changes_nothing(atlas: SimilarityAtlas, store: RunStore) -> None:
    plans = sweep_plans(atlas, CRITERIA, [2], 2)
    run_sweep(VLM, atlas, plans, BENCHMARKS, store, scorer=FakeScorer())
    before = store.records()
    scorer = FakeScorer()
    report = run_sweep(VLM, atlas, plans, BENCHMARKS, store, scorer=scorer)
    assert (report.scored, len(scorer.asked)) == (0, 0)
    assert store.records() == before


def test_new_plans_score_only_themselves(atlas: SimilarityAtlas, store: RunStore) -> None:
    scorer = FakeScorer()
    for n_random in (2, 5):
        run_sweep(VLM, atlas, sweep_plans(atlas, CRITERIA, [3], n_random), BENCHMARKS, store, scorer=scorer)
    assert set(scorer.asked.values()) == {1}


def test_another_revision_of_the_model_is_measured_anew(atlas: SimilarityAtlas, store: RunStore) -> None:
    plans = sweep_plans(atlas, ["uniform"], [2], 0)
    run_sweep(VLM, atlas, plans, BENCHMARKS, store, scorer=FakeScorer())
    newer: Any = SimpleNamespace(spec=replace(SPEC, revision="rev2"))
    with pytest.raises(CalibrationError, match="core calibrate"):
        run_sweep(newer, atlas, plans, BENCHMARKS, store, scorer=FakeScorer())
    report = run_sweep(newer, replace(atlas, revision="rev2"), plans, BENCHMARKS, store, scorer=FakeScorer())
    assert report.reused == 0
    with pytest.raises(PlanError, match="plan it again"):
        run_sweep(VLM, atlas, [PruningPlan("other", N_LAYERS, (1,))], BENCHMARKS, store, scorer=FakeScorer())


def test_one_plan_without_a_finite_loss_is_scored_all_the_same(atlas: SimilarityAtlas, store: RunStore) -> None:
    """A pruned model may overflow to NaN: the item is answered wrongly, not left to be scored for ever."""

    def scorer(vlm: Any, plans: Sequence[PruningPlan], samples: Sequence[Sample], **kwargs: Any) -> Scores:
        scores = FakeScorer()(vlm, plans, samples, **kwargs)
        scores.gold_nll[-1] = np.nan
        scores.correct[-1] = False
        return scores

    report = run_sweep(VLM, atlas, sweep_plans(atlas, ["uniform"], [2], 0), BENCHMARKS, store, scorer=scorer)
    assert all(r.complete for r in report.records)


def test_progress_counts_outcomes_to_the_end(atlas: SimilarityAtlas, store: RunStore) -> None:
    seen: list[tuple[int, int, str]] = []
    plans = sweep_plans(atlas, CRITERIA, [2, 3], 2)
    run_sweep(VLM, atlas, plans, BENCHMARKS, store, chunk=4, scorer=FakeScorer(), progress=lambda *a: seen.append(a))
    total = len({p.plan_id for p in plans}) * 17
    assert {t for _, t, _ in seen} == {total}
    assert [d for d, _, _ in seen] == sorted(d for d, _, _ in seen)
    assert seen[-1][0] == total
    assert "tiny-general" in seen[-1][2]
