"""Criteria: what each drops, on atlases small enough to work out by hand, and what all of them never do."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.errors import CalibrationError, PlanError
from core.pruning.atlas import TOKEN_KINDS, GreedyOrder, SimilarityAtlas
from core.pruning.criteria import Options, best_spaced, build_plan, get_criterion, list_criteria, ranked_layers
from core.records.plan import protected_layers
from tests.atlases import make_atlas

NAMES = [c.name for c in list_criteria()]
NESTED = ["math_aware", "non_math_aware", "mixed", "deepest", "interlace", "greedy"]


def with_order(atlas: SimilarityAtlas, layers: Sequence[int]) -> SimilarityAtlas:
    """The atlas with a greedy order that spares the ends."""
    protected = tuple(sorted(protected_layers(atlas.n_layers, atlas.structural)))
    return replace(atlas, greedy=GreedyOrder(tuple(layers), (0.0,) * (len(layers) + 1), protected, "made up", ()))


@st.composite
def atlases(draw: st.DrawFn) -> SimilarityAtlas:
    depth = draw(st.integers(4, 14))
    structural = tuple(draw(st.sets(st.integers(0, depth - 1), max_size=2)))
    # few distinct values, so that ties happen
    row = st.lists(st.sampled_from([-0.5, 0.0, 0.25, 0.5, 0.75, 0.9, 1.0]), min_size=depth, max_size=depth)
    rows = st.lists(row, min_size=1, max_size=3)
    atlas = make_atlas({"math": draw(rows), "general": draw(rows)}, structural=structural)
    free = sorted(set(range(depth)) - protected_layers(depth, structural))
    return with_order(atlas, draw(st.permutations(free)))


@given(atlases(), st.sampled_from(NAMES), st.booleans(), st.integers(0, 3), st.data())
def test_a_plan_has_its_budget_and_spares_protected_layers(
    atlas: SimilarityAtlas, name: str, ends: bool, seed: int, data: st.DataObject
) -> None:
    protected = protected_layers(atlas.n_layers, atlas.structural, ends)
    most = atlas.n_layers - max(len(protected), 1)
    assume(most >= 1)
    n_drop = data.draw(st.integers(1, most))
    try:
        plan = build_plan(atlas, name, n_drop, seed=seed, protect_ends=ends)
    except PlanError:
        assert name in ("block", "interlace")  # the only ones that can have no answer
        return
    except CalibrationError:  # the order was calibrated with the ends protected
        assert name == "greedy" and protected != set(atlas.greedy.protected)
        return
    assert plan.n_drop == n_drop  # so the layers are distinct too: plans drop duplicates
    assert not protected & set(plan.dropped)
    assert (plan.model_id, plan.n_layers, plan.criterion) == (atlas.model_id, atlas.n_layers, name)
    assert plan == build_plan(atlas, name, n_drop, seed=seed, protect_ends=ends)  # the same again


@given(atlases(), st.sampled_from(NESTED))
def test_rankings_are_nested(atlas: SimilarityAtlas, name: str) -> None:
    """A larger budget drops what the smaller one drops, and one layer more."""
    before: set[int] = set()
    for n_drop in range(1, atlas.n_layers - len(protected_layers(atlas.n_layers, atlas.structural)) + 1):
        try:
            dropped = set(build_plan(atlas, name, n_drop).dropped)
        except PlanError:
            assert name == "interlace"
            return
        assert before < dropped
        before = dropped


def test_every_criterion_describes_itself() -> None:
    for criterion in list_criteria():
        assert criterion.label and criterion.source and criterion.description.endswith(".")
        assert criterion.group in ("domain-aware", "baseline", "spaced")
        assert criterion.redundancy is not None or criterion.group != "domain-aware"


def test_unknown_criterion_gets_a_suggestion() -> None:
    with pytest.raises(PlanError, match="unknown criterion 'mth_aware': did you mean 'math_aware'"):
        get_criterion("mth_aware")


def test_budget_is_checked_for_all_of_them() -> None:
    atlas = make_atlas({"math": [[0.5] * 6], "general": [[0.5] * 6]}, structural=(1,))
    for name in NAMES:
        for n_drop in (0, -1, 4):  # layers 0, 1 and 5 are protected
            with pytest.raises(PlanError, match=f"budget {n_drop} is outside 1 to 3"):
                build_plan(atlas, name, n_drop)


# ------------------------------------------------------------------------------------------------ domain-aware

#                    protected                          protected
MATH = [[0.99, 0.10, 0.90, 0.30, 0.50, 0.90, 0.20, 0.99]]
GENERAL = [[0.99, 0.80, 0.10, 0.60, 0.70, 0.20, 0.50, 0.99]]
BOTH = {"math": MATH, "general": GENERAL}


def test_each_domain_drops_what_changes_it_least() -> None:
    atlas = make_atlas(BOTH)
    assert build_plan(atlas, "math_aware", 3).dropped == (2, 4, 5)
    assert build_plan(atlas, "non_math_aware", 3).dropped == (1, 3, 4)
    assert build_plan(atlas, "math_aware", 2, protect_ends=False).dropped == (0, 7)


def test_ties_go_to_the_deeper_layer() -> None:
    assert build_plan(make_atlas(BOTH), "math_aware", 1).dropped == (5,)  # 2 and 5 both have 0.90
    assert ranked_layers(np.array([0.5, 0.5, 0.7, 0.5]), frozenset({3})) == [2, 1, 0]


def test_mixed_is_between_its_ends() -> None:
    atlas = make_atlas(BOTH)
    # means of the two: 1: .45, 2: .50, 3: .45, 4: .60, 5: .55, 6: .35
    assert build_plan(atlas, "mixed", 2).dropped == (4, 5)
    for n_drop in range(1, 7):
        assert build_plan(atlas, "mixed", n_drop, weight=1.0).dropped == build_plan(atlas, "math_aware", n_drop).dropped
        plan = build_plan(atlas, "mixed", n_drop, weight=0.0)
        assert plan.dropped == build_plan(atlas, "non_math_aware", n_drop).dropped


def test_the_token_kind_decides() -> None:
    atlas = make_atlas(
        {"math": [[0.5, 0.9, 0.1, 0.5]], "general": [[0.5] * 4]}, last={1: [[0.5, 0.1, 0.9, 0.5], [0.5] * 4]}
    )
    assert build_plan(atlas, "math_aware", 1).dropped == (1,)
    assert build_plan(atlas, "math_aware", 1, kind="last").dropped == (2,)


def test_a_missing_domain_is_named() -> None:
    with pytest.raises(CalibrationError, match="no domain 'general'"):
        build_plan(make_atlas({"math": MATH}), "mixed", 2)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("name", ["math_aware", "spaced:mixed", "shortgpt", "block", "interlace"])
def test_a_ranking_over_nothing_is_refused(name: str) -> None:
    """Regression: with no token of the kind, every score was NaN and the "ranking" an accident of sorting."""
    nothing = {length: [[np.nan] * (9 - length)] * 2 for length in range(1, 9)}
    atlas = make_atlas({"math": MATH, "general": GENERAL}, last=nothing)
    atlas.n_tokens[:, TOKEN_KINDS.index("last")] = 0
    with pytest.raises(CalibrationError, match="no similarity"):
        build_plan(atlas, name, 2, kind="last")


# ------------------------------------------------------------------------------------------------ baselines


def flat(depth: int, structural: tuple[int, ...] = ()) -> SimilarityAtlas:
    return make_atlas({"math": [[0.5] * depth], "general": [[0.5] * depth]}, structural=structural)


def test_random_depends_on_its_seed_alone() -> None:
    atlas = flat(24)
    assert build_plan(atlas, "random", 6, seed=1) == build_plan(make_atlas({"math": [[0.1] * 24]}), "random", 6, seed=1)
    drawn = {build_plan(atlas, "random", 6, seed=s).dropped for s in range(50)}
    assert len(drawn) == 50
    assert build_plan(atlas, "random", 6, seed=1).seed == 1
    assert build_plan(atlas, "uniform", 6, seed=1).seed is None


def test_random_has_no_favourite_layer() -> None:
    """Each of 22 free layers is in 6 of 22 plans: 273 of 1,000, give or take five standard deviations of 14."""
    atlas = flat(24)
    counts = np.zeros(24, dtype=int)
    for seed in range(1000):
        counts[list(build_plan(atlas, "random", 6, seed=seed).dropped)] += 1
    assert counts[0] == counts[23] == 0
    assert (abs(counts[1:23] - 1000 * 6 / 22) < 5 * 14.1).all()


def test_uniform_is_evenly_spaced() -> None:
    assert build_plan(flat(10), "uniform", 4).dropped == (2, 4, 6, 8)  # of 1 to 8
    assert build_plan(flat(11), "uniform", 3).dropped == (2, 5, 8)
    assert build_plan(flat(8), "uniform", 1).dropped == (4,)


@given(st.integers(3, 60), st.data())
def test_uniform_gaps_differ_by_one_at_most(depth: int, data: st.DataObject) -> None:
    n_drop = data.draw(st.integers(1, depth - 2))
    gaps = np.diff(build_plan(flat(depth), "uniform", n_drop).dropped)
    assert len(gaps) == 0 or gaps.max() - gaps.min() <= 1


def test_deepest_goes_backwards_from_the_last_free_layer() -> None:
    assert build_plan(flat(8), "deepest", 3).dropped == (4, 5, 6)
    assert build_plan(flat(8, structural=(5,)), "deepest", 3).dropped == (3, 4, 6)
    assert build_plan(flat(8), "deepest", 3, protect_ends=False).dropped == (5, 6, 7)


def test_block_takes_the_span_that_turns_the_last_token_least() -> None:
    # spans of two layers start at 0 to 4; 0 and 4 touch the protected ends
    atlas = make_atlas({"math": [[0.5] * 6], "general": [[0.5] * 6]}, last={2: [[1.0, 0.3, 0.8, 0.2, 1.0]] * 2})
    assert build_plan(atlas, "block", 2).dropped == (2, 3)
    assert build_plan(atlas, "block", 2, protect_ends=False).dropped == (4, 5)  # 0 and 4 tie: the deeper one


def test_block_averages_angles_not_cosines() -> None:
    """Start 1: cosines 1 and 0, angles 0 and 1/2, mean angle 0.25, mean cosine 0.50.
    Start 2: cosines 0.6 twice, mean angle 0.295, mean cosine 0.60. By angle the first wins, by cosine the second."""
    atlas = make_atlas({"math": [[0.5] * 5] * 2}, last={2: [[0.0, 1.0, 0.6, 0.0], [0.0, 0.0, 0.6, 0.0]]})
    assert build_plan(atlas, "block", 2).dropped == (1, 2)


def test_block_has_no_room_beside_a_protected_layer_in_the_middle() -> None:
    assert build_plan(flat(8, structural=(3,)), "block", 3).dropped == (4, 5, 6)
    with pytest.raises(PlanError, match="no contiguous block of 4 unprotected layers"):
        build_plan(flat(8, structural=(3,)), "block", 4)


def interlaced(depth: int, triplets: list[float], single: list[float]) -> SimilarityAtlas:
    return make_atlas({"math": [single], "general": [single]}, spans={3: triplets})


def test_interlace_drops_one_of_the_first_two_of_the_best_triplets() -> None:
    single = [0.5, 0.2, 0.7, 0.1, 0.5, 0.6, 0.3, 0.1, 0.5]
    #            starts: 0    1    2    3    4    5    6
    atlas = interlaced(9, [0.1, 0.9, 0.8, 0.2, 0.7, 0.3, 0.4], single)
    # best: start 1 (layers 1, 2, 3): 2 is more redundant than 1. Start 2 overlaps. Next start 4 (4, 5, 6): 5, not 4.
    assert build_plan(atlas, "interlace", 1).dropped == (2,)
    assert build_plan(atlas, "interlace", 2).dropped == (2, 5)
    # triplets are used up (0 and 7, 8 are left); the pair (7, 8) gives 7, and 8 is protected
    assert build_plan(atlas, "interlace", 3).dropped == (2, 5, 7)


def test_interlace_says_how_far_it_reaches() -> None:
    atlas = interlaced(9, [0.1, 0.9, 0.8, 0.2, 0.7, 0.3, 0.4], [0.5, 0.2, 0.7, 0.1, 0.5, 0.6, 0.3, 0.1, 0.5])
    with pytest.raises(PlanError, match="interlace reaches 3 layers here, not 4"):
        build_plan(atlas, "interlace", 4)


@given(atlases())
def test_interlace_never_drops_two_layers_of_one_triplet(atlas: SimilarityAtlas) -> None:
    """Its triplets and pairs are disjoint, so a third of the layers, rounded up, is more than it can be sure of."""
    reach = 0
    for n_drop in range(1, atlas.n_layers):
        try:
            plan = build_plan(atlas, "interlace", n_drop, protect_ends=False)
        except PlanError:
            break
        reach = n_drop
        assert plan.longest_run <= 2  # neighbours come from two groups: x x needs "?x" then "x??"
    assert reach <= atlas.n_layers // 2


# ------------------------------------------------------------------------------------ spaced, domain, shortgpt


def longest_run(layers: tuple[int, ...]) -> int:
    best = run = 0
    for i in range(max(layers, default=0) + 1):
        run = run + 1 if i in layers else 0
        best = max(best, run)
    return best


def test_spaced_equals_brute_force_on_every_twelve_layer_case() -> None:
    """Every budget and every run limit, with scores that include ties."""
    rng = np.random.default_rng(0)
    free = frozenset(range(1, 11))
    for scores in (rng.random(12), rng.integers(0, 3, 12).astype(float)):
        for n_drop in range(1, 11):
            for max_run in range(1, 11):
                sets = [c for c in itertools.combinations(sorted(free), n_drop) if longest_run(c) <= max_run]
                found = best_spaced(scores, n_drop, max_run, free)
                if not sets:
                    assert found is None
                    continue
                expected = max(sets, key=lambda c: (round(scores[list(c)].sum(), 9), c[::-1]))
                assert found == expected, (n_drop, max_run)


def test_spaced_runs_are_as_short_as_the_budget_allows() -> None:
    scores = np.linspace(0.1, 0.9, 10)
    atlas = make_atlas({"math": [list(scores)], "general": [list(scores)]})
    # layers 1 to 8 are free: 4 of them fit without neighbours, 5 do not
    assert build_plan(atlas, "spaced:math_aware", 4).dropped == (2, 4, 6, 8)
    assert build_plan(atlas, "spaced:math_aware", 5).longest_run == 2
    assert build_plan(atlas, "math_aware", 4).dropped == (5, 6, 7, 8)


def test_what_does_not_rank_layers_cannot_be_spaced() -> None:
    with pytest.raises(PlanError, match="does not rank layers"):
        get_criterion("spaced:uniform")


def test_shortgpt_weighs_tokens_and_not_samples() -> None:
    atlas = make_atlas({"math": [[0.5, 0.9, 0.2, 0.5], [0.5, 0.1, 0.8, 0.5]]})
    tokens = atlas.n_tokens.copy()
    tokens[:, 0] = (30, 10)
    weighed = replace(atlas, n_tokens=tokens)
    # layer 1: (30 * 0.9 + 10 * 0.1) / 40 = 0.7, layer 2: (30 * 0.2 + 10 * 0.8) / 40 = 0.35; by samples both are 0.5
    assert build_plan(weighed, "shortgpt", 1).dropped == (1,)
    scores = get_criterion("shortgpt").redundancy(weighed, Options(frozenset()))
    np.testing.assert_allclose(scores[1:3], [0.7, 0.35], atol=1e-6)


def test_a_domain_of_ones_own_ranks_by_itself() -> None:
    rows = {"math": [[0.5, 0.9, 0.1, 0.5]], "general": [[0.5, 0.9, 0.1, 0.5]], "maps": [[0.5, 0.1, 0.9, 0.5]]}
    atlas = make_atlas(rows)
    assert build_plan(atlas, "domain:maps", 1).dropped == (2,)
    assert build_plan(atlas, "domain:math", 2) == replace(build_plan(atlas, "math_aware", 2), criterion="domain:math")
    with pytest.raises(CalibrationError, match="did you mean 'maps'"):
        build_plan(atlas, "domain:map", 1)


# ------------------------------------------------------------------------------------------------ greedy


def test_greedy_takes_the_first_of_its_order() -> None:
    atlas = with_order(flat(6), (3, 1, 4, 2))
    assert [build_plan(atlas, "greedy", n).dropped for n in (1, 2, 3)] == [(3,), (1, 3), (1, 3, 4)]


@pytest.mark.parametrize(
    ("atlas", "ends", "words"),
    [
        (flat(6), True, "has no greedy order: run python -m core calibrate --model model --greedy$"),
        (with_order(flat(6), (3,)), True, "stopped after 1 layers: run .* --greedy to go on$"),
        (with_order(flat(6), (3, 1, 4, 2)), False, "layers protected: 0, 5; it says nothing of other plans"),
    ],
)
def test_greedy_says_what_its_order_lacks(atlas: SimilarityAtlas, ends: bool, words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        build_plan(atlas, "greedy", 2, protect_ends=ends)
