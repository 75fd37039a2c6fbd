"""Plans: from a criterion and a budget, timed here, and as files to take along."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core import settings
from core.analysis.plan_tables import Speed, measured_costing, measured_costs, speed
from core.library.run_view import RunView
from core.progress import Progress
from core.pruning import SimilarityAtlas, build_plan
from core.records.answers import Answer, GenerationConfig, PaneDone
from core.records.plan import ModelSpec, PruningPlan
from dashboard.services import models, samples
from dashboard.services.exports import Stage, build_zip

SPEED_QUESTIONS = 6


def plan(atlas: SimilarityAtlas, criterion: str, budget: int) -> PruningPlan:
    return build_plan(atlas, criterion, budget)


def measure_speed(model_id: str, plans: Sequence[PruningPlan | None], progress: Progress | None = None) -> list[Speed]:
    """Ask every plan (None: the full model) the same gallery questions, in turn, and time the answers.

    The first question is asked once more before, untimed, so that no plan pays for loading.
    """
    models.limits().check_work("timing plans")
    asked = samples.gallery(model_id)[:SPEED_QUESTIONS]
    rounds = [asked[0], *asked]
    answers: list[list[Answer]] = [[] for _ in plans]
    for n, question in enumerate(rounds):
        for i, chosen in enumerate(plans):
            ticket = models.engine().submit(model_id, [chosen], question.image, question.question, GenerationConfig(16))
            finished = [event.answer for event in ticket.events() if isinstance(event, PaneDone)]
            answers[i] += finished if n else []
            if progress:
                progress(n * len(plans) + i + 1, len(rounds) * len(plans))
    return [speed(a) for a in answers]


def model_ref(model_id: str) -> str:
    """A model as other tools take it: the embedded and the fetched one are folders."""
    folder = settings.named_folder(model_id)
    if folder is None:
        return model_id
    return f"./{settings.shown(folder)}" if folder.is_relative_to(settings.ROOT) else str(folder)


def export_zip(
    model: ModelSpec, chosen: PruningPlan, atlas: SimilarityAtlas, progress: Stage = lambda *_: None
) -> Path:
    """The plan's checkpoint as a zip file, made if it is not there yet; see `dashboard.services.exports`."""
    models.limits().check_work("exporting a checkpoint")
    return build_zip(model, chosen, atlas.data_hash, progress)


def plan_costs(runs: RunView) -> pd.DataFrame:
    """What every measured plan costs: plan_id, parameters and, where the model is at hand, estimated decode FLOPs."""
    model = models.spec(runs.model_id)
    return measured_costs((r.plan for r in runs.records), model, models.anatomy(model))


def cost_said(model: ModelSpec, cost: str) -> str:
    """How a column of `plan_costs` came about."""
    return measured_costing(cost, models.anatomy(model))
