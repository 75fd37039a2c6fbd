"""What measurements mean: intervals and tests, and the regimes of pruning. Nothing here knows torch."""

from core.analysis.comparisons import matching_criterion, pairwise
from core.analysis.regime_map import BudgetRegime, RegimeMap
from core.analysis.regimes import chance_score, detect_regimes
from core.analysis.statistics import (
    Interval,
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
    "chance_score",
    "detect_regimes",
    "holm",
    "matching_criterion",
    "mcnemar_exact",
    "paired_bootstrap",
    "pairwise",
    "smallest_detectable_difference",
    "wilson_interval",
]
