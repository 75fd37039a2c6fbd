"""Plans as a trie of kept layers: plans that keep the same first layers share its nodes. Nothing here knows torch."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from core.pruning.plan import PruningPlan

Kept = tuple[int, ...]  # the layers of a plan, ascending
T = TypeVar("T")


def trie_layers(plans: Iterable[PruningPlan]) -> list[int]:
    """The decoder layer of each node: one node for each distinct prefix of the plans' kept layers."""
    return [prefix[-1] for prefix in {p.kept[: n + 1] for p in plans for n in range(len(p.kept))}]


def shared_layers(kept: Sequence[Kept]) -> int:
    """How many first layers of the model every plan keeps."""
    return min((next((n for n, layer in enumerate(k) if n != layer), len(k)) for k in kept), default=0)


def walk(kept: Sequence[Kept], root: T, depth: int, step: Callable[[int, T, bool], T]) -> Iterator[tuple[T, list[int]]]:
    """Depth first, every node made once: (value behind a plan's last layer, indices of the plans that end there).

    A value is let go as soon as its last child is made, so that at most one for each layer of a path is held.

    Args:
        root: the value behind the first `depth` kept layers, which all plans share.
        step: (layer, value before it, whether no plan goes on behind it) -> the value behind it.
    """
    pending = _branches(kept, root, depth, range(len(kept)))
    while pending:
        layer, value, depth, group = pending.pop()
        if layer is None:
            yield value, group
            continue
        value = step(layer, value, all(len(kept[i]) == depth + 1 for i in group))
        pending += _branches(kept, value, depth + 1, group)


def _branches(
    kept: Sequence[Kept], value: T, depth: int, group: Iterable[int]
) -> list[tuple[int | None, T, int, list[int]]]:
    """Plans that share their first `depth` layers, by the next one that they keep (None where a plan ends)."""
    parted: dict[int | None, list[int]] = {}
    for i in group:
        parted.setdefault(kept[i][depth] if depth < len(kept[i]) else None, []).append(i)
    return [(layer, value, depth, members) for layer, members in parted.items()]
