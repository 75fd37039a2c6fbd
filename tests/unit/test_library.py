"""Runs that differ in more than the plan never stand in one chart."""

from dataclasses import replace
from pathlib import Path

import pytest

from cache import RunStore
from core import settings
from core.library.choosing import comparable, one_setting
from core.library.finding import model_slug, user_runs_path
from core.library.run_view import RunView
from core.library.sources import Sources, read_sources
from core.records.answers import ItemAnswer
from core.records.items import BenchmarkItem, ItemSet
from core.records.plan import ModelSpec, PruningPlan
from core.records.runs import Outcome, RunRecord

SPEC = ModelSpec("m", "r1", "llava", 4, (), 10, (1, 1, 1, 1), "float32", "cpu")


def record(n_scored: int, dropped: tuple[int, ...] = (1,), data: str = "d1", **changes: object) -> RunRecord:
    outcomes = tuple(True if i < n_scored else None for i in range(4))
    losses = tuple(0.5 if i < n_scored else None for i in range(4))
    ids = tuple(f"{data}{i}" for i in range(4))
    made = RunRecord(SPEC, PruningPlan("m", 4, dropped), "b", "math", data, "exact_match", ids, outcomes, losses)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_the_setting_with_the_most_scored_items_wins() -> None:
    old = [record(4, (i,)) for i in (1, 2)]
    new = record(4, model=replace(SPEC, revision="r2"))
    assert one_setting([new, *old]) == old
    assert one_setting([]) == []


def test_other_dtype_device_or_origin_is_another_setting() -> None:
    base = [record(4), record(4, (2,))]
    for other in (
        record(3, model=replace(SPEC, dtype="bfloat16")),
        record(3, device="cuda:0"),
        record(3, origin="imported"),
    ):
        assert one_setting([other, *base]) == base
        assert other.run_id not in {r.run_id for r in base}


def test_one_item_set_for_each_benchmark() -> None:
    large, small, other = record(4), record(2, data="d2"), record(3, data="d3", benchmark="c")
    assert comparable([small, large, other]) == [large, other]


@pytest.mark.parametrize("change", [{"metric": "multiple_choice"}, {"max_new_tokens": 16}], ids=["metric", "length"])
def test_one_way_of_asking_for_each_benchmark(change: dict[str, object]) -> None:
    """The same items judged by another rule, or answered freely, give other scores."""
    some, other = [record(4, (i,)) for i in (1, 2)], record(4, (3,), **change)
    assert comparable([other, *some]) == some


def test_a_run_repeated_here_replaces_the_recorded_one_when_it_has_come_as_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RECORDED_DIR", tmp_path / "recorded")
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    with RunStore(tmp_path / "shipped") as shipped:
        shipped.put_many([record(3, created="then"), record(3, (2,), created="then")])
        shipped.export_parquet(tmp_path / "recorded" / "m.runs.parquet")
    with RunStore(user_runs_path()) as own:
        own.put_many([record(2, created="now"), record(3, (2,), created="now")])
    assert {r.plan.dropped: (r.n_scored, r.created) for r in read_sources().records} == {
        (1,): (3, "then"),
        (2,): (3, "now"),
    }


def test_slugs_are_file_names() -> None:
    assert model_slug("Qwen/Qwen3-VL-4B-Instruct") == "Qwen--Qwen3-VL-4B-Instruct"
    assert "/" not in model_slug("/tmp/some model/x") and " " not in model_slug("/tmp/some model/x")


def test_the_floor_of_a_domain_is_the_mean_of_its_benchmarks_floors() -> None:
    """The highest of them stood for all: one small benchmark of yes and no made a whole domain converge. Then they were
    pooled by items, while a score is the mean over benchmarks."""
    records, sets = [], {}
    for benchmark, n, answers in (("easy", 20, "A"), ("hard", 80, "ABCD")):
        items = tuple(BenchmarkItem(f"{benchmark}{i}", "t", "?", answers[i % len(answers)]) for i in range(n))
        sets[benchmark] = ItemSet(benchmark, "math", "test", benchmark, items)
        ids, right, losses = tuple(i.item_id for i in items), (True,) * n, (0.5,) * n
        for dropped in ((), (1,), (2,)):
            changes = {"benchmark": benchmark, "data_hash": benchmark, "plan": PruningPlan("m", 4, dropped, "x")}
            records.append(record(0, item_ids=ids, correct=right, gold_nll=losses, **changes))
    found = RunView(Sources(own=tuple(records), items=sets), "m").regimes("math")
    assert found is not None and found.budgets[0].evidence["floor"] == pytest.approx((1 + 0.25) / 2)


def test_a_passport_holds_graded_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """VQA accuracy was stated as the share of answers that are right from a half on."""
    monkeypatch.setattr(settings, "RECORDED_DIR", tmp_path / "recorded")
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    values = {"d10": 0.3, "d11": 0.6, "d12": 1.0, "d13": 0.3}
    outcomes = {
        i: Outcome(v >= 0.5, 0.5, ItemAnswer("stop", "", "" if v >= 0.5 else "wrong", v)) for i, v in values.items()
    }
    with RunStore(user_runs_path()) as own:
        for dropped in ((), (1,)):
            own.put(record(0, dropped, metric="vqa_accuracy", max_new_tokens=16).with_outcomes(outcomes))
    found = RunView.of("m", revision="r1").passport(PruningPlan("m", 4, (1,)))["b"]
    assert (found["score"], found["full_model"]) == (pytest.approx(0.55), pytest.approx(0.55))
