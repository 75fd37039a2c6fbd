"""Sweeps: many plans scored on the benchmarks, chunk by chunk into the run store, never the same outcome twice.

No item in the store is scored again, so that a stopped or killed sweep continues where it was. Plans that drop the same
layers share their outcomes, whatever criterion chose them.
"""

import math
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from core import __version__
from core.benchmarks import list_benchmarks, load_benchmark
from core.errors import CalibrationError, PlanError, SampleError, StrataError, suggest
from core.measure.executors import Executor, LocalExecutor, Piece
from core.progress import Progress
from core.pruning.atlas import SimilarityAtlas
from core.pruning.criteria import build_plan, get_criterion
from core.records.items import BenchmarkItem, ItemSet
from core.records.plan import PruningPlan, check_budget, protected_layers
from core.records.runs import Outcome, RunRecord
from core.records.samples import Sample, data_hash
from core.scenes.questions import domain_tasks
from core.scenes.samples import DOMAINS, draw_samples

if TYPE_CHECKING:
    from cache.run_store import RunStore
    from core.vlm.loading import VLM

FULL = "full"  # the criterion that the unpruned model is filed under
TEST_SEED = 0
N_PER_DOMAIN = 250
N_RANDOM = 16  # random plans at each budget
FREE_TOKENS = 128  # of a plan's answers to one piece, at most (one answer may be longer): a stop costs a piece
EMBEDDED = {f"tiny-{domain}": domain for domain in DOMAINS}  # benchmarks drawn by core.scenes

Benchmark = tuple[ItemSet, Sequence[Sample]]  # in the same order; the samples may open their pictures lazily
Skipped = tuple[str, int, str]  # (criterion, budget, why): a criterion that could not choose a plan there


@dataclass(frozen=True)
class SweepReport:
    """What a sweep did. `scored` and `reused` count outcomes: one distinct plan on one item.

    Attributes:
        problems: a line for each item whose picture cannot be used; it is left out until the next sweep tries again.
        items: the items of each benchmark.
        skipped: criteria that could not choose a plan.
    """

    records: tuple[RunRecord, ...] = field(repr=False)
    scored: int
    reused: int
    seconds: float
    problems: tuple[str, ...] = ()
    items: tuple[ItemSet, ...] = field(default=(), repr=False)
    skipped: tuple[Skipped, ...] = ()


def benchmark_items(
    split: str = "test", seed: int = TEST_SEED, n_per_domain: int = N_PER_DOMAIN, *, domains: Sequence[str] = DOMAINS
) -> list[Benchmark]:
    """The embedded benchmarks `tiny-math` and `tiny-general`, pictures included, reproducible from the arguments."""
    return [_embedded(domain, split, seed, n_per_domain) for domain in domains]


def find_benchmarks(wanted: Mapping[str, int], *, seed: int = TEST_SEED, part: str = "test") -> list[Benchmark]:
    """Benchmarks by name, embedded ones and those of `core.benchmarks`.

    Args:
        wanted: name -> items at most.
        seed, part: of `load_benchmark`.
    Raises:
        SampleError: an unknown name, or data that cannot be had or read.
    """
    known = (*EMBEDDED, *(b.key for b in list_benchmarks()))
    for name in wanted:
        if name not in EMBEDDED and re.split("[:@]", name)[0] not in known:
            raise SampleError(f"unknown benchmark '{name}': {suggest(name, known)}")
    return [
        _embedded(EMBEDDED[name], "test", seed, limit)
        if name in EMBEDDED
        else load_benchmark(name, limit=limit, seed=seed, part=part)
        for name, limit in wanted.items()
    ]


def _embedded(domain: str, split: str, seed: int, n: int) -> Benchmark:
    tasks = domain_tasks(domain)
    samples: list[Sample] = []
    drawn = n
    while len(samples) < n and drawn <= 4 * n:  # a longer draw begins with the shorter one, and replaces repeats
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
    on_skip: Callable[[str, int, StrataError], None] | None = None,
) -> list[PruningPlan]:
    """The plans of a sweep: the full model, then each budget's criteria and random plans.

    Random plans are distinct: seeds count up from 0, skipping repeats, until there are n_random plans or all possible
    ones.

    Args:
        criteria: names; "random" is governed by `n_random` and ignored here.
        on_skip: called with (criterion, budget, why) for each plan left out: a budget that the criterion cannot reach,
            or data that the atlas lacks.
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
            except (PlanError, CalibrationError) as error:
                if on_skip is not None:
                    on_skip(name, n_drop, error)
        ensemble: dict[tuple[int, ...], PruningPlan] = {}
        seeds = count()
        while len(ensemble) < min(n_random, math.comb(atlas.n_layers - n_protected, n_drop)):
            plan = build_plan(atlas, "random", n_drop, seed=next(seeds), protect_ends=protect_ends)
            ensemble.setdefault(plan.dropped, plan)
        plans += ensemble.values()
    return plans


def run_sweep(
    vlm: "VLM | Executor",
    atlas: SimilarityAtlas,
    plans: Sequence[PruningPlan],
    benchmarks: Sequence[Benchmark],
    store: "RunStore",
    *,
    chunk: int = 64,
    answer_batch: int = 1,
    progress: Progress | None = None,
) -> SweepReport:
    """Score what the store does not have; each piece, all plans on a chunk of items, is saved once it is scored.

    Args:
        vlm: a model to use in this process, or an executor that has one.
        chunk: items of a piece: what a kill can cost, once for each worker.
        progress: counts outcomes, each one distinct plan on one item.
        answer_batch: answers that are written at once, where they are written freely (`score_samples`).
    Raises:
        PlanError, CalibrationError: plans or an atlas of another model.
        ExecutorError: the executor's workers are lost; what they finished is kept.
    """
    executor = vlm if isinstance(vlm, Executor) else LocalExecutor(vlm)
    spec = executor.spec
    started = time.monotonic()
    plans = [plan.of(spec.model_id, spec.n_layers) for plan in plans]
    if (atlas.model_id, atlas.revision) != (spec.model_id, spec.revision):
        raise CalibrationError(
            f"the atlas is of {atlas.model_id} at {atlas.revision}, the model is {spec.model_id} at "
            f"{spec.revision}: run python -m core calibrate --model {spec.model_id}"
        )
    works = [
        _BenchmarkSweep(executor, atlas, plans, items, samples, store, answer_batch) for items, samples in benchmarks
    ]
    pieces = [piece for number, work in enumerate(works) for piece in work.pieces(chunk, number)]
    total, done, left_out = sum(p.outcomes for p in pieces), 0, 0
    reused = sum(len(w.outcomes) * len(w.item_ids) for w in works) - total

    def report(piece: Piece, under_way: int) -> None:
        if progress is not None:
            label = f"{len(piece.plans)} plans on {works[piece.benchmark].items.benchmark}"
            progress(done + left_out + under_way, total, label)

    if pieces:
        report(pieces[0], 0)
    for piece, scores in executor.map(pieces, progress=report):
        kept = works[piece.benchmark].keep(piece, scores)
        done += kept
        left_out += piece.outcomes - kept
        report(piece, 0)
    records = tuple(r for w in works for r in w.records())
    problems = tuple(line for w in works for line in w.problems.values())
    items = tuple(found for found, _ in benchmarks)
    return SweepReport(records, done, reused, time.monotonic() - started, problems, items)


def free_chunk(max_new_tokens: int) -> int:
    """Items of a piece at most, for free answers."""
    return max(1, FREE_TOKENS // max_new_tokens)


class Chosen(Sequence[Sample]):
    """Some of the samples, opened lazily; iteration skips those that cannot be opened.

    Args:
        problems: filled with the reasons, by row.
    """

    def __init__(self, samples: Sequence[Sample], rows: Sequence[int], problems: dict[int, str]):
        self.samples, self.rows, self.problems = samples, rows, problems

    def __iter__(self) -> Iterator[Sample]:
        for row in self.rows:
            try:
                yield self.samples[row]
            except SampleError as error:
                self.problems[row] = str(error)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "Chosen": ...
    def __getitem__(self, index: int | slice) -> "Sample | Chosen":
        rows = self.rows[index]
        return self.samples[rows] if isinstance(rows, int) else Chosen(self.samples, rows, self.problems)


class _BenchmarkSweep:
    """One benchmark of a sweep: the outcomes known so far, by distinct plan and item, and their stored records."""

    def __init__(
        self,
        executor: Executor,
        atlas: SimilarityAtlas,
        plans: Sequence[PruningPlan],
        items: ItemSet,
        samples: Sequence[Sample],
        store: "RunStore",
        answer_batch: int = 1,
    ):
        self.items, self.store, self.spec = items, store, executor.spec
        self.item_ids = tuple(i.item_id for i in items.items)
        self.samples = samples
        self.problems: dict[int, str] = {}
        self.distinct = {p.plan_id: p for p in plans}
        # a user's own domain may not be in the atlas
        similarity = atlas.mean(items.domain) if items.domain in atlas.domains else np.full(atlas.n_layers, np.nan)
        free = {"metric": items.metric, "max_new_tokens": items.max_new_tokens, "answer_batch": answer_batch}
        self.options = free if items.max_new_tokens else {}
        created = datetime.now(UTC).isoformat(timespec="seconds")
        empty = (None,) * len(self.item_ids)
        self.blank = [
            RunRecord(
                model=self.spec,
                plan=plan,
                benchmark=items.benchmark,
                domain=items.domain,
                data_hash=items.data_hash,
                metric=items.metric,
                max_new_tokens=items.max_new_tokens,
                item_ids=self.item_ids,
                correct=empty,
                gold_nll=empty,
                similarity_dropped=float(similarity[list(plan.dropped)].sum()),
                device=self.spec.device,
                hardware=executor.hardware,
                created=created,
                version=__version__,
            )
            for plan in {(p.plan_id, p.criterion, p.seed): p for p in plans}.values()
        ]
        self.outcomes: dict[str, dict[str, Outcome]] = {plan_id: {} for plan_id in self.distinct}
        self._recall()
        store.put_items(items)

    def _recall(self) -> None:
        """Read outcomes of this model on these items from the store, under any criterion and from any item set that has
        the same item."""
        items, spec = self.items, self.spec
        ours = (spec.revision, spec.dtype, spec.device, items.metric, items.max_new_tokens, "measured")
        found = [
            r
            for r in self.store.records(spec.model_id, items.benchmark, answers=bool(items.max_new_tokens))
            if (r.model.revision, r.model.dtype, r.device, r.metric, r.max_new_tokens, r.origin) == ours
        ]
        shared = {data_hash: self._shared_items(data_hash) for data_hash in {r.data_hash for r in found}}
        for r in sorted(found, key=lambda r: r.data_hash == items.data_hash):  # this set's own come last
            known = {i: o for i, o in r.outcomes.items() if i in shared[r.data_hash]}
            self.outcomes.get(r.plan.plan_id, {}).update(known)
        held, stale = {r.run_id: r for r in found}, set()
        for n, r in enumerate(self.blank):
            if r.run_id in held:
                # A complete record keeps its own date and device, but takes its similarity from the current atlas.
                self.blank[n] = before = held[r.run_id]
                if not math.isnan(r.similarity_dropped) and r.similarity_dropped != before.similarity_dropped:
                    self.blank[n] = replace(before, similarity_dropped=r.similarity_dropped)
                    stale.add(r.plan.plan_id)
        lacking = {r.plan.plan_id for r in self.blank if r.n_scored < len(self.outcomes[r.plan.plan_id])}
        self._save(stale | lacking)

    def _shared_items(self, data_hash: str) -> set[str]:
        """Ids of our items that another set of this benchmark has unchanged."""
        other = self.items if data_hash == self.items.data_hash else self.store.items(data_hash)
        return {i.item_id for i in set(self.items.items) & set(other.items)} if other else set()

    def pieces(self, chunk: int, number: int) -> Iterator[Piece]:
        """What is still to score: chunk by chunk, plans grouped by the items that they lack."""
        if self.options:
            chunk = min(chunk, free_chunk(self.items.max_new_tokens))
        for start in range(0, len(self.item_ids), chunk):
            groups: dict[tuple[int, ...], list[PruningPlan]] = {}
            for plan_id, plan in self.distinct.items():
                known = self.outcomes[plan_id]
                of_chunk = range(start, min(start + chunk, len(self.item_ids)))
                if lacking := tuple(i for i in of_chunk if self.item_ids[i] not in known):
                    groups.setdefault(lacking, []).append(plan)
            for lacking, group in groups.items():
                yield Piece(number, group, Chosen(self.samples, lacking, self.problems), self.options)

    def keep(self, piece: Piece, scores: Any) -> int:
        """Save a scored piece; returns the number of outcomes (fewer than its own if items were left out)."""
        nll = np.asarray(scores.gold_nll)
        answers = getattr(scores, "answers", None)
        for row, plan in enumerate(piece.plans):
            self.outcomes[plan.plan_id].update(
                (item_id, Outcome(bool(scores.correct[row][i]), float(nll[row, i]), said))
                for i, item_id in enumerate(scores.sample_ids)
                for said in [answers[row][i] if answers else None]
            )
        if scores.sample_ids:
            self._save({p.plan_id for p in piece.plans})
        return len(scores.sample_ids) * len(piece.plans)

    def _save(self, plan_ids: Collection[str]) -> None:
        self.store.put_many(self.records(plan_ids))

    def records(self, plan_ids: Collection[str] | None = None) -> Iterator[RunRecord]:
        """The records of these plans, or of all."""
        for r in self.blank:
            if plan_ids is None or r.plan.plan_id in plan_ids:
                yield r.with_outcomes(self.outcomes[r.plan.plan_id])
