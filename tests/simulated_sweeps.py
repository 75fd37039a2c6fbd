"""Simulated sweeps with effects planted in points of accuracy, as hard to read as real ones.

They have the size of the recorded ones: 16 layers of which the ends are protected, budgets 1 to 14, the criteria of
core/pruning, and up to 64 distinct random plans at each budget (as many as there are: 14 at 1 and at 13, one at 14), on
the same items. What is hard in real sweeps is hard here:

- similarity is correlated across depth, so that the similar layers are neighbours, and the similarity of the dropped
  layers goes with their longest run;
- items differ in difficulty for all plans alike, and each layer matters for items of its own, so that plans which share
  dropped layers fail on the same items;
- layers also matter for reasons that neither similarity nor runs tell.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from core.errors import CalibrationError, PlanError
from core.pruning.atlas import SimilarityAtlas
from core.pruning.criteria import build_plan, list_criteria
from core.records.plan import PruningPlan
from tests.atlases import make_atlas

Array = NDArray[np.float64]

N_LAYERS = 16
FREE = range(1, N_LAYERS - 1)
BUDGETS = range(1, len(FREE) + 1)
AWARE = ("math_aware", "non_math_aware", "mixed")
DIFFICULTY, PER_LAYER = 0.45, 0.15  # shares of an outcome's variance: the item's, and that of the layers it needs


@dataclass(frozen=True)
class Effects:
    """What is planted at a budget, in accuracy (0.06 = 6 points), as standard deviations over all of its plans.

    Attributes:
        rank: gained by dropping similar layers. structure: lost by long runs.
        own: between plans, for reasons that neither tells (layers matter for reasons of their own).
        aware: what the domain-aware plans alone gain.
    """

    rank: float = 0.0
    structure: float = 0.0
    own: float = 0.0
    aware: float = 0.0


FLAT = Effects()


def simulate(
    seed: int,
    planted: Mapping[int, Effects],
    *,
    n_items: int = 500,
    n_random: int = 64,
    base: float | None = None,
    per_layer: float = PER_LAYER,
) -> pd.DataFrame:
    """A sweep with these effects at these budgets, as the table that `detect_regimes` reads.

    Args:
        base: mean accuracy at every budget; falls from 0.88 at budget 1 to 0.3 at 14 by default.
    """
    rng = np.random.default_rng(seed)
    atlas = _atlas(rng)
    own = rng.normal(0, 1, N_LAYERS)
    difficulty = rng.normal(0, np.sqrt(DIFFICULTY), n_items)
    needs = rng.normal(0, np.sqrt(per_layer), (N_LAYERS, n_items))
    frames, outcomes = [], []
    for k, effects in planted.items():
        plans, drops, longest = _population(k)
        similarity = drops @ atlas.mean("math")
        named = _named_plans(atlas, k)
        random = rng.choice(len(plans), min(n_random, len(plans)), replace=False)
        rows = [(name, plans.index(dropped)) for name, dropped in named.items()]
        aware = np.isin(np.arange(len(plans)), [i for name, i in rows if name in AWARE])
        accuracy = (
            (0.88 - 0.58 * (k - 1) / (len(FREE) - 1) if base is None else base)
            + effects.rank * _standard(similarity)
            - effects.structure * _standard(longest)
            + effects.own * _standard(_residual(drops @ own, rankdata(similarity), rankdata(longest)))
            + effects.aware * aware
        )
        rows += [("random", int(i)) for i in random]
        which, place = np.unique([i for _, i in rows], return_inverse=True)
        latent = rng.normal(0, np.sqrt(1 - DIFFICULTY - per_layer), (len(which), n_items))
        latent += difficulty + drops[which] @ needs / np.sqrt(k)  # standard normal over items
        correct = latent < ndtri(np.clip(accuracy[which], 0.001, 0.999))[:, None]
        columns = {
            "plan_id": [PruningPlan("sim", N_LAYERS, plans[i]).plan_id for _, i in rows],
            "criterion": [name for name, _ in rows],
            "n_drop": k,
            "longest_run": [longest[i] for _, i in rows],
            "similarity_dropped": [similarity[i] for _, i in rows],
        }
        frames.append(pd.DataFrame(columns))
        outcomes.append(correct[place])
    table = pd.concat(frames, ignore_index=True).astype({"plan_id": "category", "criterion": "category"})
    items = pd.Categorical.from_codes(np.tile(np.arange(n_items), len(table)), [f"item{i}" for i in range(n_items)])
    return table.loc[np.repeat(table.index, n_items)].assign(item_id=items, correct=np.concatenate(outcomes).ravel())


def _atlas(rng: np.random.Generator, correlation: float = 0.8) -> SimilarityAtlas:
    """Similarities that are lowest at the ends and correlated from layer to layer; the two domains agree mostly."""
    walk = [rng.normal()]
    for step in rng.normal(0, np.sqrt(1 - correlation**2), N_LAYERS - 1):
        walk.append(correlation * walk[-1] + step)
    change = 0.02 * np.exp(0.4 * np.array(walk) + 1.5 * np.linspace(-1, 1, N_LAYERS) ** 4)
    return make_atlas({"math": [1 - change * np.exp(rng.normal(0, 0.15, N_LAYERS))], "general": [1 - change]})


@cache
def _population(n_drop: int) -> tuple[list[tuple[int, ...]], Array, Array]:
    """Every plan of a budget: its layers, (P, L) 1 where it drops a layer, and (P,) its longest run."""
    plans = list(combinations(FREE, n_drop))
    drops = np.array([[float(i in plan) for i in range(N_LAYERS)] for plan in plans])
    run = longest = np.zeros(len(plans))
    for dropped in drops.T:
        run = (run + 1) * dropped
        longest = np.maximum(longest, run)
    return plans, drops, longest


def _named_plans(atlas: SimilarityAtlas, n_drop: int) -> dict[str, tuple[int, ...]]:
    found = {}
    for criterion in list_criteria():
        try:
            found[criterion.name] = build_plan(atlas, criterion.name, n_drop).dropped
        except (PlanError, CalibrationError):  # interlace runs out of triplets; greedy needs a model
            continue
    return {name: dropped for name, dropped in found.items() if name != "random"}


def _standard(values: Array) -> Array:
    spread = values.std()
    return np.asarray((values - values.mean()) / spread) if spread > 1e-9 else np.zeros_like(values)


def _residual(values: Array, *controls: Array) -> Array:
    """What a linear fit on the controls leaves of the values."""
    design = np.column_stack([np.ones_like(values), *controls])
    return np.asarray(values - design @ np.linalg.lstsq(design, values)[0])
