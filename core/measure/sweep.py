"""Sweeps: many plans scored on the benchmarks, chunk by chunk into the run store, never the same outcome twice.

The store is the memory of a sweep: what it holds is not scored again, down to the item, so that one that was stopped or
killed goes on where it was. Plans that drop the same layers share their outcomes, whatever chose them.
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
from core.measure.executors import Executor, LocalExecutor, Piece, Scorer
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
FREE_TOKENS = 128  # of all answers of a plan to a piece, at most (one answer may be longer): a stop costs a piece
EMBEDDED = {f"tiny-{domain}": domain for domain in DOMAINS}  # benchmarks that are drawn here

Benchmark = tuple[ItemSet, Sequence[Sample]]  # in the same order; the samples may open their pictures when asked for
Progress = Callable[[int, int, str], None]
"""Called with (outcomes done, outcomes to do, what is being scored); an outcome is one distinct plan on one item."""
Skipped = tuple[str, int, str]  # (criterion, budget, why): a criterion that could not choose a plan there


@dataclass(frozen=True)
class SweepReport:
    """What a sweep did. `scored` and `reused` count outcomes: one distinct plan on one item.

    Attributes:
        problems: a line for each item whose picture cannot be used; it is left out, and tried again by the next sweep.
        items: the items of each benchmark.
        skipped: criteria that could not choose a plan.
    """

    records: tuple[RunRecord, ...] = field(repr=False)
    scored: int
    reused: int
    stopped: bool
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
    on_skip: Callable[[str, int, StrataError], None] | None = None,
) -> list[PruningPlan]:
    """The plans of a sweep: the full model, then each budget's criteria and random plans.

    Random plans are distinct: seeds count up from 0, one that repeats an earlier plan's layers is left out, until there
    are n_random plans or every possible one is among them.

    Args:
        criteria: names; "random" is governed by `n_random` and ignored here.
        on_skip: told of each criterion that cannot reach a budget, or that the atlas lacks what it reads (criterion,
            budget, why); it is left out there.
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
    should_stop: Callable[[], bool] | None = None,
    scorer: Scorer | None = None,
) -> SweepReport:
    """Score what the store does not hold yet; every piece, all plans on a chunk of items, is saved when it is scored.

    Args:
        vlm: the model, which is then used in this process, or the executor that holds it.
        chunk: items of a piece: what a kill can cost, once for each worker.
        answer_batch: answers that are written at once, where they are written freely (`score_samples`).
        should_stop: asked before each batch; what is finished by then is kept.
        scorer: stands in for `core.vlm.free_form.score_samples` in tests.
    Raises:
        PlanError, CalibrationError: plans or an atlas of another model.
        ExecutorError: the executor's workers are lost; what they finished is kept.
    """
    executor = vlm if isinstance(vlm, Executor) else LocalExecutor(vlm, scorer)
    spec = executor.spec
    started = time.monotonic()
    for plan in plans:
        if (plan.model_id, plan.n_layers) != (spec.model_id, spec.n_layers):
            raise PlanError(f"a plan of {plan.model_id} cannot be scored on {spec.model_id}: plan it again")
    if (atlas.model_id, atlas.revision) != (spec.model_id, spec.revision):
        raise CalibrationError(
            f"the atlas is of {atlas.model_id} at {atlas.revision}, the model is {spec.model_id} at "
            f"{spec.revision}: run python -m core calibrate --model {spec.model_id}"
        )
    works = [
        _BenchmarkSweep(executor, atlas, plans, items, samples, store, answer_batch) for items, samples in benchmarks
    ]
    pieces = [piece for number, work in enumerate(works) for piece in work.pieces(chunk, number)]
    total, done, left_out, stopped = sum(p.outcomes for p in pieces), 0, 0, False
    reused = sum(len(w.outcomes) * len(w.item_ids) for w in works) - total

    def stopping() -> bool:
        nonlocal stopped
        stopped = stopped or (should_stop is not None and should_stop())
        return stopped

    def report(piece: Piece, under_way: int) -> None:
        if progress is not None:
            label = f"{len(piece.plans)} plans on {works[piece.benchmark].items.benchmark}"
            progress(done + left_out + under_way, total, label)

    if pieces:
        report(pieces[0], 0)
    for piece, scores in executor.map(pieces, progress=report, should_stop=stopping):
        kept = works[piece.benchmark].keep(piece, scores, stopped)
        done += kept
        left_out += 0 if stopped else piece.outcomes - kept
        report(piece, 0)
    records = tuple(r for w in works for r in w.records())
    problems = tuple(line for w in works for line in w.problems.values())
    items = tuple(found for found, _ in benchmarks)
    return SweepReport(records, done, reused, done + left_out < total, time.monotonic() - started, problems, items)


def free_chunk(max_new_tokens: int) -> int:
    """Items of a piece at most, where answers are written freely."""
    return max(1, FREE_TOKENS // max_new_tokens)


class Chosen(Sequence[Sample]):
    """Some of the samples, opened when they are asked for; going through them, those that cannot be are left out.

    Args:
        problems: filled with why, by row.
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
        # a ranking's view of what is dropped; a domain of the user's own may not be in the atlas
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
        """Take over what the store holds of this model and these items, whatever criterion it was filed under, and in
        whatever set, as long as an item is the same there."""
        items, spec = self.items, self.spec
        ours = (spec.revision, spec.dtype, spec.device, items.metric, items.max_new_tokens, "measured")
        found = [
            r
            for r in self.store.records(spec.model_id, items.benchmark, answers=bool(items.max_new_tokens))
            if (r.model.revision, r.model.dtype, r.device, r.metric, r.max_new_tokens, r.origin) == ours
        ]
        shared = {data_hash: self._shared_items(data_hash) for data_hash in {r.data_hash for r in found}}
        for r in sorted(found, key=lambda r: r.data_hash == items.data_hash):  # what this very set gave comes last
            known = {i: o for i, o in r.outcomes.items() if i in shared[r.data_hash]}
            self.outcomes.get(r.plan.plan_id, {}).update(known)
        held, stale = {r.run_id: r for r in found}, set()
        for n, r in enumerate(self.blank):
            if r.run_id in held:
                # A finished record keeps the date and device of its own measurement, but no earlier atlas's similarity.
                self.blank[n] = before = held[r.run_id]
                if not math.isnan(r.similarity_dropped) and r.similarity_dropped != before.similarity_dropped:
                    self.blank[n] = replace(before, similarity_dropped=r.similarity_dropped)
                    stale.add(r.plan.plan_id)
        lacking = {r.plan.plan_id for r in self.blank if r.n_scored < len(self.outcomes[r.plan.plan_id])}
        self._save(stale | lacking)

    def _shared_items(self, data_hash: str) -> set[str]:
        """Ids of our items that another set of this benchmark has too, word for word."""
        other = self.items if data_hash == self.items.data_hash else self.store.items(data_hash)
        return {i.item_id for i in set(self.items.items) & set(other.items)} if other else set()

    def pieces(self, chunk: int, number: int) -> Iterator[Piece]:
        """What is still to score: item chunk by item chunk, plans grouped by what they lack of it."""
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

    def keep(self, piece: Piece, scores: Any, stopped: bool) -> int:
        """Save a scored piece; returns the number of outcomes (fewer than asked for if the scorer was stopped, or
        items were left out)."""
        nll = np.asarray(scores.gold_nll)
        # An item that a stopped scorer did not reach has no plan's NLL. (Any other is scored, even if all are NaN.)
        reached = np.flatnonzero(~np.isnan(nll).all(axis=0)) if stopped else range(nll.shape[1])
        answers = getattr(scores, "answers", None)
        for row, plan in enumerate(piece.plans):
            self.outcomes[plan.plan_id].update(
                (scores.sample_ids[i], Outcome(bool(scores.correct[row][i]), float(nll[row, i]), said))
                for i in reached
                for said in [answers[row][i] if answers else None]
            )
        if len(reached):
            self._save({p.plan_id for p in piece.plans})
        return len(reached) * len(piece.plans)

    def _save(self, plan_ids: Collection[str]) -> None:
        self.store.put_many(self.records(plan_ids))

    def records(self, plan_ids: Collection[str] | None = None) -> Iterator[RunRecord]:
        """The records of these plans, or of all."""
        for r in self.blank:
            if plan_ids is None or r.plan.plan_id in plan_ids:
                yield r.with_outcomes(self.outcomes[r.plan.plan_id])
