"""What answers: loading, views, similarity, the forest and generation. The only room that imports torch."""

from core.vlm.anatomy import read_anatomy
from core.vlm.engine import Engine, Ticket
from core.vlm.export import ExportReport, export_plan
from core.vlm.forest import PlanScores, score_plans
from core.vlm.free_form import PlanAnswers, answer_plans, score_samples
from core.vlm.generation import answer, stream_answer, stream_answers
from core.vlm.loading import VLM, load_vlm, read_spec
from core.vlm.prompt import prepare_prompt
from core.vlm.similarity import compute_atlas
from core.vlm.view import pruned_view

__all__ = [
    "VLM",
    "Engine",
    "ExportReport",
    "PlanAnswers",
    "PlanScores",
    "Ticket",
    "answer",
    "answer_plans",
    "compute_atlas",
    "export_plan",
    "load_vlm",
    "prepare_prompt",
    "pruned_view",
    "read_anatomy",
    "read_spec",
    "score_plans",
    "score_samples",
    "stream_answer",
    "stream_answers",
]
