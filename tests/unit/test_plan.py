"""Plans: what can be said about a set of dropped layers, and which sets are refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import PlanError
from core.records.plan import ModelSpec, PruningPlan, check_budget, parse_budget, protected_layers


@st.composite
def plans(draw: st.DrawFn) -> PruningPlan:
    n_layers = draw(st.integers(2, 40))
    dropped = draw(st.sets(st.integers(0, n_layers - 1), max_size=n_layers - 1))
    order = draw(st.permutations(sorted(dropped)))
    return PruningPlan(
        "m", n_layers, tuple(order), draw(st.sampled_from(["manual", "random"])), draw(st.none() | st.integers())
    )


@given(plans())
def test_kept_and_dropped_share_out_the_layers(plan: PruningPlan) -> None:
    assert sorted(plan.kept + plan.dropped) == list(range(plan.n_layers))
    assert list(plan.dropped) == sorted(plan.dropped)
    assert plan.n_drop == plan.n_layers - len(plan.kept)


@given(plans())
def test_longest_run_is_the_longest_stretch_in_a_strip_of_letters(plan: PruningPlan) -> None:
    strip = "".join("x" if i in plan.dropped else "." for i in range(plan.n_layers))
    assert plan.longest_run == max(map(len, strip.split(".")))


@given(plans())
def test_json_round_trip(plan: PruningPlan) -> None:
    assert PruningPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_plan_id_names_what_is_dropped_not_who_chose_it() -> None:
    a = PruningPlan("m", 8, (5, 2), "math_aware")
    assert a.plan_id == PruningPlan("m", 8, (2, 5, 5), "random", seed=3).plan_id
    assert a.plan_id != PruningPlan("m", 8, (2, 6)).plan_id
    assert a.plan_id != PruningPlan("m", 9, (2, 5)).plan_id
    assert a.plan_id != PruningPlan("other", 8, (2, 5)).plan_id


def test_plan_ids_of_all_small_plans_differ() -> None:
    """ "1,2" and "12" must not be the same content."""
    ids = {PruningPlan("m", 14, tuple(i for i in range(14) if bits >> i & 1)).plan_id for bits in range(2**14 - 1)}
    assert len(ids) == 2**14 - 1


@pytest.mark.parametrize(
    ("dropped", "words"),
    [
        ((8,), "layer 8 does not exist: m has layers 0 to 7"),
        ((3, -1), "layer -1"),
        (tuple(range(8)), "keep at least one"),
    ],
)
def test_impossible_plans_are_refused(dropped: tuple[int, ...], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        PruningPlan("m", 8, dropped)


@pytest.mark.parametrize(
    "data",
    [
        [],
        None,
        "plan",
        {},
        {"model_id": "m", "n_layers": 8},
        {"model_id": "m", "n_layers": 8, "dropped": 3},
        {"model_id": "m", "n_layers": 8, "dropped": ["a"]},
        {"model_id": "m", "n_layers": "eight", "dropped": []},
        {"model_id": "m", "n_layers": 8, "dropped": [1], "seed": "x"},
    ],
)
def test_what_is_not_a_plan_says_so(data: object) -> None:
    with pytest.raises(PlanError, match="not a plan"):
        PruningPlan.from_dict(data)


@pytest.mark.parametrize("dropped", ["12", [1.9], ["1"]])
def test_layers_are_whole_numbers(dropped: object) -> None:
    """Regression: "12" was read as layers 1 and 2, and 1.9 as layer 1, without a word."""
    with pytest.raises(PlanError, match="not a plan"):
        PruningPlan.from_dict({"model_id": "m", "n_layers": 8, "dropped": dropped})


def test_load_reads_what_to_dict_wrote(tmp_path: Path) -> None:
    plan = PruningPlan("m", 8, (1, 4), "uniform")
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan.to_dict()))
    assert PruningPlan.load(path) == plan
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PlanError, match="cannot read the plan"):
        PruningPlan.load(path)
    with pytest.raises(PlanError, match="cannot read the plan"):
        PruningPlan.load(tmp_path / "absent.json")


def test_protected_layers() -> None:
    assert protected_layers(8) == {0, 7}
    assert protected_layers(8, protect_ends=False) == set()
    assert protected_layers(8, (0, 1, 2)) == {0, 1, 2, 7}
    assert protected_layers(8, (0, 1, 2), protect_ends=False) == {0, 1, 2}


@pytest.mark.parametrize(
    ("text", "n_layers", "n_drop"),
    [("4", 16, 4), (" 4 ", 16, 4), ("25%", 16, 4), ("33.3%", 36, 12), ("12.4%", 8, 1), ("99%", 200, 198)],
)
def test_budgets_are_counts_or_percentages(text: str, n_layers: int, n_drop: int) -> None:
    assert parse_budget(text, n_layers) == n_drop


@given(st.integers(2, 100), st.data())
def test_every_possible_count_can_be_said_both_ways(n_layers: int, data: st.DataObject) -> None:
    n_drop = data.draw(st.integers(1, n_layers - 1))
    assert parse_budget(str(n_drop), n_layers) == n_drop
    assert parse_budget(f"{100 * n_drop / n_layers}%", n_layers) == n_drop


@pytest.mark.parametrize("text", ["", "%", "four", "4.5", "nan%", "inf%", "1e999%", "0", "-1", "16", "0%", "100%", "½"])
def test_other_budgets_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_budget(text, 16)
    assert "\n" not in str(caught.value)


def test_budget_leaves_the_protected_layers() -> None:
    check_budget(5, 8, 3)
    with pytest.raises(PlanError, match=r"budget 6 is outside 1 to 5: .* 3 of them protected"):
        check_budget(6, 8, 3)


def test_spec_round_trip_through_json() -> None:
    spec = ModelSpec("m", "rev", "llava", 3, (0,), 100, (10, 20, 30), "float32", "cpu")
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
