"""What is practised how much: tasks with errors more, and what builds on another task once that one goes well."""

from core.scenes.questions import TASKS

FIRST = {  # task: what it builds on
    "bar_sum": "bar_value",
    "bar_difference": "bar_value",
    "how_many_more": "count_kind",
    "expression_1": "read_expression",
    "expression_2": "read_expression",
    "beside": "where",
    "clock": "clock_hand",
}
UNKNOWN = 0.3  # score of a task that has not been asked yet


def practice_weights(scores: dict[str, float]) -> dict[str, float]:
    """Sampling weights by task, from running accuracies in [0, 1]."""

    def score(name: str) -> float:
        return scores.get(name, UNKNOWN)

    weights = {name: 0.1 + min(1 - score(name), 0.6) for name in TASKS}
    for name in ("count", "count_kind"):  # learnt last: no single patch has the answer
        weights[name] *= 1.5
    weights["spell"] *= 0.3  # letters without sense: long, and not asked in the end
    weights["arithmetic"] *= 0.5
    for name, first in FIRST.items():
        weights[name] *= 0.2 + 0.8 * min(max((score(first) - 0.3) / 0.4, 0.0), 1.0)
    return weights
