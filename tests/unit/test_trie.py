"""The trie of kept layers, on hand-worked plans and on random ones."""

import weakref

from hypothesis import example, given
from hypothesis import strategies as st

from core.pruning.trie import held_values, shared_layers, trie_layers, walk
from core.records.plan import PruningPlan

KEPT = [(0, 1, 3), (0, 2, 3), (0, 3), (0, 2)]
N_LAYERS = 8


def test_nodes_are_the_distinct_prefixes() -> None:
    # 0 · 01 013 · 02 023 · 03
    plans = [PruningPlan("m", 4, tuple({0, 1, 2, 3} - set(k))) for k in KEPT]
    assert sorted(trie_layers(plans)) == [0, 1, 2, 3, 3, 3]
    assert trie_layers([]) == []


def test_shared_layers_are_those_that_every_plan_keeps_from_the_first_on() -> None:
    assert shared_layers(KEPT) == 1
    assert shared_layers([(0, 1, 2), (0, 1)]) == 2
    assert shared_layers([(1, 2), (0, 1, 2)]) == 0
    assert shared_layers([]) == 0


def test_each_node_is_made_once_and_knows_whether_plans_go_on_behind_it() -> None:
    made: list[tuple[str, bool]] = []

    def step(layer: int, before: str, last: bool) -> str:
        made.append((f"{before}{layer}", last))
        return made[-1][0]

    ended = list(walk(KEPT, "0", 1, step))
    assert sorted(ended) == [("013", [0]), ("02", [3]), ("023", [1]), ("03", [2])]
    assert sorted(made) == [("01", False), ("013", True), ("02", False), ("023", True), ("03", True)]


class Value:
    """Stands in for a state."""

    def __init__(self, path: tuple[int, ...]):
        self.path = path
        ALIVE.add(self)


ALIVE: "weakref.WeakSet[Value]" = weakref.WeakSet()


@example({(0, 1, 2, 3, 4, 6), (0, 1, 2, 3, 4, 5, 6)})
@given(st.sets(st.sets(st.integers(0, N_LAYERS - 1), min_size=1).map(lambda s: tuple(sorted(s))), min_size=1))
def test_every_plan_ends_once_and_one_value_for_two_layers_is_held(plans: set[tuple[int, ...]]) -> None:
    kept, most, made = sorted(plans), 0, 0

    def step(layer: int, before: Value, last: bool) -> Value:
        nonlocal most, made
        path = (*before.path, layer)
        assert last == all(k == path for k in kept if k[: len(path)] == path)
        value = Value(path)
        most, made = max(most, len(ALIVE)), made + 1
        return value

    depth = shared_layers(kept)
    ended = {value.path: group for value, group in walk(kept, Value(tuple(range(depth))), depth, step)}
    assert ended == {k: [i] for i, k in enumerate(kept)}
    prefixes = {k[: n + 1] for k in kept for n in range(len(k))}
    assert made == len(prefixes) - depth
    assert most <= held_values(N_LAYERS - depth) + 2  # the one just made, and the one that the loop here still names
