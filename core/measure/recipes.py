"""Recipes: what is measured of a model, named so that it can be measured again: budgets, criteria, benchmarks, items.

A recipe knows no model: its budgets are shares of depth, which `Recipe.budgets` turns into layers.
"""

from dataclasses import asdict, dataclass
from typing import Any

from core.errors import RecipeError, suggest
from core.records.plan import check_budget


@dataclass(frozen=True)
class Recipe:
    """What a sweep measures.

    Attributes:
        source: the paper, or whose choice it is.
        shares: budgets as fractions of the decoder's depth.
        criteria: names, as `core.pruning.get_criterion` takes them; random plans come on top.
        n_random: random plans at each budget.
        benchmarks: (key, items at most), keys of `core.benchmarks`.
        calibration: (key, samples) that the similarities are measured on.
        note: what a reader of the results must know.
    """

    name: str
    title: str
    source: str
    shares: tuple[float, ...]
    criteria: tuple[str, ...]
    n_random: int
    benchmarks: tuple[tuple[str, int], ...]
    calibration: tuple[tuple[str, int], ...]
    note: str

    def budgets(self, n_layers: int, n_protected: int = 0) -> list[int]:
        """The shares in layers, ascending and distinct: each rounded, at least 1, at most what may be dropped.

        Args:
            n_protected: layers that no plan drops, the ends included (`core.pruning.protected_layers`).
        Raises:
            PlanError: no layer may be dropped.
        """
        check_budget(1, n_layers, n_protected)
        most = n_layers - max(n_protected, 1)
        return sorted({min(max(round(share * n_layers), 1), most) for share in self.shares})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


PAPER_SETS = (("numinamath", 128), ("llava_onevision", 128))

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "paper",
            "Three regimes, on the paper's public benchmarks",
            "after arXiv:2603.20275",
            shares=(0.05, 0.10, 0.15, 0.20, 0.30, 0.40),
            criteria=("math_aware", "non_math_aware", "mixed", "spaced:mixed", "interlace", "block", "uniform"),
            n_random=8,
            benchmarks=(
                ("scienceqa", 200),
                ("chartqa", 200),
                ("realworldqa", 200),
                ("vstar", 191),
                ("llava_onevision", 200),
                ("numinamath", 100),
            ),
            calibration=PAPER_SETS,
            note="Snapask, which the paper also scores, is not published and is left out. The paper's exact budgets "
            "are not known to us: low (5 and 10 %), moderate (15 and 20 %) and high (30 and 40 %) are our reading, and "
            "so are the items and the baselines.",
        ),
        Recipe(
            "interlace",
            "Interlace triplets against other baselines",
            "budgets of arXiv:2511.19676",
            shares=(0.10, 0.15, 0.20, 0.25),
            criteria=("interlace", "mixed", "shortgpt", "block", "uniform", "deepest"),
            n_random=8,
            benchmarks=(
                ("ai2d", 200),
                ("chartqa", 200),
                ("textvqa", 200),
                ("pope", 200),
                ("mmbench", 200),
                ("mmmu", 200),
            ),
            calibration=PAPER_SETS,
            note="The shares are the paper's, which rounds them down where this rounds to the nearest layer. It "
            "finetunes after pruning, which is not done here; benchmarks, items and calibration sets are our choice.",
        ),
        Recipe(
            "math",
            "Mathematics in pictures against general questions",
            "ours",
            shares=(0.10, 0.20, 0.30),
            criteria=("math_aware", "non_math_aware", "mixed", "spaced:math_aware"),
            n_random=4,
            benchmarks=(
                ("mathvista", 100),
                ("mathverse", 100),
                ("mathvision", 100),
                ("ai2d", 200),
                ("chartqa", 200),
                ("scienceqa", 200),
            ),
            calibration=PAPER_SETS,
            note="Answers to mathematics may take 1024 tokens, and their decoding is nearly all of the work.",
        ),
        Recipe(
            "quick",
            "A first look: does everything run?",
            "ours",
            shares=(0.10, 0.30),
            criteria=("math_aware", "non_math_aware"),
            n_random=2,
            benchmarks=(("scienceqa", 16), ("chartqa", 16)),
            calibration=(("numinamath", 16), ("llava_onevision", 16)),
            note="Too few items for any conclusion.",
        ),
    )
}


def list_recipes() -> list[Recipe]:
    return list(RECIPES.values())


def get_recipe(name: str) -> Recipe:
    """A recipe by name.

    Raises:
        RecipeError: an unknown name.
    """
    if name not in RECIPES:
        raise RecipeError(f"unknown recipe '{name}': {suggest(name, RECIPES)}")
    return RECIPES[name]
