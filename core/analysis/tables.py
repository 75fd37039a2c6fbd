"""Recorded outcomes in, tables out: everything a page shows about scores, as plain data frames.

Nothing here knows Streamlit or charts, so each table is the twin of the chart drawn from it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from core.analysis import comparisons
from core.analysis.regime_map import RegimeMap
from core.analysis.regime_map import as_ranges as as_ranges
from core.analysis.statistics import stratified_wilson
from core.records.references import ReferenceScore
from core.records.runs import RunRecord, outcomes_frame

FULL = comparisons.FULL
NONE = "none"  # a pane that is not used
CURVE = ("criterion", "label", "n_drop", "group", "value", "low", "high", "n", "plan_id")


def label(criterion: str) -> str:
    """What the user reads for a criterion: its name, as the command line and the files call it."""
    return {FULL: "full model", "manual": "by hand"}.get(criterion, criterion)


def score_table(outcomes: pd.DataFrame, by: str = "domain") -> pd.DataFrame:
    """One row per measured plan and group: its score is the mean over the group's benchmarks, each weighing the same.

    A plan that lacks one of a group's benchmarks has no score there. Graded metrics count by their value.

    Args:
        outcomes: as `outcomes_frame` makes it; budget 0 is the full model.
        by: "domain", "task" or "benchmark".
    Returns:
        Columns criterion, seed, n_drop, plan_id, longest_run, group, n, n_correct, score, low, high (Wilson's interval,
        stratified by benchmark), retention, retention_low, retention_high (shares of the full model's score on the same
        items; NaN without one).
    """
    keys = ["criterion", "seed", "n_drop", "plan_id", "longest_run", by]
    if outcomes.empty:
        numbers = ["n", "n_correct", "score", "low", "high", "retention", "retention_low", "retention_high"]
        return pd.DataFrame(columns=[*keys[:-1], "group", *numbers])
    rows = outcomes.groupby(list(dict.fromkeys([*keys, "benchmark"])), sort=False)
    strata = rows.agg(n=("correct", "size"), n_correct=("correct", "sum"), graded=("graded", "first")).reset_index()
    # a record states the mean of its graded values, not those of its tasks
    graded = strata.graded if by != "task" else pd.Series(np.nan, strata.index)
    strata["share"] = graded.fillna(strata.n_correct / strata.n)
    of_group = strata.groupby(by).benchmark.transform("nunique")
    strata = strata[strata.groupby(keys, sort=False).benchmark.transform("size") == of_group].reset_index(drop=True)
    groups = strata.groupby(keys, sort=False)
    table = groups.agg(n=("n", "sum"), n_correct=("n_correct", "sum"), score=("share", "mean")).reset_index()
    table["low"], table["high"] = stratified_wilson(
        strata.share.to_numpy(float), strata.n.to_numpy(float), np.asarray(groups.ngroup(), np.intp)
    )
    table = table.rename(columns={by: "group"})
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
    """10th percentile, median and 90th of the random plans: columns group, n_drop, low, median, high, plans."""
    random = table[(table.criterion == "random") & table.group.isin(list(groups))]
    rows = [
        (group, n_drop, *(float(np.quantile(v, q)) for q in (0.1, 0.5, 0.9)), len(v))
        for (group, n_drop), v in random.groupby(["group", "n_drop"])[measure]
    ]
    return pd.DataFrame(rows, columns=["group", "n_drop", "low", "median", "high", "plans"])


def drawn_numbers(points: pd.DataFrame, envelope: pd.DataFrame, references: pd.DataFrame | None) -> pd.DataFrame:
    """Everything that a score chart draws as one table: its twin, with a column `series` that says what a row is."""
    random = envelope.rename(columns={"median": "value", "plans": "n_plans"})
    parts = [
        points.assign(series="measured plan"),
        random.assign(criterion="random", series="random plans: median, 10th and 90th percentile"),
    ]
    if references is not None:
        parts.append(references.assign(series=references.origin))
    table = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
    order = ["series", "criterion", "benchmark", "n_drop", "group", "value", "low", "high", "n", "n_plans", "plan_id"]
    return table[[c for c in order if c in table]]


def reference_points(
    records: Iterable[RunRecord], domain: str, measure: str = "score", figures: Iterable[ReferenceScore] = ()
) -> pd.DataFrame:
    """Scores from elsewhere as points: the columns of `curves`, and origin (imported | published) and benchmark.

    Each benchmark and item set stands for itself; retention is against the full model of the same origin.

    Args:
        figures: without outcomes; those of the measure that say how many layers were dropped become points without an
            interval.
    """
    groups: dict[tuple[str, str, str], list[RunRecord]] = {}
    for r in records:
        if r.domain == domain:
            groups.setdefault((r.origin, r.benchmark, r.data_hash), []).append(r)
    parts = []
    for (origin, benchmark, _), group in groups.items():
        table = score_table(outcomes_frame(group))
        points = curves(table, table.criterion.unique(), [domain], measure)
        parts.append(points.assign(origin=origin, benchmark=benchmark, label=points.label + f" ({origin})"))
    columns = [*CURVE, "origin", "benchmark"]
    stated = [
        (
            f.criterion,
            f"{f.criterion} ({f.origin})",
            f.n_drop,
            domain,
            *[f.value] * 3,
            f.n or np.nan,
            "",
            f.origin,
            f"{f.benchmark}, {f.metric}",  # not all of them are shares of right answers
        )
        for f in figures
        if f.n_drop and f.measure == measure and f.domain in (domain, "all")
    ]
    if stated:
        parts.append(pd.DataFrame(stated, columns=columns))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def figure_table(figures: Iterable[ReferenceScore]) -> pd.DataFrame:
    """Figures without outcomes as they were stated, with who says so."""
    return pd.DataFrame(
        [
            {
                "model": f.model_id,
                "benchmark": f.benchmark,
                "criterion": f.criterion,
                "dropped": f"{f.percent:g} %" if f.percent is not None else "" if f.n_drop is None else str(f.n_drop),
                f.measure: f.value,
                "metric": f.metric,
                "origin": f.origin,
                "source": f.source,
                "note": f.note,
            }
            for f in figures
        ]
    )


def ordered_groups(groups: Iterable[str]) -> list[str]:
    """Distinct groups with math and general first."""
    return sorted(dict.fromkeys(groups), key=domain_order)


def domain_order(domain: str) -> tuple[int, str]:
    return {"math": 0, "general": 1}.get(domain, 2), domain


def full_score(table: pd.DataFrame, group: str) -> float:
    """Score of the unpruned model in a group; NaN when it was not measured."""
    rows = table[(table.n_drop == 0) & (table.group == group)]
    return float(rows.score.iloc[0]) if len(rows) else float("nan")


def coinciding(points: pd.DataFrame) -> list[tuple[str, list[int]]]:
    """Criteria that chose the same layers: ("Math-aware = Mixed", budgets), the widest agreement first."""
    found: dict[tuple[str, ...], list[int]] = {}
    unique = points.drop_duplicates(["criterion", "n_drop"])
    for _, rows in unique.groupby(["n_drop", "plan_id"]):
        if len(rows) > 1:
            found.setdefault(tuple(sorted(rows.label)), []).append(int(rows.n_drop.iloc[0]))
    order = sorted(found.items(), key=lambda item: (-len(item[1]), -len(item[0])))
    return [(" = ".join(names), sorted(budgets)) for names, budgets in order]


# ------------------------------------------------------------------------------------------------ pairs of plans


def pairwise(outcomes: pd.DataFrame, criteria: Sequence[str], n_drop: int, domain: str) -> pd.DataFrame:
    """Each pair of criteria on the same items at one budget (`comparisons.pairwise`), named as the user reads them."""
    table = comparisons.pairwise(outcomes, criteria, n_drop, domain)
    return table.assign(a=table.a.map(label), b=table.b.map(label))


def pairs_as_read(pairs: pd.DataFrame) -> pd.DataFrame:
    """A table of pairs with differences in points and p-values in words."""
    bounds = zip(100 * pairs.low, 100 * pairs.high, strict=True)
    table = pairs.assign(
        difference=100 * pairs.difference,
        interval=[f"{low:+.1f} to {high:+.1f}" for low, high in bounds],
        visible=100 * pairs.visible,
        p=pairs.p.map(p_text),
        p_holm=pairs.p_holm.map(p_text),
    )
    return table[["a", "b", "n", "a_only", "b_only", "difference", "interval", "p", "p_holm", "visible"]]


def flipped(outcomes: pd.DataFrame, criterion: str, n_drop: int, domain: str) -> pd.DataFrame:
    """Items that a plan answers differently from the full model, the gold answer that lost or gained most first.

    Returns:
        Columns item_id, task, change (lost: right to wrong | gained: wrong to right), full_nll, plan_nll (of the gold
        answer, nats per token).
    """
    columns = ["item_id", "task", "change", "full_nll", "plan_nll"]
    answers = comparisons.plan_answers(outcomes, (FULL, criterion), n_drop, domain)
    if len(answers) < 2:
        return pd.DataFrame(columns=columns)
    both = answers[FULL].merge(answers[criterion], on="item_id", suffixes=("", "_plan")).reset_index()
    changed = both[both.correct != both.correct_plan]
    table = changed.assign(
        change=np.where(changed.correct, "lost", "gained"), full_nll=changed.gold_nll, plan_nll=changed.gold_nll_plan
    )[columns]
    order = (table.plan_nll - table.full_nll).abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)


def flips_by_task(flips: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Columns task, lost, gained, n: how many items of each task flipped, the task that lost most first.

    Args:
        flips: as `flipped` makes it.
        table: score table by task, for the number of items of each task.
    """
    counts = pd.crosstab(flips.task, flips.change).reindex(columns=["lost", "gained"], fill_value=0)
    counts["n"] = table[table.n_drop == 0].drop_duplicates("group").set_index("group").n.reindex(counts.index)
    return counts.rename_axis(columns=None).reset_index().sort_values("lost", ascending=False, ignore_index=True)


def cost_frame(
    table: pd.DataFrame, costs: pd.DataFrame, cost: str, group: str, criteria: Iterable[str]
) -> pd.DataFrame:
    """Score and cost of the measured plans of a group, and whether each is on the Pareto front of all of them.

    Args:
        table: as `score_table` makes it; costs: plan_id and the column `cost`, of which less is better.
        criteria: kept beside the random plans and the front.
    Returns:
        Columns criterion, label, n_drop, plan_id, score, low, high, n, the cost, front.
    """
    rows = table[(table.group == group) & (table.n_drop > 0)].merge(costs[["plan_id", cost]], on="plan_id")
    rows = rows.assign(label=rows.criterion.map(label), front=pareto_front(rows[cost], rows.score))
    shown = rows[rows.front | rows.criterion.isin([*criteria, "random"])]
    columns = ["criterion", "label", "n_drop", "plan_id", "score", "low", "high", "n", cost, "front"]
    return shown[columns].sort_values([cost, "score"], ignore_index=True)


def pareto_front(cost: pd.Series, value: pd.Series) -> pd.Series:
    """Which points no other point beats: none costs as little and scores higher, or costs less and scores as high."""
    best = value.groupby(cost).max().sort_index()
    cheaper = best.cummax().shift(fill_value=-np.inf)  # the best value at any lower cost
    return (value == cost.map(best)) & (value > cost.map(cheaper))


def failure_table(records: Iterable[RunRecord]) -> pd.DataFrame:
    """How freely written answers fail: the share of each kind of failure in the scored items of each plan.

    Returns:
        Columns criterion, n_drop, plan_id, failure, share, n; a kind that a plan does not show has no row.
    """
    rows = []
    for r in records:
        said = [a for a in r.answers if a is not None]
        for kind in sorted({a.failure for a in said if a.failure}):
            share = sum(a.failure == kind for a in said) / len(said)
            rows.append((r.plan.criterion, r.plan.n_drop, r.plan.plan_id, kind, share, len(said)))
    return pd.DataFrame(rows, columns=["criterion", "n_drop", "plan_id", "failure", "share", "n"])


def p_text(p: float) -> str:
    """A p-value as it is printed: three decimals, or "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def evidence_table(found: RegimeMap | None) -> pd.DataFrame:
    """Regimes as a table: n_drop, label, and the evidence with each interval spread over value, low and high."""
    rows = []
    for budget in found.budgets if found else ():
        row: dict[str, Any] = {"n_drop": budget.n_drop, "label": budget.label}
        for name, value in budget.evidence.items():
            if isinstance(value, Mapping):
                row |= {name: value["value"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
            else:
                row[name] = value
        rows.append(row)
    return pd.DataFrame(rows)
