"""What measurements mean: intervals and tests, and the regimes of pruning. Nothing here knows torch."""

from core.analysis.regimes import BudgetRegime, RegimeMap, chance_score, detect_regimes
from core.analysis.statistics import (
    Interval,
    bootstrap_interval,
    holm,
    mcnemar_exact,
    paired_bootstrap,
    smallest_detectable_difference,
    wilson_interval,
)

__all__ = [
    "BudgetRegime",
    "Interval",
    "RegimeMap",
    "bootstrap_interval",
    "chance_score",
    "detect_regimes",
    "holm",
    "mcnemar_exact",
    "paired_bootstrap",
    "smallest_detectable_difference",
    "wilson_interval",
]
