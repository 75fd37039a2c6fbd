"""Search: what it finds, how many plans it may try, and that the items it is reported on never chose anything."""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cache import RunStore
from core.analysis.statistics import mcnemar_exact, paired_bootstrap
from core.charts import style
from core.errors import PlanError, SampleError
from core.measure.search import Layers, SearchReport, local_search, neighbours, search_plan
from core.measure.sweep import benchmark_items
from core.pruning.criteria import build_plan, get_criterion
from core.records.plan import PruningPlan
from tests.sweeping import N_LAYERS, VLM, FakeScorer, make_benchmark, sweep_atlas

FREE = range(1, 13)
FROM_END: Layers = (9, 10, 11, 12)


def bumpy_loss(seed: int) -> Callable[[list[Layers]], list[float]]:
    """A cost for each layer and each pair of layers: a landscape with local optima."""
    rng = np.random.default_rng(seed)
    alone, together = rng.random(13), rng.normal(0, 0.4, (13, 13))
    return lambda plans: [float(alone[list(p)].sum() + together[np.ix_(p, p)].sum()) for p in plans]


# ------------------------------------------------------------------------------------------------ the search itself


@pytest.mark.parametrize("seed", range(8))
def test_finds_the_best_of_all_plans_by_trying_a_third_of_them(seed: int) -> None:
    loss = bumpy_loss(seed)
    everything = list(itertools.combinations(FREE, 4))
    optimum = min(everything, key=lambda p: loss([p])[0])
    tried = local_search(loss, FREE, 4, [FROM_END], len(everything) // 3)
    assert min(tried, key=lambda p: tried[p]) == optimum
    assert len(tried) == len(everything) // 3


def test_leaves_a_local_optimum() -> None:
    """Every neighbour of (1, 2) is worse, and the best plan shares no layer with it."""
    costs = {(1, 2): 1.0, (5, 6): 0.0}
    tried = local_search(lambda plans: [costs.get(p, 2.0 + sum(p) / 100) for p in plans], range(1, 7), 2, [(1, 2)], 15)
    assert tried[5, 6] == 0.0


@pytest.mark.parametrize("max_plans", [1, 5, 9, 50, 77, 495, 10_000])
def test_tries_as_many_distinct_plans_as_it_may_and_each_once(max_plans: int) -> None:
    asked: list[Layers] = []

    def score(plans: list[Layers]) -> list[float]:
        asked.extend(plans)
        return bumpy_loss(0)(plans)

    tried = local_search(score, FREE, 4, [FROM_END], max_plans)
    assert len(tried) == len(asked) == len(set(asked)) == min(max_plans, math.comb(12, 4))
    assert list(tried) == asked and asked[0] == FROM_END
    assert all(p == tuple(sorted(set(p))) and len(p) == 4 and set(p) <= set(FREE) for p in asked)


def test_depends_on_its_seed_alone() -> None:
    first, again, other = (list(local_search(bumpy_loss(1), FREE, 4, [FROM_END], 60, seed=s)) for s in (3, 3, 4))
    assert first == again != other


def test_neighbours_swap_one_layer() -> None:
    assert set(neighbours((1, 3), range(1, 5))) == {(2, 3), (3, 4), (1, 2), (1, 4)}


# ------------------------------------------------------------------------------------------------ on items

TEST = make_benchmark("math", 12)


def other_items(n: int = 10) -> Any:
    items, samples = make_benchmark("math", n)
    named = tuple(replace(i, item_id=f"v-{i.item_id}") for i in items.items)
    return replace(items, split="validation", data_hash="v", items=named), [
        replace(s, sample_id=f"v-{s.sample_id}") for s in samples
    ]


VALIDATION = other_items()
EVERY = list(itertools.combinations(range(1, N_LAYERS - 1), 3))


def search(folder: Path, scorer: Any, **options: Any) -> SearchReport:
    with RunStore(folder / "runs") as runs, RunStore(folder / "trials") as trials:
        return search_plan(
            VLM, sweep_atlas(), 3, VALIDATION, TEST, runs, trials, **{"max_plans": 16, "scorer": scorer, **options}
        )


def outcome(plan: PruningPlan, benchmark: Any) -> tuple[np.ndarray, np.ndarray]:
    """What the stand-in scorer says of a plan."""
    scores = FakeScorer()(VLM, [plan], benchmark[1])
    return scores.correct[0], scores.gold_nll[0]


def test_finds_the_plan_of_least_validation_loss_and_reports_it_on_test(tmp_path: Path) -> None:
    found = search(tmp_path, FakeScorer(), max_plans=100)
    losses = {p: outcome(PruningPlan("tiny", N_LAYERS, p), VALIDATION)[1].mean() for p in EVERY}
    assert (found.tried, found.possible) == (20, 20)
    assert found.plan.dropped == min(EVERY, key=lambda p: losses[p])
    assert found.validation_nll == pytest.approx(min(losses.values()))
    ours, _ = outcome(found.plan, TEST)
    assert found.score == ours.mean()
    for rival in found.rivals:
        assert rival.plan.dropped == build_plan(sweep_atlas(), rival.plan.criterion, 3).dropped
        theirs, _ = outcome(rival.plan, TEST)
        assert rival.score == theirs.mean()
        assert rival.difference == paired_bootstrap(ours, theirs)
        assert rival.p_value == mcnemar_exact(int((ours & ~theirs).sum()), int((theirs & ~ours).sum()))
    on_validation, on_test = found.rivals
    assert (on_validation.chosen_on, on_test.chosen_on) == ("validation", "test")
    assert on_validation.validation_nll == pytest.approx(losses[on_validation.plan.dropped])
    assert on_test.score >= on_validation.score


def test_test_items_are_scored_only_when_all_is_chosen(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def scorer(vlm: Any, plans: Sequence[PruningPlan], samples: Sequence[Any], **options: Any) -> Any:
        asked.append(("validation" if samples[0].sample_id.startswith("v-") else "test", len(plans)))
        return FakeScorer()(vlm, plans, samples, **options)

    found = search(tmp_path, scorer)
    splits = [split for split, _ in asked]
    assert splits == sorted(splits, reverse=True) and splits.count("test") == 1
    assert sum(n for split, n in asked if split == "validation") == found.tried == 16  # one call a round, none twice


def test_splits_share_neither_items_nor_scenes() -> None:
    """With the same seed, too: a scene's content decides its split (tests/unit/test_samples.py)."""
    for domain in range(2):
        splits = [benchmark_items(split, 0, 40)[domain] for split in ("validation", "test")]
        (validation, _), (test, _) = splits
        assert validation.domain == test.domain and validation.benchmark == test.benchmark
        assert not {i.item_id for i in validation.items} & {i.item_id for i in test.items}
        assert [{s.source.split("/")[0] for s in samples} for _, samples in splits] == [
            {"drawn:validation"},
            {"drawn:test"},
        ]


def test_shared_items_are_refused(tmp_path: Path) -> None:
    with RunStore(tmp_path / "runs") as runs, pytest.raises(SampleError, match="share 10 items"):
        search_plan(VLM, sweep_atlas(), 3, make_benchmark("math", 10), TEST, runs, runs, scorer=FakeScorer())


def test_fewer_plans_than_criteria_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"the criteria alone are \d+ plans"):
        search(tmp_path, FakeScorer(), max_plans=3)
    with RunStore(tmp_path / "runs") as runs, pytest.raises(PlanError, match="outside 1 to 6"):
        search_plan(VLM, sweep_atlas(), 7, VALIDATION, TEST, runs, runs, scorer=FakeScorer())


# ------------------------------------------------------------------------------------------------ stopped, stored


def told(found: SearchReport) -> dict[str, Any]:
    return {k: v for k, v in found.to_dict().items() if k != "seconds"}


@pytest.mark.parametrize("calls", [1, 2, 3])
@pytest.mark.parametrize("gently", [True, False])
def test_a_stopped_search_goes_on_where_it_was(tmp_path: Path, calls: int, gently: bool) -> None:
    counted = FakeScorer()
    started = itertools.count()

    def interrupted(*args: Any, **options: Any) -> Any:
        if next(started) == calls and not gently:
            raise KeyboardInterrupt
        return counted(*args, **options)

    stop = (lambda: next(started) >= 2 * calls) if gently else None  # in mid-round
    with pytest.raises(PlanError if gently else KeyboardInterrupt):
        search(tmp_path, interrupted if not gently else counted, should_stop=stop)
    assert counted.asked  # something was finished, and it is kept:
    found = search(tmp_path, counted)
    assert set(counted.asked.values()) == {1}
    assert told(found) == told(search(tmp_path / "undisturbed", FakeScorer()))


def test_records_lie_where_charts_look_and_trials_apart(tmp_path: Path) -> None:
    found = search(tmp_path, FakeScorer())
    with RunStore(tmp_path / "runs") as runs, RunStore(tmp_path / "trials") as trials:
        assert {r.data_hash for r in runs.records()} == {TEST[0].data_hash}
        assert [r.plan for r in runs.records(criterion="search:math")] == [found.plan]
        assert {"full", "math_aware", "deepest", "search:math"} <= {r.plan.criterion for r in runs.records()}
        assert len(trials.records()) == found.tried
        assert {(r.data_hash, r.plan.criterion) for r in trials.records()} == {("v", "search:math")}


def test_an_overflowing_plan_is_the_worst(tmp_path: Path) -> None:
    bad = search(tmp_path / "a", FakeScorer()).plan

    def scorer(vlm: Any, plans: Sequence[PruningPlan], samples: Sequence[Any], **options: Any) -> Any:
        scores = FakeScorer()(vlm, plans, samples, **options)
        scores.gold_nll[[p.dropped == bad.dropped for p in plans], 0] = np.nan
        return scores

    assert search(tmp_path / "b", scorer).plan.dropped != bad.dropped


def test_the_report_is_a_plan_file(tmp_path: Path) -> None:
    found = search(tmp_path, FakeScorer())
    (tmp_path / "plan.json").write_text(json.dumps(found.to_dict(), allow_nan=False))
    assert PruningPlan.load(tmp_path / "plan.json") == found.plan


def test_progress_goes_to_its_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    search(tmp_path, FakeScorer(), progress=lambda *a: seen.append(a))
    searching = [(done, total) for done, total, what in seen if what == "searching"]
    assert searching == sorted(searching) and searching[-1] == (160, 160)  # 16 plans on 10 items
    assert seen[-1][0] == seen[-1][1] and "tiny-math" in seen[-1][2]


def test_the_name_of_a_searched_plan_is_known_and_says_how_to_find_one() -> None:
    for name in ("search", "search:general"):
        assert get_criterion(name).description.endswith(".")
        domain = "general" if ":" in name else "math"
        with pytest.raises(PlanError, match=rf"python -m core search --model tiny --domain {domain} --budget 3"):
            build_plan(sweep_atlas(), name, 3)
        assert style.style_of(name) == style.STYLES["search"]
