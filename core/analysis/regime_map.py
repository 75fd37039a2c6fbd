"""Regimes as records and in words: each budget with its evidence, and the map as a whole.

The words depend on the numbers alone, so that a page, a command and a report say the same.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from core.analysis.statistics import LEVEL, Interval

RANKING, CONVERGED, STRUCTURE, UNDETERMINED = LABELS = (
    "ranking-sensitive",
    "converged",
    "structure-dominated",
    "undetermined",
)
PAPER = "arXiv:2603.20275"
REPORTED = {"low": RANKING, "moderate": CONVERGED, "high": STRUCTURE}  # what the paper finds at its budgets


@dataclass(frozen=True)
class BudgetRegime:
    """One budget: its label, and the numbers that decided it (JSON; an interval is value, low, high)."""

    n_drop: int
    label: str
    evidence: dict[str, Any] = field(repr=False)

    def interval(self, name: str) -> Interval:
        return Interval.from_dict(self.evidence[name])


@dataclass(frozen=True)
class Boundary:
    """Where a regime ends or begins: between budget `after` and the next measured one, with an interval of budgets."""

    regime: str
    edge: str  # ends | begins
    after: int
    low: int
    high: int


@dataclass(frozen=True)
class RegimeMap:
    budgets: tuple[BudgetRegime, ...]
    boundaries: tuple[Boundary, ...] = ()
    level: float = LEVEL

    def label_at(self, n_drop: int) -> str:
        """The regime at a budget; `undetermined` where nothing was measured."""
        found = self.at(n_drop)
        return found.label if found else UNDETERMINED

    def at(self, n_drop: int) -> BudgetRegime | None:
        return next((b for b in self.budgets if b.n_drop == n_drop), None)

    def explain(self, n_drop: int) -> str:
        """One paragraph: the label of a budget and its evidence."""
        found = self.at(n_drop)
        if found is None:
            return f"No plan that drops {n_drop} layers was measured, so its regime is undetermined: sweep this budget."
        return _explanation(found, self.level)

    def summary(self, subject: str = "these items") -> str:
        """One paragraph: regimes by range of budgets, boundaries, domain-aware plans against random ones, the paper.

        Args:
            subject: what was measured, as in "On math, ...".
        """
        if not self.budgets:
            return f"On {subject} no pruned plan was measured: run a sweep."
        return " ".join((_ranges(self, subject), *_edges(self), *_domain_aware(self), _against_the_paper(self)))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "RegimeMap":
        budgets = tuple(BudgetRegime(**b) for b in data["budgets"])
        return cls(budgets, tuple(Boundary(**b) for b in data["boundaries"]), float(data["level"]))


def as_ranges(numbers: Collection[int]) -> str:
    """ "1 to 3, 5" for [1, 2, 3, 5]."""
    parts: list[tuple[int, int]] = []
    for n in sorted(set(numbers)):
        parts = [*parts[:-1], (parts[-1][0], n)] if parts and n == parts[-1][1] + 1 else [*parts, (n, n)]
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in parts)


def low_budgets(budgets: Collection[int]) -> list[int]:
    """The lowest third of the measured budgets, at least one: our reading of the paper's "low"."""
    return _thirds(budgets)["low"]


def _thirds(budgets: Collection[int]) -> dict[str, list[int]]:
    ordered = sorted(set(budgets))
    size = max(1, len(ordered) // 3)
    return {"low": ordered[:size], "moderate": ordered[size:-size], "high": ordered[size:][-size:]}


# ------------------------------------------------------------------------------------------------ one budget


def _explanation(budget: BudgetRegime, level: float) -> str:
    e = budget.evidence
    if not e["n_items"]:
        return f"The plans that drop {budget.n_drop} layers share no scored item: finish the sweep of this budget."
    text = [
        f"At {budget.n_drop} dropped layer{'s' * (budget.n_drop != 1)} the regime is {budget.label}.",
        f"{e['n_random']} random plans and {e['n_criteria']} criteria answered the same {e['n_items']} items, "
        f"scoring from {e['score_low']:.1%} to {e['score_high']:.1%}.",
    ]
    if e["at_floor"]:
        text.append(f"Nearly all of them sit at the floor of {e['floor']:.1%}, so no method is left to compare.")
    rank, structure = _words(budget.interval("rank_effect")), _words(budget.interval("structure_effect"))
    if rank or structure:
        text.append(
            f"Over the random plans the score goes with the similarity of the dropped layers by "
            f"{rank or 'nothing that can be told'}, and with the longest run of dropped layers by "
            f"{structure or 'nothing that can be told'} "
            f"(partial Spearman; the intervals of one budget hold together at {level:.0%})."
        )
    else:
        text.append("The random plans are too few, or too alike, to tell a rank effect from a structure effect.")
    if gain := _words(budget.interval("advantage"), points=True):
        text.append(
            f"The domain-aware plans differ from the random median by {gain} points; "
            f"{e['random_as_good']:.0%} of random plans do as well."
        )
    if between := _words(budget.interval("spread"), points=True):
        text.append(f"Between criteria the scores spread by {between} points beyond sampling noise.")
    if budget.label == UNDETERMINED and e["detectable"] is not None:
        text.append(
            f"With this many items a difference below {100 * e['detectable']:.0f} points between two plans goes "
            "unseen: more items or more random plans would decide."
        )
    return " ".join(text)


def _words(i: Interval, points: bool = False) -> str:
    if math.isnan(i.value):
        return ""
    if points:
        return f"{100 * i.value:z.1f} ({100 * i.low:z.1f} to {100 * i.high:z.1f})"
    return f"{i.value:+.2f} ({i.low:+.2f} to {i.high:+.2f})"


# ------------------------------------------------------------------------------------------------ the whole map


def _listed(parts: Collection[str]) -> str:
    """ "a, b and c"."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _labelled(budgets: Collection[BudgetRegime]) -> str:
    """Labels with their budgets, in the order in which they first appear: "converged at 5, 6 and ..."."""
    labels = dict.fromkeys(b.label for b in budgets)
    return _listed([f"{name} at {as_ranges([b.n_drop for b in budgets if b.label == name])}" for name in labels])


def _ranges(found: RegimeMap, subject: str) -> str:
    most = {name: max(b.evidence[name] for b in found.budgets) for name in ("n_items", "n_random", "n_criteria")}
    text = (
        f"On {subject}, by the number of dropped layers, the regimes are {_labelled(found.budgets)}, decided from up "
        f"to {most['n_random']} random plans and {most['n_criteria']} criteria at a budget, on {most['n_items']} items."
    )
    if floored := [b for b in found.budgets if b.evidence["at_floor"]]:
        floor = floored[0].evidence["floor"]
        text += f" At {as_ranges([b.n_drop for b in floored])} nearly all scores sit at the floor of {floor:.0%}."
    for label, effect, sign, told in (
        (RANKING, "rank_effect", -1, "dropping the more similar layers scores lower: it matters which, but not so"),
        (STRUCTURE, "structure_effect", 1, "long runs of dropped layers score higher: spacing does not help"),
    ):
        if odd := [b.n_drop for b in found.budgets if b.label == label and sign * b.interval(effect).value > 0]:
            text += f" At {as_ranges(odd)} {told}."
    return text


def _edges(found: RegimeMap) -> Iterator[str]:
    names = {RANKING: "ranking sensitivity ends", STRUCTURE: "structure's dominance begins"}
    for b in found.boundaries:
        yield (
            f"{names[b.regime].capitalize()} after {b.after} dropped layers "
            f"({found.level:.0%} interval: {b.low} to {b.high})."
        )
    told = {b.regime for b in found.boundaries}
    present = {b.label for b in found.budgets}
    if untold := [words for regime, words in names.items() if regime in present - told]:
        yield f"Where {' and where '.join(untold)} cannot be told."


def _domain_aware(found: RegimeMap) -> Iterator[str]:
    low = low_budgets([b.n_drop for b in found.budgets])
    clauses = []
    for name, plans in (
        ("own_advantage", "the ranking by this domain's own similarity is"),
        ("advantage", "the domain-aware plans together are"),
    ):
        gains = {b.n_drop: b.interval(name) for b in found.budgets if b.n_drop in low}
        gains = {k: gain for k, gain in gains.items() if not math.isnan(gain.value)}
        verdicts = {
            "above it": [k for k, gain in gains.items() if gain.low > 0],
            "below it": [k for k, gain in gains.items() if gain.high < 0],
            "not told from it": [k for k, gain in gains.items() if not gain.excludes()],
        }
        if gains:
            said = _listed([f"{verdict} at {as_ranges(at)}" for verdict, at in verdicts.items() if at])
            amounts = ", ".join(f"{_words(gain, points=True)} at {k}" for k, gain in gains.items())
            clauses.append(f"{plans} {said}, by {amounts}")
    if clauses:
        yield (
            f"Against the median random plan at low budgets, {'; '.join(clauses)} "
            "(points of score, with intervals paired over items)."
        )


def _against_the_paper(found: RegimeMap) -> str:
    regimes = {b.n_drop: b for b in found.budgets}
    same: list[str] = []
    other: list[str] = []
    for part, budgets in _thirds(regimes).items():
        here = [regimes[k] for k in budgets]
        if here:
            agrees = sum(b.label == REPORTED[part] for b in here) * 2 > len(here)
            (same if agrees else other).append(f"at {part} budgets ({_labelled(here)})")
    views = [f"{verdict} {_listed(parts)}" for verdict, parts in (("agrees", same), ("differs", other)) if parts]
    return (
        f"The paper ({PAPER}) reports that rankings decide at low budgets, that methods converge at moderate ones and "
        f"that structure decides at high ones. In thirds of the measured budgets, this model {', and '.join(views)}."
    )
