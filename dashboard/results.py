"""Recorded outcomes in, tables out: everything a page shows about scores, as plain data frames.

Nothing here knows Streamlit or charts, so each table is the twin of the chart drawn from it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.analysis.statistics import holm, mcnemar_exact, smallest_detectable_difference, wilson_interval
from core.pruning import PruningPlan
from core.runs.records import RunRecord

FULL = "full"  # how the unpruned model is named in tables
NONE = "none"  # a pane that is not used


def label(criterion: str) -> str:
    """What the user reads for a criterion: its name, as the command line and the files call it."""
    return {FULL: "full model", "manual": "by hand"}.get(criterion, criterion)


def score_table(outcomes: pd.DataFrame, by: str = "domain") -> pd.DataFrame:
    """One row per measured plan and group, with the Wilson interval of its score.

    Args:
        outcomes: as `outcomes_frame` makes it; budget 0 is the full model.
        by: "domain" or "task".
    Returns:
        Columns criterion, seed, n_drop, plan_id, longest_run, group, n, n_correct, score, low, high, retention,
        retention_low, retention_high (shares of the full model's score on the same items; NaN without one).
    """
    columns = ["criterion", "seed", "n_drop", "plan_id", "longest_run", "group", "n", "n_correct"]
    if outcomes.empty:
        extra = ["score", "low", "high", "retention", "retention_low", "retention_high"]
        return pd.DataFrame(columns=columns + extra)
    keys = ["criterion", "seed", "n_drop", "plan_id", "longest_run", by]
    table = outcomes.groupby(keys, sort=False)["correct"].agg(n="size", n_correct="sum").reset_index()
    table = table.rename(columns={by: "group"})
    table["score"] = table.n_correct / table.n
    bounds = [wilson_interval(int(k), int(n)) for k, n in zip(table.n_correct, table.n, strict=True)]
    table["low"], table["high"] = [b[0] for b in bounds], [b[1] for b in bounds]
    full = table[table.n_drop == 0].drop_duplicates("group").set_index("group").score
    reference = table.group.map(full).replace(0, np.nan)
    for column, source in (("retention", "score"), ("retention_low", "low"), ("retention_high", "high")):
        table[column] = table[source] / reference
    return table.sort_values(["group", "criterion", "n_drop", "seed"], ignore_index=True)


def curves(table: pd.DataFrame, criteria: Iterable[str], groups: Sequence[str], measure: str = "score") -> pd.DataFrame:
    """The rows that are drawn as curves: columns criterion, label, n_drop, group, value, low, high, n, plan_id."""
    chosen = table[table.criterion.isin(list(criteria)) & table.group.isin(list(groups)) & (table.n_drop > 0)]
    names = {"score": ("score", "low", "high"), "retention": ("retention", "retention_low", "retention_high")}[measure]
    return pd.DataFrame(
        {
            "criterion": chosen.criterion,
            "label": chosen.criterion.map(label),
            "n_drop": chosen.n_drop.astype(int),
            "group": chosen.group,
            "value": chosen[names[0]].astype(float),
            "low": chosen[names[1]].astype(float),
            "high": chosen[names[2]].astype(float),
            "n": chosen.n.astype(int),
            "plan_id": chosen.plan_id,
        }
    ).reset_index(drop=True)


def random_envelope(table: pd.DataFrame, groups: Sequence[str], measure: str = "score") -> pd.DataFrame:
    """5th percentile, median and 95th of the random plans: columns group, n_drop, low, median, high, plans."""
    random = table[(table.criterion == "random") & table.group.isin(list(groups))]
    rows = [
        (group, int(n_drop), *(float(np.quantile(v, q)) for q in (0.05, 0.5, 0.95)), len(v))
        for (group, n_drop), v in random.groupby(["group", "n_drop"])[measure]
    ]
    return pd.DataFrame(rows, columns=["group", "n_drop", "low", "median", "high", "plans"])


def ordered_groups(groups: Iterable[str]) -> list[str]:
    """Distinct groups with math and general first."""
    return sorted(dict.fromkeys(groups), key=lambda g: ({"math": 0, "general": 1}.get(g, 2), g))


def full_score(table: pd.DataFrame, group: str) -> float:
    """Score of the unpruned model in a group; NaN when it was not measured."""
    rows = table[(table.n_drop == 0) & (table.group == group)]
    return float(rows.score.iloc[0]) if len(rows) else float("nan")


def coinciding(points: pd.DataFrame) -> list[tuple[str, list[int]]]:
    """Criteria that chose the same layers: ("Math-aware = Mixed", budgets), the widest agreement first."""
    found: dict[tuple[str, ...], list[int]] = {}
    unique = points.drop_duplicates(["criterion", "n_drop"])
    for (n_drop, _), rows in unique.groupby(["n_drop", "plan_id"]):
        if len(rows) > 1:
            found.setdefault(tuple(sorted(rows.label)), []).append(int(n_drop))
    order = sorted(found.items(), key=lambda item: (-len(item[1]), -len(item[0])))
    return [(" = ".join(names), sorted(budgets)) for names, budgets in order]


def as_ranges(numbers: Sequence[int]) -> str:
    """ "1 to 3, 5" for [1, 2, 3, 5]."""
    parts: list[str] = []
    ordered = sorted(numbers)
    start = 0
    for i in range(1, len(ordered) + 1):
        if i == len(ordered) or ordered[i] != ordered[i - 1] + 1:
            first, last = ordered[start], ordered[i - 1]
            parts.append(str(first) if first == last else f"{first} to {last}")
            start = i
    return ", ".join(parts)


# ------------------------------------------------------------------------------------------------ one plan


@dataclass(frozen=True)
class Measured:
    """A plan's measured scores; `distance` layers differ between the plan asked for and the one measured."""

    rows: pd.DataFrame
    distance: int
    criterion: str
    n_drop: int


def measured_plan(plan: PruningPlan, records: Sequence[RunRecord], table: pd.DataFrame) -> Measured | None:
    """The plan's own scores where it was measured, else those of the nearest measured plan (fewest layers differ)."""
    known = {r.plan.plan_id: r.plan for r in records if r.plan.n_drop > 0}
    if not known:
        return None
    wanted = set(plan.dropped)
    nearest = min(
        known.values(),
        key=lambda p: (len(wanted ^ set(p.dropped)), p.criterion == "random", abs(p.n_drop - plan.n_drop), p.plan_id),
    )
    rows = table[table.plan_id == nearest.plan_id].drop_duplicates("group")
    return Measured(rows, len(wanted ^ set(nearest.dropped)), nearest.criterion, nearest.n_drop)


def overlap(a: PruningPlan, b: PruningPlan) -> float:
    """Jaccard overlap of what two plans drop: 1 the same layers, 0 none in common."""
    union = set(a.dropped) | set(b.dropped)
    return len(set(a.dropped) & set(b.dropped)) / len(union) if union else 1.0


# ------------------------------------------------------------------------------------------------ pairs of plans


def _outcome(outcomes: pd.DataFrame, criterion: str, n_drop: int, domain: str) -> pd.Series:
    budget = 0 if criterion == FULL else n_drop
    rows = outcomes[(outcomes.n_drop == budget) & (outcomes.domain == domain)]
    if criterion != FULL:
        rows = rows[rows.criterion == criterion]
    return rows.drop_duplicates("item_id").set_index("item_id").correct


def pairwise(outcomes: pd.DataFrame, criteria: Sequence[str], n_drop: int, domain: str) -> pd.DataFrame:
    """Each pair of criteria on the same items at one budget, tested with the exact McNemar test.

    Returns:
        Columns a, b, n, a_only, b_only (items that only one gets right), difference (score a - score b), p, p_holm.
    """
    rows = []
    names = list(criteria)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            x, y = _outcome(outcomes, a, n_drop, domain), _outcome(outcomes, b, n_drop, domain)
            shared = x.index.intersection(y.index)
            if not len(shared):
                continue
            left, right = x[shared].to_numpy(bool), y[shared].to_numpy(bool)
            a_only, b_only = int((left & ~right).sum()), int((right & ~left).sum())
            p = mcnemar_exact(a_only, b_only)
            rows.append((label(a), label(b), len(shared), a_only, b_only, (a_only - b_only) / len(shared), p))
    table = pd.DataFrame(rows, columns=["a", "b", "n", "a_only", "b_only", "difference", "p"])
    table["p_holm"] = holm(table.p.to_numpy(float))
    return table.sort_values("p", ignore_index=True)


def visible_difference(n: int) -> float:
    """The smallest difference between two scores that n paired items can show (80 % power, 5 % level)."""
    return smallest_detectable_difference(n)


def flipped(outcomes: pd.DataFrame, criterion: str, n_drop: int, domain: str) -> pd.DataFrame:
    """Items that a plan answers differently from the full model: columns item_id, task, change (lost | gained)."""
    full, plan = (_outcome(outcomes, c, n_drop, domain) for c in (FULL, criterion))
    shared = full.index.intersection(plan.index)
    changed = [i for i in shared if bool(full[i]) != bool(plan[i])]
    tasks = outcomes.drop_duplicates("item_id").set_index("item_id").task
    rows = [(i, str(tasks.get(i, "")), "lost" if full[i] else "gained") for i in changed]
    return pd.DataFrame(rows, columns=["item_id", "task", "change"]).sort_values(["change", "task"], ignore_index=True)


# ------------------------------------------------------------------------------------------------ one answer


@dataclass(frozen=True)
class Verdict:
    correct: bool
    rule: str  # the rule that matched, or how the answer fails


def judge(answer: str, gold: str, stopped: str = "end") -> Verdict:
    """Exact match after stripping; otherwise the kind of failure: empty, truncated, repeating or wrong."""
    given = answer.strip()
    if given == gold.strip():
        return Verdict(True, "exact match")
    if not given:
        return Verdict(False, "empty")
    words = given.split()
    if len(words) >= 6 and len(set(words)) <= len(words) / 3:
        return Verdict(False, "repeating")
    if stopped == "length":
        return Verdict(False, "truncated")
    return Verdict(False, "different text")


def first_divergence(a: Sequence[int], b: Sequence[int]) -> int | None:
    """The first step at which two token sequences differ (an end counts as a token); None when they are the same."""
    for step, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return step
    return None if len(a) == len(b) else min(len(a), len(b))


def p_text(p: float) -> str:
    """A p-value as it is printed: three decimals, or "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def evidence_table(budgets: Iterable[tuple[int, str, Mapping[str, Any]]]) -> pd.DataFrame:
    """Regimes as a table: n_drop, label, and the evidence with each interval spread over value, low and high."""
    rows = []
    for n_drop, regime, evidence in budgets:
        row: dict[str, Any] = {"n_drop": n_drop, "label": regime}
        for name, value in evidence.items():
            if isinstance(value, Mapping):
                row |= {name: value["value"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
            else:
                row[name] = value
        rows.append(row)
    return pd.DataFrame(rows)
