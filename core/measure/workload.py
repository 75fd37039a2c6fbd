"""What a recipe asks of a model: its plans, and the items of its benchmarks. Nothing here knows torch."""

from dataclasses import dataclass
from random import Random

from core.measure.recipes import Recipe
from core.measure.sweep import FULL, sweep_plans
from core.pruning.atlas import SimilarityAtlas
from core.records.plan import PruningPlan, protected_layers


@dataclass(frozen=True)
class Work:
    """Items of one benchmark. `image_tokens` is 0 where the questions have no picture."""

    benchmark: str
    items: int
    max_new_tokens: int
    image_tokens: int


def recipe_works(recipe: Recipe, image_tokens: int) -> list[Work]:
    """The benchmarks of a recipe, with the lengths that their records state; pictures of one size."""
    return [_work(key, limit, image_tokens) for key, limit in recipe.benchmarks]


def calibration_works(recipe: Recipe, image_tokens: int) -> list[Work]:
    return [_work(key, n, image_tokens) for key, n in recipe.calibration]


def _work(key: str, limit: int, image_tokens: int) -> Work:
    from core.benchmarks import get_benchmark

    found = get_benchmark(key)
    pictures = "image" in " ".join(found.columns.values()).replace("|", " ").split()
    return Work(key, min(limit, found.rows or limit), found.max_new_tokens, image_tokens if pictures else 0)


def recipe_plans(
    recipe: Recipe, model_id: str, n_layers: int, structural: tuple[int, ...] = (), atlas: SimilarityAtlas | None = None
) -> list[PruningPlan]:
    """The plans of a recipe's sweep, those of the atlas if there is one.

    Without it a ranking drawn from its name stands in for each criterion: nested over the budgets, as rankings are.
    Drawn ones part earlier than measured ones, which mostly drop late layers, so they share less.
    """
    protected = protected_layers(n_layers, structural)
    budgets = recipe.budgets(n_layers, len(protected))
    if atlas is not None:
        return sweep_plans(atlas, recipe.criteria, budgets, recipe.n_random)
    free = [i for i in range(n_layers) if i not in protected]
    plans = [PruningPlan(model_id, n_layers, (), FULL)]
    for name in recipe.criteria:
        order = Random(f"ranking/{name}").sample(free, len(free))
        plans += [PruningPlan(model_id, n_layers, tuple(order[:n_drop]), name) for n_drop in budgets]
    for n_drop in budgets:
        for seed in range(recipe.n_random):
            drawn = Random(f"plan/{seed}/{n_drop}").sample(free, n_drop)
            plans.append(PruningPlan(model_id, n_layers, tuple(drawn), "random", seed))
    return plans
