"""Which runs of a model count: the rule that `run_view` states, as functions of records."""

import hashlib
import json
from collections.abc import Callable, Hashable, Iterable

from core.records.runs import RunRecord


def one_setting(records: Iterable[RunRecord]) -> list[RunRecord]:
    """The records of one model revision, dtype, device and origin: those with the most scored items.

    What was measured goes before what was imported, however much that is.
    """
    records = list(records)
    measured = [r for r in records if r.origin == "measured"]
    setting = ("model_id", "revision", "dtype")
    return _largest(measured or records, lambda r: (*(getattr(r.model, s) for s in setting), r.device, r.origin))


def comparable(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Of each benchmark of a domain the records with one item set, asked and judged in one way."""
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for r in records:
        groups.setdefault((r.domain, r.benchmark), []).append(r)
    return [
        r for group in groups.values() for r in _largest(group, lambda r: (r.data_hash, r.metric, r.max_new_tokens))
    ]


def counted(records: list[RunRecord]) -> list[RunRecord]:
    """Of one domain the records of its benchmarks that count, and of the plans that have all of them."""
    plans: dict[str, set[Hashable]] = {}
    for r in records:
        plans.setdefault(r.benchmark, set()).add(_plan(r))
    most = max(map(len, plans.values()), default=0)
    counted = [found for found in plans.values() if len(found) * 2 >= most]
    names = {b for b, found in plans.items() if len(found) * 2 >= most}
    whole = set.intersection(*counted) if counted else set()
    return [r for r in records if r.benchmark in names and _plan(r) in whole]


def _plan(r: RunRecord) -> Hashable:
    return r.plan.plan_id, r.plan.criterion, r.plan.seed


def _largest(records: Iterable[RunRecord], key: Callable[[RunRecord], Hashable]) -> list[RunRecord]:
    """The group of records with the most scored items; ties go to the group that comes first."""
    groups: dict[Hashable, list[RunRecord]] = {}
    for r in records:
        groups.setdefault(key(r), []).append(r)
    return max(groups.values(), key=lambda group: sum(r.n_scored for r in group), default=[])


def runs_key(records: Iterable[RunRecord]) -> str:
    """Content key of a set of runs and of how far they have come."""
    content = sorted((r.run_id, r.n_scored, r.n_correct) for r in records)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
