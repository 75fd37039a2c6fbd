"""Sweeps: many plans scored on the benchmarks, chunk by chunk into the run store, never the same outcome twice.

The store is the memory of a sweep: what it holds is not scored again, down to the item, so that one that was stopped or
killed goes on where it was. Plans that drop the same layers share their outcomes, whatever chose them.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from core import __version__
from core.data.questions import domain_tasks
from core.data.samples import DOMAINS, Sample, data_hash, draw_samples
from core.errors import CalibrationError, PlanError
from core.pruning.atlas import SimilarityAtlas
from core.pruning.criteria import build_plan, get_criterion
from core.pruning.plan import PruningPlan, check_budget, protected_layers
from core.runs.records import BenchmarkItem, ItemSet, RunRecord

if TYPE_CHECKING:
    from cache.run_store import RunStore
    from core.vlm.loading import VLM

METRIC = "exact_match"
FULL = "full"  # the criterion that the unpruned model is filed under
TEST_SEED = 0
N_PER_DOMAIN = 250

Benchmark = tuple[ItemSet, list[Sample]]
Outcome = tuple[bool, float]  # (correct, gold NLL)
Progress = Callable[[int, int, str], None]
"""Called with (outcomes done, outcomes to do, what is being scored); an outcome is one distinct plan on one item."""
Scorer = Callable[..., Any]  # core.vlm.forest.score_plans, or a stand-in with its signature


@dataclass(frozen=True)
class SweepReport:
    """What a sweep did. `scored` and `reused` count outcomes: one distinct plan on one item."""

    records: tuple[RunRecord, ...] = field(repr=False)
    scored: int
    reused: int
    stopped: bool
    seconds: float


def benchmark_items(split: str = "test", seed: int = TEST_SEED, n_per_domain: int = N_PER_DOMAIN) -> list[Benchmark]:
    """The embedded benchmarks `tiny-math` and `tiny-general`, pictures included, reproducible from the arguments."""
    return [_embedded(domain, split, seed, n_per_domain) for domain in DOMAINS]


def _embedded(domain: str, split: str, seed: int, n: int) -> Benchmark:
    tasks = domain_tasks(domain)
    samples: list[Sample] = []
    drawn = n
    while len(samples) < n and drawn <= 4 * n:  # a longer draw begins with the shorter one, so repeats are made up for
        samples = list({s.sample_id: s for s in draw_samples(split, seed, drawn, tasks)}.values())[:n]
        drawn += max(len(tasks), n - len(samples))
    items = tuple(BenchmarkItem(s.sample_id, s.task, s.question, s.answer, s.source) for s in samples)
    return ItemSet(f"tiny-{domain}", domain, split, data_hash(samples), items), samples


def sweep_plans(
    atlas: SimilarityAtlas,
    criteria: Sequence[str],
    budgets: Iterable[int],
    n_random: int,
    *,
    protect_ends: bool = True,
    on_skip: Callable[[str, int, PlanError], None] | None = None,
) -> list[PruningPlan]:
    """The plans of a sweep: the full model, then each budget's criteria and random plans.

    Random plans have seeds 0 to n_random - 1; at small budgets, seeds that repeat an earlier one's layers are left out.

    Args:
        criteria: names; "random" is governed by `n_random` and ignored here.
        on_skip: told of each criterion that cannot reach a budget (criterion, budget, why); it is left out there.
    Raises:
        PlanError: an unknown criterion, or a budget that no criterion could reach.
    """
    names = [get_criterion(c).name for c in dict.fromkeys(criteria) if c != "random"]
    n_protected = len(protected_layers(atlas.n_layers, atlas.structural, protect_ends))
    plans = [PruningPlan(atlas.model_id, atlas.n_layers, (), FULL)]
    for n_drop in sorted(set(budgets)):
        check_budget(n_drop, atlas.n_layers, n_protected)
        for name in names:
            try:
                plans.append(build_plan(atlas, name, n_drop, protect_ends=protect_ends))
            except PlanError as error:
                if on_skip is not None:
                    on_skip(name, n_drop, error)
        ensemble: dict[tuple[int, ...], PruningPlan] = {}
        for seed in range(n_random):
            plan = build_plan(atlas, "random", n_drop, seed=seed, protect_ends=protect_ends)
            ensemble.setdefault(plan.dropped, plan)
        plans += ensemble.values()
    return plans


def run_sweep(
    vlm: "VLM",
    atlas: SimilarityAtlas,
    plans: Sequence[PruningPlan],
    benchmarks: Sequence[Benchmark],
    store: "RunStore",
    *,
    chunk: int = 64,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    scorer: Scorer | None = None,
) -> SweepReport:
    """Score what the store does not hold yet; every chunk of items is saved before the next begins.

    Args:
        chunk: items scored between two saves: what a kill can cost.
        should_stop: asked before each batch; what is finished by then is kept.
        scorer: stands in for `core.vlm.forest.score_plans` in tests.
    Raises:
        PlanError, CalibrationError: plans or an atlas of another model.
    """
    score = scorer or _forest()
    started = time.monotonic()
    for plan in plans:
        if (plan.model_id, plan.n_layers) != (vlm.spec.model_id, vlm.spec.n_layers):
            raise PlanError(f"a plan of {plan.model_id} cannot be scored on {vlm.spec.model_id}: plan it again")
    if (atlas.model_id, atlas.revision) != (vlm.spec.model_id, vlm.spec.revision):
        raise CalibrationError(
            f"the atlas is of {atlas.model_id} at {atlas.revision}, the model is {vlm.spec.model_id} at "
            f"{vlm.spec.revision}: run python -m core calibrate --model {vlm.spec.model_id}"
        )
    works = [_BenchmarkSweep(vlm, atlas, plans, items, samples, store) for items, samples in benchmarks]
    total, done, stopped = sum(w.missing() for w in works), 0, False
    reused = sum(len(w.outcomes) * len(w.item_ids) for w in works) - total
    for work in works:
        for group, samples in work.pieces(chunk):
            if stopped := stopped or (should_stop is not None and should_stop()):
                break
            label = f"{len(group)} plans on {work.items.benchmark}"
            base, size = done, len(group) * len(samples)

            def report(n: int, of: int, base: int = base, size: int = size, label: str = label) -> None:
                if progress is not None:
                    progress(base + size * n // max(of, 1), total, label)

            scores = score(vlm, group, samples, progress=report, should_stop=should_stop)
            done += work.keep(group, scores)
            report(done - base, size)
            stopped = should_stop is not None and done - base < size
    records = tuple(r for w in works for r in w.records())
    return SweepReport(records, done, reused, stopped, time.monotonic() - started)


def _forest() -> Scorer:
    from core.vlm.forest import score_plans

    return score_plans


class _BenchmarkSweep:
    """One benchmark of a sweep: the outcomes known so far, by distinct plan and item, and their stored records."""

    def __init__(
        self,
        vlm: "VLM",
        atlas: SimilarityAtlas,
        plans: Sequence[PruningPlan],
        items: ItemSet,
        samples: Sequence[Sample],
        store: "RunStore",
    ):
        self.items, self.store, self.spec = items, store, vlm.spec
        self.item_ids = tuple(i.item_id for i in items.items)
        self.samples = {s.sample_id: s for s in samples}
        self.distinct = {p.plan_id: p for p in plans}
        similarity = atlas.mean(items.domain)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        empty = (None,) * len(self.item_ids)
        self.blank = [
            RunRecord(
                model=vlm.spec,
                plan=plan,
                benchmark=items.benchmark,
                domain=items.domain,
                data_hash=items.data_hash,
                metric=METRIC,
                item_ids=self.item_ids,
                correct=empty,
                gold_nll=empty,
                similarity_dropped=float(similarity[list(plan.dropped)].sum()),
                device=vlm.spec.device,
                created=created,
                version=__version__,
            )
            for plan in {(p.plan_id, p.criterion, p.seed): p for p in plans}.values()
        ]
        self.outcomes: dict[str, dict[str, Outcome]] = {plan_id: {} for plan_id in self.distinct}
        self._recall()
        store.put_items(items)

    def _recall(self) -> None:
        """Take over what the store holds of this model and these items, whatever criterion it was filed under."""
        held: dict[str, RunRecord] = {}
        ours = (self.spec.revision, self.spec.dtype, self.spec.device, self.items.data_hash, METRIC, "measured")
        for r in self.store.records(self.spec.model_id, self.items.benchmark):
            if (r.model.revision, r.model.dtype, r.device, r.data_hash, r.metric, r.origin) == ours:
                held[r.run_id] = r
                known = self.outcomes.get(r.plan.plan_id, {})
                for item_id, correct, nll in zip(r.item_ids, r.correct, r.gold_nll, strict=True):
                    if correct is not None:
                        known[item_id] = (correct, math.nan if nll is None else nll)
        # A finished record keeps the date and device of its own measurement.
        self.blank = [held.get(r.run_id, r) for r in self.blank]
        self._save({r.plan.plan_id for r in self.blank if r.n_scored < len(self.outcomes[r.plan.plan_id])})

    def missing(self) -> int:
        return sum(len(self.item_ids) - len(known) for known in self.outcomes.values())

    def pieces(self, chunk: int) -> Iterable[tuple[list[PruningPlan], list[Sample]]]:
        """(Plans, samples) still to score: item chunk by item chunk, plans grouped by what they lack of it."""
        for start in range(0, len(self.item_ids), chunk):
            groups: dict[tuple[str, ...], list[PruningPlan]] = {}
            for plan_id, plan in self.distinct.items():
                lacking = tuple(i for i in self.item_ids[start : start + chunk] if i not in self.outcomes[plan_id])
                if lacking:
                    groups.setdefault(lacking, []).append(plan)
            for lacking, group in groups.items():
                yield group, [self.samples[i] for i in lacking]

    def keep(self, group: Sequence[PruningPlan], scores: Any) -> int:
        """Save a scored piece; returns the number of outcomes (fewer than asked for if the scorer was stopped)."""
        nll = np.asarray(scores.gold_nll)
        reached = np.flatnonzero(~np.isnan(nll).all(axis=0))  # an item that was not reached has no plan's NLL
        for row, plan in enumerate(group):
            self.outcomes[plan.plan_id].update(
                (scores.sample_ids[i], (bool(scores.correct[row][i]), float(nll[row, i]))) for i in reached
            )
        if len(reached):
            self._save({p.plan_id for p in group})
        return len(reached) * len(group)

    def _save(self, plan_ids: set[str]) -> None:
        self.store.put_many(r for r in self.records() if r.plan.plan_id in plan_ids)

    def records(self) -> list[RunRecord]:
        return [r.with_outcomes(self.outcomes[r.plan.plan_id]) for r in self.blank]
