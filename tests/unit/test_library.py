"""Runs that differ in more than the plan never stand in one chart."""

from dataclasses import replace

from core.pruning.plan import ModelSpec, PruningPlan
from core.runs.library import comparable, model_slug, one_setting
from core.runs.records import RunRecord

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


def test_slugs_are_file_names() -> None:
    assert model_slug("Qwen/Qwen3-VL-4B-Instruct") == "Qwen--Qwen3-VL-4B-Instruct"
    assert "/" not in model_slug("/tmp/some model/x") and " " not in model_slug("/tmp/some model/x")
