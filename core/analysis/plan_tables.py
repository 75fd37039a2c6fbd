"""Plans in, tables out: how a set of plans differs in structure, in cost and in measured score.

Nothing here knows Streamlit or charts, so each table is the twin of the chart drawn from it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import pandas as pd

from core.analysis.tables import FULL, as_ranges, label
from core.pruning import Cost, ModelAnatomy, estimate_cost
from core.records.answers import Answer
from core.records.plan import ModelSpec, PruningPlan
from core.records.runs import RunRecord

PARTS = ("vision tower", "projector", "output head", "decoder")  # the floor first: no plan removes the first three
QUANTITIES = {
    "parameters": "parameters",
    "weights": "bytes of weights, as stored",
    "KV per token": "bytes of KV cache per token",
    "prefill": "FLOPs until the first token",
    "decode": "FLOPs per further token",
}


# ------------------------------------------------------------------------------------------------ the budget


def parameters_left(model: ModelSpec, plan: PruningPlan) -> int:
    return model.n_parameters - sum(model.layer_parameters[i] for i in plan.dropped)


def budget_steps(model: ModelSpec, largest: int) -> pd.DataFrame:
    """The same budget in several units, taking layers to be of their mean size.

    Returns:
        Columns n_drop, percent (of depth dropped), parameters (left), left (percent of the parameters); the last two
        only of a model whose size is known.
    """
    n_drop = np.arange(1, largest + 1)
    steps = pd.DataFrame({"n_drop": n_drop, "percent": 100 * n_drop / model.n_layers})
    if model.n_parameters:
        steps["parameters"] = model.n_parameters - n_drop * sum(model.layer_parameters) / model.n_layers
        steps["left"] = 100 * steps.parameters / model.n_parameters
    return steps


def nearest_budget(steps: pd.DataFrame, unit: str, value: float) -> int:
    """The number of layers whose percentage or parameters are nearest to a value."""
    return int(steps.n_drop.iloc[(steps[unit] - value).abs().argmin()])


# ------------------------------------------------------------------------------------------------ structure


def structure(plans: Sequence[PruningPlan]) -> pd.DataFrame:
    """One row per plan: criterion, plan, dropped, n_drop, longest_run, runs, spacing.

    `runs` counts groups of neighbouring dropped layers; `spacing` is the mean distance from one dropped layer to the
    next (1: side by side; NaN for a single one).
    """
    rows = []
    for plan in plans:
        gaps = np.diff(plan.dropped)
        rows.append(
            {
                "criterion": plan.criterion,
                "plan": label(plan.criterion),
                "dropped": as_ranges(plan.dropped),
                "n_drop": plan.n_drop,
                "longest_run": plan.longest_run,
                "runs": int((gaps > 1).sum()) + 1 if plan.dropped else 0,
                "spacing": float(gaps.mean()) if len(gaps) else float("nan"),
            }
        )
    return pd.DataFrame(rows)


def overlaps(plans: Sequence[PruningPlan]) -> pd.DataFrame:
    """Every pair of plans: columns a, b, shared (layers that both drop), either (that at least one does), overlap.

    `overlap` is the Jaccard index shared / either: 1 for the same layers, 0 for none in common.
    """
    rows = []
    for a in plans:
        for b in plans:
            shared, either = len(set(a.dropped) & set(b.dropped)), len(set(a.dropped) | set(b.dropped))
            rows.append((label(a.criterion), label(b.criterion), shared, either, shared / either if either else 1.0))
    return pd.DataFrame(rows, columns=["a", "b", "shared", "either", "overlap"])


def coinciding(plans: Iterable[PruningPlan]) -> list[str]:
    """Plans that drop the same layers: "math_aware = mixed"."""
    same: dict[str, list[str]] = {}
    for plan in plans:
        same.setdefault(plan.plan_id, []).append(label(plan.criterion))
    return [" = ".join(names) for names in same.values() if len(names) > 1]


def nearest_plan(plan: PruningPlan, others: Iterable[PruningPlan]) -> tuple[PruningPlan, int] | None:
    """The plan with the fewest layers that differ, and how many those are."""
    found = [(p, len(set(p.dropped) ^ set(plan.dropped))) for p in others]
    return min(found, key=lambda f: (f[1], f[0].criterion == "random", f[0].criterion, f[0].seed or 0), default=None)


# ------------------------------------------------------------------------------------------------ cost


@dataclass(frozen=True)
class Request:
    """What is asked of the model when its cost is counted."""

    text_tokens: int = 32
    image_tokens: int = 256
    new_tokens: int = 16
    batch: int = 1


def costs(
    plans: Sequence[PruningPlan], model: ModelSpec, anatomy: ModelAnatomy | None, request: Request
) -> pd.DataFrame:
    """What each plan, and the full model last, costs: counts, not measurements.

    Without an anatomy only parameters are known, of the decoder layers and of everything else.

    Returns:
        Columns criterion, plan, quantity (see QUANTITIES), part (see PARTS), value, share (of the full model's total).
    """
    rows = []
    for plan in (*plans, None):
        name = plan.criterion if plan else FULL
        for quantity, parts in _quantities(plan, model, anatomy, request).items():
            rows += [(name, label(name), quantity, part, value) for part, value in parts.items()]
    table = pd.DataFrame(rows, columns=["criterion", "plan", "quantity", "part", "value"])
    full = table[table.criterion == FULL].groupby("quantity").value.sum()
    table["share"] = table.value / table.quantity.map(full).replace(0, np.nan)
    return table


def _quantities(
    plan: PruningPlan | None, model: ModelSpec, anatomy: ModelAnatomy | None, request: Request
) -> dict[str, dict[str, float]]:
    if anatomy is None:
        kept = sum(model.layer_parameters[i] for i in plan.kept) if plan else sum(model.layer_parameters)
        rest = model.n_parameters - sum(model.layer_parameters)
        return {"parameters": {"everything else": rest, "decoder": kept}}
    cost: Cost = estimate_cost(
        anatomy,
        plan,
        prompt_tokens=request.text_tokens,
        image_tokens=request.image_tokens,
        new_tokens=request.new_tokens,
        batch=request.batch,
    )
    found = {
        "parameters": cost.parameters,
        "weights": cost.bytes,
        "prefill": cost.prefill_flops,
        "decode": cost.decode_flops_per_token,
    }
    split: dict[str, dict[str, float]] = {
        name: dict(zip(PARTS, (parts.vision, parts.projector, parts.head, parts.decoder), strict=True))
        for name, parts in found.items()
    }
    return {q: {"decoder": float(cost.kv_bytes_per_token)} if q == "KV per token" else split[q] for q in QUANTITIES}


def cost_totals(table: pd.DataFrame) -> pd.DataFrame:
    """One row per plan: criterion, plan, then the total of each quantity, and its percentage of the full model's."""
    grouped = table.groupby(["criterion", "plan"], sort=False)
    totals: dict[str, pd.Series[float]] = {}
    for quantity in dict.fromkeys(table.quantity):
        rows = table[table.quantity == quantity].groupby(["criterion", "plan"], sort=False)
        totals |= {quantity: rows.value.sum(), f"{quantity} %": 100 * rows.share.sum(min_count=1)}
    return pd.DataFrame(totals, index=grouped.size().index).reset_index()


def costing(request: Request, anatomy: ModelAnatomy) -> str:
    """How the numbers of `costs` came about, in words."""
    asked = (
        f"{request.text_tokens} tokens of text, {request.image_tokens} of the picture, {request.new_tokens} of answer"
    )
    batch = f", {request.batch} at once" if request.batch > 1 else ""
    vision = "" if anatomy.vision_counted else " The vision tower's FLOPs could not be counted and are missing."
    return (
        f"Counted from the model's configuration, not measured: {asked}{batch}, "
        f"{anatomy.bytes_per_parameter} bytes per number. Up to the dashed line is the floor, which no plan removes: "
        f"vision tower, projector and output head. The decoder counts its embeddings, which stay as well.{vision}"
    )


@dataclass(frozen=True)
class Speed:
    """How fast this machine answered the same questions under one plan."""

    ttft_s: float  # median time to the first token
    tokens_per_s: float  # of the tokens after the first; NaN if there are none
    answers: int
    tokens: int


def speed(answers: Sequence[Answer]) -> Speed:
    """Median time to the first token and the rate of the tokens after it, over finished answers."""
    seconds = sum(a.events[-1].elapsed_s - a.ttft_s for a in answers)
    further = sum(a.tokens - 1 for a in answers)
    return Speed(
        median(a.ttft_s for a in answers),
        further / seconds if further and seconds > 0 else float("nan"),
        len(answers),
        sum(a.tokens for a in answers),
    )


def speed_table(plans: Sequence[PruningPlan], speeds: Sequence[Speed], costs: pd.DataFrame) -> pd.DataFrame:
    """Counted against measured: one row per plan, the full model last.

    Args:
        speeds: of the plans, then of the full model.
        costs: as `costs` makes it; its prefill FLOPs stand beside the time to the first token.
    Returns:
        Columns plan, prefill % (of the full model's FLOPs; NaN where those are not known), ttft_ms, ttft % (of the full
        model's), tokens_per_s, answers, tokens.
    """
    counted = costs[costs.quantity == "prefill"].groupby("criterion").share.sum()
    names = [*(p.criterion for p in plans), FULL]
    return pd.DataFrame(
        {
            "plan": [label(n) for n in names],
            "prefill %": [100 * float(counted.get(n, np.nan)) for n in names],
            "ttft_ms": [1000 * s.ttft_s for s in speeds],
            "ttft %": [100 * s.ttft_s / speeds[-1].ttft_s if speeds[-1].ttft_s else np.nan for s in speeds],
            "tokens_per_s": [s.tokens_per_s for s in speeds],
            "answers": [s.answers for s in speeds],
            "tokens": [s.tokens for s in speeds],
        }
    )


# ------------------------------------------------------------------------------------------------ scores


def plan_scores(plans: Sequence[PruningPlan], records: Sequence[RunRecord], table: pd.DataFrame) -> pd.DataFrame:
    """The measured score of each plan in each group, or that of the nearest plan measured there.

    Args:
        records: the runs behind `table`.
        table: as `results.score_table` makes it, by domain.
    Returns:
        Columns criterion, plan, group, score, low, high, n, full (the full model's score), distance (layers that differ
        between the plan and the measured one; 0: this very plan), measured (what was measured, in words).
    """
    rows = []
    for group in dict.fromkeys(table.group):
        of_group = table[table.group == group].drop_duplicates("plan_id").set_index("plan_id")
        known = {r.plan.plan_id: r.plan for r in records if r.plan.n_drop and r.plan.plan_id in of_group.index}
        full = of_group.score[of_group.n_drop == 0]
        for plan in plans:
            if plan.plan_id in known:
                nearest, distance = plan, 0
            elif (found := nearest_plan(plan, known.values())) is not None:
                nearest, distance = found
            else:
                continue
            score = of_group.loc[nearest.plan_id]
            rows.append(
                {
                    "criterion": plan.criterion,
                    "plan": label(plan.criterion),
                    "group": group,
                    "score": float(score.score),
                    "low": float(score.low),
                    "high": float(score.high),
                    "n": int(score.n),
                    "full": float(full.iloc[0]) if len(full) else float("nan"),
                    "distance": distance,
                    "measured": "this plan" if not distance else describe(nearest, plan),
                }
            )
    columns = ["criterion", "plan", "group", "score", "low", "high", "n", "full", "distance", "measured"]
    return pd.DataFrame(rows, columns=columns)


def interval_text(score: float, low: float, high: float) -> str:
    """ "71 % [62, 79]" """
    return f"{100 * score:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def describe(measured: PruningPlan, wanted: PruningPlan) -> str:
    """What a measured plan is, and how it differs: "uniform −6: also drops 3; keeps 7"."""
    more = as_ranges(sorted(set(measured.dropped) - set(wanted.dropped)))
    less = as_ranges(sorted(set(wanted.dropped) - set(measured.dropped)))
    differs = "; ".join(p for p in (f"also drops {more}" if more else "", f"keeps {less}" if less else "") if p)
    return f"{label(measured.criterion)} −{measured.n_drop}: {differs}"


# ------------------------------------------------------------------------------------------------ measured plans


def short_request(anatomy: ModelAnatomy) -> Request:
    """The question that measured plans are priced for: a short one about one picture."""
    return Request(image_tokens=anatomy.tokens_per_image or Request.image_tokens)


def measured_costs(plans: Iterable[PruningPlan], model: ModelSpec, anatomy: ModelAnatomy | None) -> pd.DataFrame:
    """What plans cost: columns plan_id, parameters and, with an anatomy, estimated decode_flops per token."""
    distinct = {p.plan_id: p for p in plans}
    table = pd.DataFrame(
        {"plan_id": list(distinct), "parameters": [parameters_left(model, p) for p in distinct.values()]}
    )
    if anatomy is not None:
        r = short_request(anatomy)
        asked = {"prompt_tokens": r.text_tokens, "image_tokens": r.image_tokens, "new_tokens": r.new_tokens}
        costs = [estimate_cost(anatomy, p, **asked) for p in distinct.values()]
        table["decode_flops"] = [c.decode_flops_per_token.total for c in costs]
    return table


def measured_costing(cost: str, anatomy: ModelAnatomy | None) -> str:
    """How a column of `measured_costs` came about, in words."""
    if cost == "parameters" or anatomy is None:
        return "parameters are counted"
    r = short_request(anatomy)
    return (
        f"FLOPs are estimated from the model's configuration for {r.text_tokens} tokens of text, {r.image_tokens} of "
        f"the picture and {r.new_tokens} of answer"
    )
