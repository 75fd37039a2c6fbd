"""What another harness measured as run records, item sets and reference scores, and of which plan it was. No torch.

Items are named by task, row, prompt and gold answer, so that two imports of a task align whatever harness wrote them;
the item set's hash takes in harness, version, adapter and metric, so that scores of different ones never share a chart.
"""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import PlanError, StoreError
from core.interop import ImportedRun, ImportedSample, ImportedTask, ImportReport
from core.interop.files import name
from core.interop.verdicts import within
from core.library.finding import known_depth
from core.measure.sweep import FULL
from core.records.answers import ItemAnswer
from core.records.items import BenchmarkItem, ItemSet
from core.records.plan import PLAN_FILE, ModelSpec, PruningPlan
from core.records.references import ReferenceScore
from core.records.runs import Outcome, RunRecord

if TYPE_CHECKING:
    from cache.run_store import RunStore

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
MAX_PASSPORT = 2**20
UNSCORED = ("ratio",)
RECORDED = 5e-4  # how far a record's score may be from the harness's figure and still stand for it


def evaluated_plan(
    run: ImportedRun, *, plan: PruningPlan | None = None, model_id: str = "", n_layers: int = 0
) -> tuple[PruningPlan, ModelSpec]:
    """Which plan of which model a run evaluated.

    The passport in the folder that was evaluated says so, or the results that Strata wrote; else the caller, with a
    plan, or with the id and depth of a model that was evaluated whole. A model of the Hub is whole unless a plan is
    given; its depth may be known here.

    Raises:
        StoreError: neither says so, or what they say differs.
        PlanError: a damaged passport.
    """
    passport = _passport(run.model_ref) or dict(run.plan)
    if passport:
        found = PruningPlan.from_dict(passport)
        if plan is not None and (plan.model_id, plan.plan_id) != (found.model_id, found.plan_id):
            raise StoreError(f"{run.model_ref} was exported from another plan ({found.plan_id}): leave the plan out")
        return found, _spec(found, passport)
    name = model_id or (run.model_ref if HUB_ID.fullmatch(run.model_ref) else "")
    depth = n_layers or (known_depth(name) if name and plan is None else 0)
    if plan is None and (not name or depth < 1):
        raise StoreError(
            f"which plan '{run.model_ref}' was made from is not known here: give --plan, or --model and --layers of a "
            "model that was not pruned"
        )
    chosen = plan or PruningPlan(name, depth, (), FULL)
    return chosen, _spec(chosen, {})


def to_records(
    run: ImportedRun, *, plan: PruningPlan, model: ModelSpec | None = None
) -> tuple[list[RunRecord], list[ItemSet], list[ReferenceScore]]:
    """A record and an item set for each metric with outcomes item by item, a reference score for every other figure.

    A reference score stands beside a record, too, where outcomes that are right or wrong do not add up to the
    harness's figure: graded answers, and questions that count only if all their copies are right.

    Args:
        model: what is known of it; else only what the plan says.
    Raises:
        StoreError: the model is another than the plan's.
    """
    spec = model or _spec(plan, {})
    if (spec.model_id, spec.n_layers) != (plan.model_id, plan.n_layers):
        raise StoreError(f"a plan of {plan.model_id} is not one of {spec.model_id}: give the model's own")
    records: list[RunRecord] = []
    sets: list[ItemSet] = []
    references: list[ReferenceScore] = []
    for task in run.tasks:
        if task.how in UNSCORED or task.value is None:
            continue
        items, outcomes = _items(run, task)
        if outcomes:
            item_set = _item_set(run, task, items)
            record = RunRecord(
                model=spec,
                plan=plan,
                benchmark=task.key,
                domain=task.domain,
                data_hash=item_set.data_hash,
                metric=_metric(run, task),
                item_ids=tuple(i.item_id for i in items),
                correct=(None,) * len(items),
                gold_nll=(None,) * len(items),
                device="",
                created=run.created,
                version=f"{run.harness} {run.harness_version}".strip(),
                origin="imported",
                max_new_tokens=item_set.max_new_tokens,
            ).with_outcomes(outcomes)
            records.append(record)
            sets.append(item_set)
            if math.isclose(record.score, _figure(task), abs_tol=RECORDED):
                continue
        references.append(_reference(run, task, plan))
    return records, sets, references


@dataclass(frozen=True)
class Kept:
    """What an import added to the store; `problems`: one line for each run that could not be placed."""

    records: int
    references: int
    problems: tuple[str, ...]


def keep_results(
    report: ImportReport,
    store: "RunStore",
    *,
    plan: PruningPlan | None = None,
    model_id: str = "",
    n_layers: int = 0,
) -> Kept:
    """Put what was read into the run store: records with their items, and figures without outcomes.

    Args:
        plan, model_id, n_layers: as `evaluated_plan` takes them, for every run whose checkpoint does not say.
    Raises:
        StoreError: nothing was read, or no run could be placed.
    """
    records: dict[str, RunRecord] = {}
    references: dict[str, ReferenceScore] = {}
    problems: list[str] = []
    for run in report.runs:
        try:
            chosen, model = evaluated_plan(run, plan=plan, model_id=model_id, n_layers=n_layers)
            found, sets, figures = to_records(run, plan=chosen, model=model)
        except (StoreError, PlanError) as error:
            problems.append(str(error))
            continue
        for items in sets:
            store.put_items(items)
        if again := next((r for r in found if r.run_id in records), None):
            problems.append(
                f"{name(run.model_ref)} of {run.created or 'no date'}: {again.benchmark} of this plan was just read, "
                "and these outcomes replace those: import each checkpoint's results by themselves, with its plan"
            )
        records |= {r.run_id: r for r in found}
        references |= {r.key: r for r in figures}
    if not records and not references:
        warnings = (w for run in report.runs for w in run.warnings)
        raise StoreError("; ".join((*problems, *report.problems, *warnings)) or "these results hold no score")
    store.put_many(records.values())
    store.put_references(references.values())
    return Kept(len(records), len(references), tuple(problems))


# ------------------------------------------------------------------------------------------------ the plan


def _passport(model_ref: str) -> dict[str, Any]:
    """The passport in the folder of an export, {} where there is none. Only a whole path is looked at."""
    path = Path(model_ref) / PLAN_FILE
    try:
        if not path.is_absolute() or not path.is_file() or path.stat().st_size > MAX_PASSPORT:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PlanError(f"cannot read the plan {path}: {error}") from error
    if not isinstance(found, dict):
        raise PlanError(f"{path} holds no plan: export the checkpoint again")
    return found


def _spec(plan: PruningPlan, passport: dict[str, Any]) -> ModelSpec:
    """What is known of a model that is not loaded: of its parameters only what a passport says of all of them.

    A passport has the parameters of the dropped layers together; the layers of a decoder are of one size but in few
    models, so each is taken to have its share.
    """
    full, left = passport.get("parameters_full"), passport.get("parameters")
    known = type(full) is int and type(left) is int and plan.n_drop and 0 <= left <= full
    share = (full - left) // plan.n_drop if known else 0  # type: ignore[operator]
    return ModelSpec(
        model_id=plan.model_id,
        revision=str(passport.get("revision") or ""),
        family=str(passport.get("family") or ""),
        n_layers=plan.n_layers,
        structural=(),
        n_parameters=full if type(full) is int and full > 0 else 0,
        layer_parameters=(share,) * plan.n_layers,
        dtype="",
        device="",
    )


# ------------------------------------------------------------------------------------------------ items


def _items(run: ImportedRun, task: ImportedTask) -> tuple[list[BenchmarkItem], dict[str, Outcome]]:
    """The counted rows as items, none twice, and the outcomes of those that have a score."""
    items: dict[str, BenchmarkItem] = {}
    outcomes: dict[str, Outcome] = {}
    for s in task.samples:
        item_id = _item_id(task, s)
        if not s.counted or item_id in items:
            continue
        items[item_id] = BenchmarkItem(item_id, task.task, s.prompt, s.gold)
        if s.score is not None:
            right = s.score >= 0.5
            rule = f"{run.harness}, read as '{s.parsed}'" if s.parsed else run.harness
            outcomes[item_id] = Outcome(right, None, ItemAnswer(s.raw, rule, "" if right else "wrong", s.score))
    return list(items.values()), outcomes


def _item_id(task: ImportedTask, sample: ImportedSample) -> str:
    content = [task.key, sample.sample_key, sample.prompt_sha256, sample.gold]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _item_set(run: ImportedRun, task: ImportedTask, items: Sequence[BenchmarkItem]) -> ItemSet:
    content = [
        *(run.harness, run.harness_version, run.adapter, run.generation.get(task.task), run.generation.get("")),
        *(task.task, task.split, task.metric, task.filter),
        *(i.item_id for i in items),
    ]
    notes = {
        "graded": "graded answers: right from 0.5 on, so the share of right ones is not the harness's score",
        "circular": "every turned copy of a question is an item; the harness asks that all of a question are right",
    }
    said = [f"scored by {run.harness} {run.harness_version}".strip() + f" ({run.adapter or 'adapter not stated'})"]
    said += [notes[task.how]] if task.how in notes else []
    said += [f"a smoke run: the first {len(items)} rows only"] if run.smoke else []
    tokens = (run.generation.get(task.task) or {}).get("max_new_tokens")
    return ItemSet(
        benchmark=task.key,
        domain=task.domain,
        split=task.split,
        data_hash=hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16],
        items=tuple(items),
        metric=_metric(run, task),
        max_new_tokens=tokens if type(tokens) is int and tokens > 0 else 0,
        dataset=task.dataset_id,
        note="; ".join(said),
    )


def _metric(run: ImportedRun, task: ImportedTask) -> str:
    return f"{run.harness}:{task.metric}" + (f",{task.filter}" if task.filter not in ("", "none") else "")


def _figure(task: ImportedTask) -> float:
    """What the harness states, where rows that were cut off or are of another run give something else."""
    stated = within(task.stated_fraction) if task.samples and task.disagrees else None
    return (task.value or 0.0) if stated is None else stated


def _reference(run: ImportedRun, task: ImportedTask, plan: PruningPlan) -> ReferenceScore:
    what = {"part": "Over some of the rows.", "whole": "Of all rows together.", "graded": "Graded answers."}
    said = [what.get(task.how, ""), "A smoke run: the first rows only." if run.smoke else ""]
    version = f"{run.harness} {run.harness_version}".strip()
    return ReferenceScore(
        model_id=plan.model_id,
        benchmark=task.key,
        domain=task.domain,
        criterion=plan.criterion,
        value=_figure(task),
        metric=_metric(run, task),
        source=name(", ".join([version, run.model_ref, *run.source[:1]])),
        origin="imported",
        n_drop=plan.n_drop,
        n=None if task.samples and task.disagrees else task.n_rows or None,
        note=" ".join(filter(None, said)),
    )
