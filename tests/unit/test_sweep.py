"""Sweeps with a stand-in scorer: nothing is scored twice, nothing finished is lost."""

import multiprocessing
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cache import RunStore
from core import __version__
from core.errors import CalibrationError, PlanError, SampleError
from core.measure.sweep import benchmark_items, run_sweep, sweep_plans
from core.pruning.atlas import SimilarityAtlas
from core.records.answers import ItemAnswer
from core.records.plan import PruningPlan
from core.records.samples import Sample
from core.scenes.samples import draw_from_source
from tests import sweeping
from tests.sweeping import CRITERIA, N_LAYERS, SPEC, VLM, FakeScorer, Scores, make_benchmark, sweep_atlas
from tests.sweeping import outcomes_table as table


@pytest.fixture
def atlas() -> SimilarityAtlas:
    return sweep_atlas()


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with RunStore(tmp_path / "runs") as opened:
        yield opened


BENCHMARKS = [make_benchmark("math"), make_benchmark("general", 7)]


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
    assert record.hardware == "cpu"
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


def test_free_answers_are_asked_for_kept_and_not_asked_for_again(atlas: SimilarityAtlas, store: RunStore) -> None:
    scorer, asked = FakeScorer(), []

    def free(*args: Any, metric: str, max_new_tokens: int, answer_batch: int, **kwargs: Any) -> Any:
        asked.append((metric, max_new_tokens, answer_batch))
        scores: Any = scorer(*args, **kwargs)
        scores.answers = [
            [
                ItemAnswer(s, "the last number", "" if hit else "wrong", float(hit))
                for s, hit in zip(ids, row, strict=True)
            ]
            for row, ids in zip(scores.correct, [scores.sample_ids] * len(scores.correct), strict=True)
        ]
        return scores

    items, samples = make_benchmark("math")
    opened: list[int] = []

    class Lazy(Sequence[Sample]):
        def __len__(self) -> int:
            return len(samples)

        def __getitem__(self, index: Any) -> Any:
            opened.append(index)
            return samples[index]

    free_items = replace(items, metric="number", max_new_tokens=16, domain="of my own")
    plans = sweep_plans(atlas, ["math_aware"], [2], 0)
    for _ in range(2):
        run_sweep(VLM, atlas, plans, [(free_items, Lazy())], store, chunk=4, scorer=free)
    assert asked == [("number", 16, 1)] * 3, "three chunks, once"
    assert opened == list(range(10)), "each picture is opened once, when its chunk is scored"
    for record in store.records(answers=True):
        assert (record.metric, record.max_new_tokens) == ("number", 16)
        assert [a.text for a in record.answers if a] == list(record.item_ids)
        assert [not a.failure for a in record.answers if a] == list(record.correct)
        assert not record.plan.n_drop or np.isnan(record.similarity_dropped), "the atlas has no such domain"
    longer, asked[:] = replace(free_items, max_new_tokens=1000, data_hash="longer"), []
    for batch in (1, 4):
        run_sweep(
            VLM,
            atlas,
            sweep_plans(atlas, ["math_aware"], [batch], 0),
            [(longer, samples)],
            store,
            answer_batch=batch,
            scorer=free,
        )
    assert asked == [("number", 1000, 1)] * 10 + [("number", 1000, 4)] * 10, "a long answer is a piece"


def test_an_item_whose_picture_is_damaged_is_left_out_and_the_rest_is_scored(
    atlas: SimilarityAtlas, store: RunStore
) -> None:
    """One damaged picture ended the sweep, and every later one at the same place."""
    items, samples = make_benchmark("math")
    damaged = {2, 4, 5}

    class Lazy(Sequence[Sample]):
        def __len__(self) -> int:
            return len(samples)

        def __getitem__(self, index: Any) -> Any:
            if index in damaged:
                raise SampleError(f"row {index}: the picture is damaged")
            return samples[index]

    plans, seen = sweep_plans(atlas, ["math_aware"], [2], 0), list[tuple[int, int, str]]()
    for scored in (14, 0):
        scorer, damage = FakeScorer(), [(items, Lazy())]
        report = run_sweep(VLM, atlas, plans, damage, store, chunk=2, scorer=scorer, progress=lambda *a: seen.append(a))
        assert (report.scored, report.stopped) == (scored, False)
        assert report.problems == tuple(f"row {i}: the picture is damaged" for i in sorted(damaged))
        assert seen[-1][0] == seen[-1][1], "progress comes to its end"
    assert {r.n_scored for r in store.records()} == {7}
    damaged.clear()
    assert run_sweep(VLM, atlas, plans, [(items, Lazy())], store, scorer=FakeScorer()).scored == 6
    assert all(r.complete for r in store.records())


def test_long_answers_are_saved_one_by_one(atlas: SimilarityAtlas, store: RunStore) -> None:
    """Eight answers of 1024 tokens under ninety plans take hours, and a stop lost them all."""
    items, samples = make_benchmark("math")
    for tokens, sizes in ((16, [8, 2]), (64, [2] * 5), (1024, [1] * 10)):
        asked: list[int] = []

        def scorer(vlm: Any, plans: Any, part: Any, *, asked: list[int] = asked, **_: Any) -> Scores:
            asked.append(len(part))
            return FakeScorer()(vlm, plans, part)

        free = replace(items, max_new_tokens=tokens)
        run_sweep(VLM, atlas, sweep_plans(atlas, [], [2], 1), [(free, samples)], store, scorer=scorer)
        assert asked == sizes


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


def test_more_items_score_only_themselves(atlas: SimilarityAtlas, store: RunStore) -> None:
    """A longer draw begins with the shorter one; an item that was changed since is another one."""
    plans, scorer = sweep_plans(atlas, ["uniform"], [2], 0), FakeScorer()
    for n in (4, 10):
        run_sweep(VLM, atlas, plans, [make_benchmark("math", n)], store, scorer=scorer)
    assert set(scorer.asked.values()) == {1} and len(scorer.asked) == 20
    items, samples = make_benchmark("math", 10)
    asked = (replace(items.items[0], question="How many now?"), *items.items[1:])
    again = run_sweep(VLM, atlas, plans, [(replace(items, data_hash="h", items=asked), samples)], store, scorer=scorer)
    assert (again.scored, again.reused) == (2, 18)


def test_a_new_calibration_says_anew_how_similar_dropped_layers_are(atlas: SimilarityAtlas, store: RunStore) -> None:
    """Else the ensemble's rank effect would mix two calibrations."""
    plans, scorer = sweep_plans(atlas, [], [2], 4), FakeScorer()
    run_sweep(VLM, atlas, plans[:3], BENCHMARKS, store, scorer=scorer)
    other = replace(atlas, values=atlas.values / 2)
    run_sweep(VLM, other, plans, BENCHMARKS, store, scorer=scorer)
    assert set(scorer.asked.values()) == {1}
    for r in store.records():
        assert r.similarity_dropped == pytest.approx(float(other.mean(r.domain)[list(r.plan.dropped)].sum()))


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


def test_a_plan_alone_without_a_finite_loss_is_scored_all_the_same(atlas: SimilarityAtlas, store: RunStore) -> None:
    """A plan that was added later is scored alone, and NaN on every item looked like items that were not reached."""

    def scorer(*args: Any, **kwargs: Any) -> Scores:
        scores = FakeScorer()(*args, **kwargs)
        scores.gold_nll[:] = np.nan
        return scores

    report = run_sweep(VLM, atlas, [PruningPlan("tiny", N_LAYERS, (1, 2))], BENCHMARKS, store, scorer=scorer)
    assert (report.scored, report.stopped) == (17, False)
    again = run_sweep(VLM, atlas, [PruningPlan("tiny", N_LAYERS, (1, 2))], BENCHMARKS, store, scorer=scorer)
    assert (again.scored, again.reused) == (0, 17)


def test_progress_counts_outcomes_to_the_end(atlas: SimilarityAtlas, store: RunStore) -> None:
    seen: list[tuple[int, int, str]] = []
    plans = sweep_plans(atlas, CRITERIA, [2, 3], 2)
    run_sweep(VLM, atlas, plans, BENCHMARKS, store, chunk=4, scorer=FakeScorer(), progress=lambda *a: seen.append(a))
    total = len({p.plan_id for p in plans}) * 17
    assert {t for _, t, _ in seen} == {total}
    assert [d for d, _, _ in seen] == sorted(d for d, _, _ in seen)
    assert seen[-1][0] == total
    assert "tiny-general" in seen[-1][2]


# ------------------------------------------------------------------------------------------------ processes

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.sweeping"])  # a process then starts in milliseconds


@pytest.fixture(scope="module")
def whole_table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What an undisturbed sweep of tests/sweeping.py measures."""
    folder = tmp_path_factory.mktemp("whole")
    sweeping.sweep_process(folder / "runs", folder / "log")
    with RunStore(folder / "runs") as store:
        return table(store.records())


def stored_outcomes(path: Path) -> int:
    """Distinct outcomes in a store; records of the same layers must hold the same ones."""
    with RunStore(path) as store:
        records = store.records()
    outcomes: dict[tuple[str, str], set[tuple[Any, ...]]] = {}
    for r in records:
        outcomes.setdefault((r.benchmark, r.plan.plan_id), set()).add((r.n_scored, r.correct, r.gold_nll))
    assert {len(v) for v in outcomes.values()} <= {1}
    return sum(n for v in outcomes.values() for n, *_ in v)


@pytest.mark.slow
def test_twenty_kills_cost_the_pieces_in_flight_and_nothing_else(tmp_path: Path, whole_table: pd.DataFrame) -> None:
    """SIGKILL at random moments: while the store is opened, while items are scored, while they are saved."""
    path, log, moments = tmp_path / "runs", tmp_path / "log", random.Random(0)
    log.touch()
    in_the_act = 0
    for _ in range(20):
        before, written = stored_outcomes(path), log.stat().st_size
        process = processes.Process(target=sweeping.sweep_process, args=(path, log))
        process.start()
        pieces, rest = moments.randrange(4), moments.uniform(0, 0.02)
        while log.stat().st_size < written + 2 * pieces and process.is_alive():
            time.sleep(0.001)
        time.sleep(rest)
        process.kill()
        process.join(60)
        assert process.exitcode == -9
        events = log.read_bytes()[written:]
        saved, scored = events.count(b"k"), events.count(b"s")
        in_the_act += scored - saved
        kept = stored_outcomes(path) - before
        # A piece is in the store once it was saved, and may be if the kill came between the commit and the word of it.
        assert saved * sweeping.PIECE <= kept <= scored * sweeping.PIECE
        assert scored - saved <= 1
    assert in_the_act, "no kill hit a save: choose other moments"
    assert stored_outcomes(path) < sweeping.OUTCOMES
    sweeping.sweep_process(path, log)
    with RunStore(path) as store:
        pd.testing.assert_frame_equal(table(store.records()), whole_table)
        assert store._cache.check() == []


def start_sweeps(path: Path, *arguments: tuple[Any, ...]) -> list[Any]:
    started = [processes.Process(target=sweeping.sweep_process, args=(path, *a)) for a in arguments]
    for process in started:
        process.start()
    return started


@pytest.mark.slow
def test_two_sweeps_at_once_on_one_store_lose_and_double_nothing(tmp_path: Path, whole_table: pd.DataFrame) -> None:
    """Both score the same plans on the same items, one of them slowly: what it saves is old news, and must not undo the
    other's. Both are killed; then one goes on with all, beside one that does half."""
    path, fast, slow = tmp_path / "runs", tmp_path / "fast", tmp_path / "slow"
    fast.touch()
    slow.touch()

    def saved() -> tuple[int, int]:
        return fast.read_bytes().count(b"k"), slow.read_bytes().count(b"k")

    def wait_until(happened: Callable[[], bool]) -> None:
        while not happened():
            assert all(p.is_alive() for p in both)
            time.sleep(0.001)

    both = start_sweeps(path, (slow, (0, 1), 0.02))
    wait_until(lambda: saved()[1] > 0)
    both += start_sweeps(path, (fast,))
    wait_until(lambda: saved()[0] > saved()[1] + 3)
    known = saved()[1]
    wait_until(lambda: saved()[1] > known)  # the slow one has written what it knows
    for process in both:
        process.kill()
        process.join(60)
    assert max(saved()) * sweeping.PIECE <= stored_outcomes(path) < sweeping.OUTCOMES
    both = start_sweeps(path, (fast,), (slow, (1,)))
    for process in both:
        process.join(120)
    assert [p.exitcode for p in both] == [0, 0]
    with RunStore(path) as store:
        records = store.records()
        assert len({r.run_id for r in records}) == len(records)
        pd.testing.assert_frame_equal(table(records), whole_table)
