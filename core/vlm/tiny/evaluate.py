"""Scores of the embedded model on freshly drawn samples, per task and per domain."""

from typing import Any

from core.records.plan import PruningPlan
from core.scenes.questions import TASKS
from core.scenes.samples import DOMAINS, draw_samples
from core.vlm.forest import score_plans
from core.vlm.loading import VLM
from core.vlm.similarity import Progress


def evaluate_tiny(vlm: VLM, seed: int, n: int, split: str = "test", progress: Progress | None = None) -> dict[str, Any]:
    """Greedy exact match on n samples of a split, drawn from a seed.

    Returns:
        {"seed", "n", "domains": {domain: {"exact_match", "n"}}, "tasks": {task: {"domain", "exact_match", "n"}}}
    """
    samples = draw_samples(split, seed, n)
    full = PruningPlan(vlm.spec.model_id, vlm.spec.n_layers, (), "full")
    hits = score_plans(vlm, [full], samples, progress=progress).correct[0]

    def score(rows: list[bool]) -> dict[str, float | int]:
        return {"exact_match": round(sum(rows) / len(rows), 4), "n": len(rows)}

    pairs = list(zip(samples, hits.tolist(), strict=True))
    by_domain = {d: [hit for s, hit in pairs if s.domain == d] for d in DOMAINS}
    by_task = {t: [hit for s, hit in pairs if s.task == t] for t in TASKS}
    return {
        "seed": seed,
        "n": n,
        "split": split,
        "domains": {d: score(rows) for d, rows in by_domain.items() if rows},
        "tasks": {t: {"domain": TASKS[t].domain, **score(rows)} for t, rows in by_task.items() if rows},
    }
