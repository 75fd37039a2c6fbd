"""What is removed: similarity atlases, criteria and plans. Nothing here knows torch."""

from core.pruning.atlas import TOKEN_KINDS, CalibrationSample, GreedyOrder, SimilarityAtlas
from core.pruning.cost import Cost, ModelAnatomy, estimate_cost, fits
from core.pruning.criteria import Criterion, build_plan, get_criterion, list_criteria
from core.records.plan import ModelSpec, PruningPlan, check_budget, parse_budget, protected_layers

__all__ = [
    "TOKEN_KINDS",
    "CalibrationSample",
    "Cost",
    "Criterion",
    "GreedyOrder",
    "ModelAnatomy",
    "ModelSpec",
    "PruningPlan",
    "SimilarityAtlas",
    "build_plan",
    "check_budget",
    "estimate_cost",
    "fits",
    "get_criterion",
    "list_criteria",
    "parse_budget",
    "protected_layers",
]
