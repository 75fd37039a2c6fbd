"""Plans as a trie of kept layers: plans that keep the same first layers share its nodes. Nothing here knows torch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.records.plan import PruningPlan

Kept = tuple[int, ...]  # the layers of a plan, ascending
T = TypeVar("T")


def trie_layers(plans: Iterable[PruningPlan]) -> list[int]:
    """The decoder layer of each node: one node for each distinct prefix of the plans' kept layers."""
    return [prefix[-1] for prefix in {p.kept[: n + 1] for p in plans for n in range(len(p.kept))}]


def shared_layers(kept: Sequence[Kept]) -> int:
    """How many first layers of the model every plan keeps."""
    return min((next((n for n, layer in enumerate(k) if n != layer), len(k)) for k in kept), default=0)


def walk(kept: Sequence[Kept], root: T, depth: int, step: Callable[[int, T, bool], T]) -> Iterator[tuple[T, list[int]]]:
    """Depth first, each node once: (value after a plan's last layer, indices of the plans that end there).

    The deepest subtree is visited last and a value is released once its last child is made, so that at most
    `held_values` are alive, one for every two layers, instead of one per layer.

    Args:
        root: the value after the first `depth` kept layers, which all plans share.
        step: (layer, value before it, whether every plan ends there) -> the value after it.
    """
    pending = [(branch, root) for branch in _branches(kept, depth, range(len(kept)))]
    del root
    while pending:
        branch, value = pending.pop()
        if branch.layer is None:
            yield value, branch.plans
            continue
        value = step(branch.layer, value, all(b.layer is None for b in branch.branches))
        pending += [(b, value) for b in branch.branches]


def held_values(n_layers: int) -> int:
    """The most values waiting in a walk, whatever the plans, besides the one `step` makes and the one yielded."""
    return n_layers // 2 + 1


@dataclass(frozen=True)
class _Branch:
    """A node of the trie and its subtree.

    Attributes:
        layer: None where plans end.
        plans: indices of the plans that pass or end here.
        branches: the children, the one that needs most memory first (a stack takes the last one first).
        held: values alive at a time while this branch is walked, its own included: the branch's Strahler number.
    """

    layer: int | None
    plans: list[int]
    branches: "tuple[_Branch, ...]"
    held: int


def _branches(kept: Sequence[Kept], depth: int, group: Iterable[int]) -> tuple[_Branch, ...]:
    """Plans that share their first `depth` layers, by the next one that they keep."""
    parted: dict[int | None, list[int]] = {}
    for i in group:
        parted.setdefault(kept[i][depth] if depth < len(kept[i]) else None, []).append(i)
    found = []
    for layer, plans in parted.items():
        behind = () if layer is None else _branches(kept, depth + 1, plans)
        held = max((b.held + (place > 0) for place, b in enumerate(behind)), default=int(layer is not None))
        found.append(_Branch(layer, plans, behind, max(held, int(layer is not None))))
    return tuple(sorted(found, key=lambda b: -b.held))
