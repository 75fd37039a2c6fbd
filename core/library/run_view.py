"""One reading of the runs: which runs of a model count, and what they say. Pages, commands and files all use it.

The rule, here and nowhere else:

- One setting: the model revision, dtype, device and origin with the most scored items; what was measured goes before
  what was imported. Of each benchmark one item set, judged by one metric with answers of one length: again the one
  with the most scored items.
- The score of a *domain* at a plan is the mean over the domain's benchmarks, each weighing the same; intervals and
  tests are stratified by benchmark; the floor is the mean of the benchmarks' floors. A plan that lacks one of them has
  no score of the domain. A benchmark that fewer than half as many plans have come to as another one is left out of the
  domain, and named.
- One benchmark, or one item set, may be chosen instead for its domain.
"""

import json
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from core.errors import StoreError, suggest
from core.library.choosing import comparable, counted, one_setting, runs_key
from core.library.finding import recorded_regimes_path
from core.library.sources import Sources, read_sources, with_answers
from core.records.items import ItemSet
from core.records.plan import PruningPlan, model_name
from core.records.runs import RunRecord, outcomes_frame

if TYPE_CHECKING:
    import pandas as pd

    from core.analysis import RegimeMap

By = Literal["domain", "task", "benchmark"]
BYS: tuple[By, ...] = ("domain", "benchmark")
T = TypeVar("T")
MOST_KEPT = 256  # computed tables of one view
MOST_VIEWS = 4  # of one state of the runs; they go with it
_making = threading.Lock()


@dataclass(frozen=True)
class DataSet:
    """Items that a benchmark was measured on."""

    data_hash: str
    benchmark: str
    domain: str
    n: int
    runs: int
    n_scored: int  # over all its runs

    @property
    def label(self) -> str:
        return f"{self.benchmark}, {self.n} items, {self.data_hash[:8]}"


class RunView:
    """The runs of a model that count, and everything that is said from them; each table is computed once.

    Tables are shared: do not change them.

    Attributes:
        model_id, sources: what is read.
        setting: every run of the one setting.
        records: the runs that count, of every domain.
    """

    def __init__(
        self,
        sources: Sources,
        model_id: str,
        *,
        benchmark: str | None = None,
        data: str | None = None,
        revision: str | None = None,
    ) -> None:
        """
        Args:
            benchmark: of its domain, only this benchmark counts.
            data: of its domain, only the item set with this hash counts.
            revision: other revisions of the model do not count.
        """
        self.model_id, self.sources = model_id, sources
        self.every = [r for r in sources.records if r.model.model_id == model_id]
        self.setting = one_setting(r for r in self.every if revision in (None, r.model.revision))
        wanted = {r.domain for r in self.setting if r.benchmark == benchmark or r.data_hash == data}
        self.comparable = comparable(
            r
            for r in self.setting
            if r.domain not in wanted or r.data_hash == data or (data is None and r.benchmark == benchmark)
        )
        domains = dict.fromkeys(r.domain for r in self.comparable)
        self.records = [r for d in domains for r in counted([r for r in self.comparable if r.domain == d])]
        self._lock = threading.RLock()
        self._made: dict[Hashable, Any] = {}

    @classmethod
    def of(cls, model_id: str = "tiny", *, sources: Sources | None = None, **selection: Any) -> "RunView":
        """The view of a model's runs on this machine, kept while the runs stay as they are.

        Args:
            selection: benchmark, data, revision, as the class takes them.
        Raises:
            StoreError: the user's run store cannot be read.
        """
        sources = sources or read_sources()
        model_id = model_name(model_id)
        key = (model_id, *sorted(selection.items()))
        with _making:
            if key not in sources.views:
                if len(sources.views) >= MOST_VIEWS:  # each may hold a table of a million outcomes
                    sources.views.pop(next(iter(sources.views)))
                sources.views[key] = cls(sources, model_id, **selection)
            found: RunView = sources.views[key]
            return found

    def __repr__(self) -> str:
        parts = ", ".join(f"{d}: {' + '.join(self.benchmarks(d))}" for d in self.domains)
        return f"RunView({self.model_id!r}, {len(self.records)} runs; {parts or 'nothing measured'})"

    def _once(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key not in self._made:
                if len(self._made) >= MOST_KEPT:
                    self._made.pop(next(iter(self._made)))
                self._made[key] = make()
            found: T = self._made[key]
            return found

    # -------------------------------------------------------------------------------------------- what counts

    @cached_property
    def domains(self) -> list[str]:
        from core.analysis.tables import ordered_groups

        return ordered_groups(r.domain for r in self.records)

    def benchmarks(self, domain: str) -> list[str]:
        """The benchmarks that a domain's score is the mean of."""
        return sorted({r.benchmark for r in self.records if r.domain == domain})

    def of_domain(self, domain: str) -> list[RunRecord]:
        return [r for r in self.records if r.domain == domain]

    def data_sets(self, domain: str | None = None) -> list[DataSet]:
        """Item sets with runs of this setting, the one with the most scored items first within each domain."""
        groups: dict[str, list[RunRecord]] = {}
        for r in self.setting:
            if domain in (None, r.domain):
                groups.setdefault(r.data_hash, []).append(r)
        found = [
            DataSet(h, g[0].benchmark, g[0].domain, len(g[0].item_ids), len(g), sum(r.n_scored for r in g))
            for h, g in groups.items()
        ]
        return sorted(found, key=lambda d: (-d.n_scored, d.data_hash))

    def left_out(self, domain: str) -> str:
        """Benchmarks that were measured and do not count, in words; "" if there are none."""
        names = sorted({r.benchmark for r in self.comparable if r.domain == domain} - set(self.benchmarks(domain)))
        return f"{', '.join(names)}: measured under too few plans to count for {domain}" if names else ""

    @cached_property
    def items(self) -> dict[str, ItemSet]:
        """The item sets of this setting, by data hash."""
        held = self.sources.items
        return {h: held[h] for h in dict.fromkeys(r.data_hash for r in self.setting) if h in held}

    def tasks(self, domain: str) -> list[str]:
        hashes = {r.data_hash for r in self.of_domain(domain)}
        return sorted({i.task for h, s in self.items.items() if h in hashes for i in s.items})

    @cached_property
    def origin(self) -> str:
        """Where the runs that count come from: recorded, measured here, imported or published, or several of them."""
        own = {r.run_id for r in self.sources.own}
        words = {
            r.origin if r.origin != "measured" else "measured here" if r.run_id in own else "recorded"
            for r in self.records
        }
        return " and ".join(sorted(words, key=lambda w: (w != "recorded", w)))

    @property
    def foreign(self) -> list[RunRecord]:
        """Imported runs of the model that stand beside those that count."""
        shown = {r.origin for r in self.setting}
        return [r for r in self.every if r.origin != "measured" and r.origin not in shown]

    def references(self, domain: str, measure: str = "score") -> "pd.DataFrame":
        """Imported and published scores of a domain, to stand beside the runs that count."""
        from core.analysis.tables import reference_points

        figures = [f for f in self.sources.figures if f.model_id == self.model_id]
        return reference_points(self.foreign, domain, measure, figures)

    def measured_as(self, criterion: str, n_drop: int) -> PruningPlan | None:
        """The plan that was measured under a criterion at a budget."""
        return next((r.plan for r in self.records if (r.plan.criterion, r.plan.n_drop) == (criterion, n_drop)), None)

    # -------------------------------------------------------------------------------------------- what they say

    @cached_property
    def outcomes(self) -> "pd.DataFrame":
        """Every scored item of the runs that count, as `outcomes_frame` makes it."""
        tasks = {i.item_id: i.task for s in self.items.values() for i in s.items}
        return self._once("outcomes", lambda: outcomes_frame(self.records, tasks))

    def scores(self, by: By = "domain") -> "pd.DataFrame":
        """Score, interval, n and retention of every plan (`tables.score_table`).

        Args:
            by: "benchmark" has those as well that do not count for their domain.
        """
        from core.analysis.tables import score_table

        return self._once(
            ("scores", by),
            lambda: score_table(outcomes_frame(self.comparable) if by == "benchmark" else self.outcomes, by),
        )

    def regimes(self, domain: str) -> "RegimeMap | None":
        """The regime of every measured budget; None where no pruned plan was measured.

        The map that ships is taken if it was made from exactly these runs; else the tests run now.
        """
        return self._once(("regimes", domain), lambda: self._regimes(domain))

    def _regimes(self, domain: str) -> "RegimeMap | None":
        from core.analysis import RegimeMap, detect_regimes

        records = self.of_domain(domain)
        if not any(r.plan.n_drop for r in records):
            return None
        path = recorded_regimes_path(self.model_id)
        if path.exists():
            held = json.loads(path.read_text()).get(domain, {})
            if held.pop("runs", "") == runs_key(records):
                return RegimeMap.from_dict(held)
        return detect_regimes(self.outcomes[self.outcomes.domain == domain], floor=self.floor(domain))

    def regime_labels(self, domain: str) -> dict[int, str]:
        found = self.regimes(domain)
        return {b.n_drop: b.label for b in found.budgets} if found else {}

    def floor(self, domain: str) -> float:
        """Score of giving each task's commonest answer: the mean over the domain's benchmarks."""
        from core.analysis import chance_score

        hashes = {r.benchmark: r.data_hash for r in self.of_domain(domain)}.values()
        floors = [chance_score(self.items[h]) for h in hashes if h in self.items]
        return sum(floors) / len(floors) if floors else 0.0

    def pairs(self, criteria: Sequence[str], n_drop: int, domain: str) -> "pd.DataFrame":
        """Paired tests between criteria at a budget (`tables.pairwise`)."""
        from core.analysis.tables import pairwise

        key = ("pairs", tuple(criteria), n_drop, domain)
        return self._once(key, lambda: pairwise(self.outcomes, criteria, n_drop, domain))

    def flips(self, criterion: str, n_drop: int, domain: str) -> "pd.DataFrame":
        """Items that a plan answers differently from the full model, with question, gold answer and source."""
        from core.analysis.tables import flipped

        def make() -> "pd.DataFrame":
            table = flipped(self.outcomes, criterion, n_drop, domain)
            known = {i.item_id: i for s in self.items.values() for i in s.items}
            for column, name in (("question", "question"), ("gold", "answer"), ("source", "source")):
                table[column] = [getattr(known.get(i), name, "") for i in table.item_id]
            return table

        return self._once(("flips", criterion, n_drop, domain), make)

    def answered(self, domain: str) -> list[RunRecord]:
        """The runs of a domain with what was written in them; none of teacher-forced runs, which write nothing."""
        return self._once(
            ("answered", domain), lambda: [r for r in map(with_answers, self.of_domain(domain)) if r.answers]
        )

    def passport(self, plan: PruningPlan) -> dict[str, dict[str, Any]]:
        """What was measured of exactly these layers, as an export's passport holds it.

        Returns:
            Domain -> score, full_model (if measured on the same items), n, low, high, benchmarks (those that it
            is the mean of), regime; then benchmark -> the same numbers, metric, data (hash of the items), device,
            origin, created.
        """
        stated: dict[str, dict[str, Any]] = {}
        for by in BYS:
            table = self.scores(by)
            full = dict(table[table.n_drop == 0][["group", "score"]].to_numpy().tolist())
            here = table[table.plan_id == plan.plan_id].drop_duplicates("group")
            for name, score, n, low, high in here[["group", "score", "n", "low", "high"]].to_numpy().tolist():
                parts = [name] if by == "benchmark" else self.benchmarks(name)
                whole = {"full_model": full[name]} if name in full and self._same_items(plan, parts) else {}
                stated[name] = {"score": score, **whole, "n": n, "low": low, "high": high}
                if by == "domain":
                    regime = self.regime_labels(name).get(plan.n_drop)
                    stated[name] |= {"benchmarks": self.benchmarks(name), "regime": regime}
        for r in self.comparable:
            if r.plan.plan_id == plan.plan_id and r.n_scored:
                about = {"metric": r.metric, "data": r.data_hash, "device": r.device, "origin": r.origin}
                stated[r.benchmark] |= {**about, "created": r.created[:10]}
        return stated

    def _same_items(self, plan: PruningPlan, benchmarks: Sequence[str]) -> bool:
        """Were a plan and the full model scored on the same items of these benchmarks?"""
        scored: dict[str, set[tuple[bool, ...]]] = {b: set() for b in benchmarks}
        for r in self.comparable:
            if r.benchmark in scored and (r.plan.plan_id == plan.plan_id or not r.plan.n_drop):
                scored[r.benchmark].add(tuple(c is not None for c in r.correct))
        return all(len(found) == 1 for found in scored.values())

    def need(self, domain: str, benchmark: str | None = None) -> "RunView":
        """This view, or that of one benchmark, if there is something measured.

        Raises:
            StoreError: nothing was, with what to do.
        """
        if not self.of_domain(domain):
            raise StoreError(
                f"no runs of {self.model_id} on {domain} benchmarks: run python -m core sweep --model {self.model_id}"
            )
        if benchmark is None:
            return self
        known = sorted({r.benchmark for r in self.setting if r.domain == domain})
        if benchmark not in known:
            raise StoreError(f"no runs of {self.model_id} on '{benchmark}': {suggest(benchmark, known)}")
        return RunView.of(self.model_id, sources=self.sources, benchmark=benchmark)
