"""Two math benchmarks of 300 and 200 items whose regimes differ: one small sweep for everything that reads runs."""

import numpy as np

from core.records.items import BenchmarkItem, ItemSet
from core.records.plan import ModelSpec, PruningPlan
from core.records.runs import RunRecord

N_LAYERS, BUDGETS, N_RANDOM = 16, (2, 6, 12), 20
SIZES = {"wide-math": 300, "deep-math": 200}
LETTERS = {"wide-math": "ABCD", "deep-math": "AB"}  # of the gold answers: their floors are 0.25 and 0.5
SPEC = ModelSpec("two", "r1", "llava", N_LAYERS, (), 1600, (100,) * N_LAYERS, "float32", "cpu")


def item_sets() -> dict[str, ItemSet]:
    return {
        name: ItemSet(
            name,
            "math",
            "test",
            name,
            tuple(
                BenchmarkItem(f"{name}-{i}", "t", f"question {i}?", "ABCD"[i % 4] if "wide" in name else "AB"[i % 2])
                for i in range(n)
            ),
        )
        for name, n in SIZES.items()
    }


def records() -> list[RunRecord]:
    """On the wide benchmark nothing that is dropped matters from 6 layers on; on the deep one similarity decides."""
    rng = np.random.default_rng(7)
    similarity = rng.permutation(np.linspace(0.8, 0.99, N_LAYERS))
    ranked = [int(i) for i in np.argsort(-similarity)]
    plans = [PruningPlan("two", N_LAYERS, (), "full")]
    for k in BUDGETS:
        plans += [
            PruningPlan("two", N_LAYERS, tuple(ranked[:k]), "math_aware"),
            PruningPlan("two", N_LAYERS, tuple(int(i) for i in np.linspace(1, 14, k).round()), "uniform"),
            PruningPlan("two", N_LAYERS, tuple(range(15 - k, 15)), "deepest"),
        ]
        drawn = (tuple(int(i) for i in rng.choice(N_LAYERS, k, replace=False)) for _ in range(N_RANDOM))
        plans += [PruningPlan("two", N_LAYERS, d, "random", seed) for seed, d in enumerate(drawn)]
    ease = {name: rng.random(n) for name, n in SIZES.items()}
    made = []
    for plan in plans:
        dropped = float(similarity[list(plan.dropped)].sum())
        worst = float(np.sort(similarity)[: plan.n_drop].sum())
        best = float(np.sort(similarity)[N_LAYERS - plan.n_drop :].sum())
        rank = (dropped - worst) / (best - worst) if plan.n_drop else 1.0  # 1: the most similar layers went
        for name, n in SIZES.items():
            flat = 0.95 - 0.04 * plan.n_drop
            p = flat if name == "wide-math" else 0.95 - (1 - rank) * 0.12 * plan.n_drop**0.7
            made.append(
                RunRecord(
                    SPEC,
                    plan,
                    name,
                    "math",
                    name,
                    "exact_match",
                    tuple(f"{name}-{i}" for i in range(n)),
                    tuple(bool(v) for v in ease[name] * 0.7 + rng.random(n) * 0.3 < p),
                    (0.5,) * n,
                    similarity_dropped=dropped,
                    device="cpu",
                    created="2026-11-27T10:00:00+00:00",
                )
            )
    return made
