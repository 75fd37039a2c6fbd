"""A sweep in one call: what is to be scored, decided and checked before a model is loaded, and then scored."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from core.errors import StrataError
from core.library.finding import load_atlas, open_runs
from core.measure.recipes import Recipe
from core.measure.sweep import (
    EMBEDDED,
    N_PER_DOMAIN,
    N_RANDOM,
    Benchmark,
    Progress,
    Skipped,
    SweepReport,
    find_benchmarks,
    run_sweep,
    sweep_plans,
)
from core.pruning.atlas import SimilarityAtlas
from core.pruning.criteria import list_criteria
from core.records.plan import PruningPlan, protected_layers

if TYPE_CHECKING:
    from cache.run_store import RunStore
    from core.measure.executors import Executor
    from core.vlm.loading import VLM

MOST_DROPPED = 12  # layers, in a sweep that names no budgets


@dataclass(frozen=True)
class SweepWork:
    """What a sweep scores: every plan on every item."""

    plans: tuple[PruningPlan, ...]
    benchmarks: tuple[Benchmark, ...]
    skipped: tuple[Skipped, ...] = ()


def plan_sweep(
    atlas: SimilarityAtlas,
    criteria: Sequence[str] = (),
    budgets: Iterable[int] = (),
    n_random: int | None = None,
    benchmarks: Sequence[str] = (),
    *,
    limit: int | None = None,
    part: str = "test",
    seed: int = 0,
    recipe: Recipe | None = None,
) -> SweepWork:
    """The plans and items of a sweep. What is left open is as the recipe says, or as stated here without one.

    Args:
        criteria: names; all of them.
        budgets: layers to drop; 1 to 12, as far as the model goes.
        n_random: random plans at each budget; 16.
        benchmarks: names; the embedded two.
        limit: items of each benchmark at most; 250.
        part, seed: of the items (`load_benchmark`).
    Raises:
        PlanError, SampleError: an unknown name, a budget that no plan can reach, or data that cannot be had.
    """
    n_protected = len(protected_layers(atlas.n_layers, atlas.structural))
    names = criteria or (recipe.criteria if recipe else [c.name for c in list_criteria()])
    counts = list(budgets)
    if not counts and recipe:
        counts = recipe.budgets(atlas.n_layers, n_protected)
    elif not counts:
        counts = list(range(1, 1 + min(MOST_DROPPED, atlas.n_layers - n_protected)))
    if n_random is None:
        n_random = recipe.n_random if recipe else N_RANDOM
    most = recipe.benchmarks if recipe and not benchmarks else [(b, N_PER_DOMAIN) for b in benchmarks or EMBEDDED]
    skipped: list[Skipped] = []

    def skip(name: str, n_drop: int, error: StrataError) -> None:
        skipped.append((name, n_drop, str(error)))

    plans = sweep_plans(atlas, names, counts, n_random, on_skip=skip)
    found = find_benchmarks({name: limit or n for name, n in most}, seed=seed, part=part)
    return SweepWork(tuple(plans), tuple(found), tuple(skipped))


def sweep(
    model: "VLM | Executor | str" = "tiny",
    atlas: SimilarityAtlas | None = None,
    criteria: Sequence[str] = (),
    budgets: Iterable[int] = (),
    n_random: int | None = None,
    benchmarks: Sequence[str] = (),
    *,
    limit: int | None = None,
    part: str = "test",
    seed: int = 0,
    recipe: Recipe | None = None,
    store: "RunStore | None" = None,
    answer_batch: int = 1,
    progress: Progress | None = None,
) -> SweepReport:
    """Score plans on benchmarks, item by item. What the store holds is not scored again, so a stopped sweep goes on.

    Args:
        model: a loaded model, a name as `load_vlm` takes it, or the executor that holds the model.
        atlas: the similarities that criteria read; the model's own, calibrated here or recorded.
        criteria, budgets, n_random, benchmarks, limit, part, seed, recipe: as `plan_sweep` takes them.
        store: where runs are kept and looked for; the user's own, which the pages read as well.
        answer_batch: free answers that are written at once.
        progress: called with (outcomes done, outcomes to do, what is scored).
    Raises:
        CalibrationError: no atlas of this model.
        PlanError, SampleError, ModelError, StoreError: in one line that says what to do.
    """
    similarities = atlas or load_atlas(model if isinstance(model, str) else model.spec.model_id)
    work = plan_sweep(
        similarities, criteria, budgets, n_random, benchmarks, limit=limit, part=part, seed=seed, recipe=recipe
    )
    if isinstance(model, str):
        from core.vlm.loading import load_vlm

        model = load_vlm(model)
    with nullcontext(store) if store is not None else open_runs() as runs:
        report = run_sweep(
            model, similarities, work.plans, work.benchmarks, runs, answer_batch=answer_batch, progress=progress
        )
    return replace(report, skipped=work.skipped)
