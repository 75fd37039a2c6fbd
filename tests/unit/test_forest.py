"""The forest gives, for every plan and item, what running each view alone gives."""

import random

import numpy as np
import pytest
import torch

from core.errors import PlanError
from core.pruning.plan import PruningPlan
from core.pruning.trie import trie_layers
from core.vlm.encoding import encode_samples, sample_batches
from core.vlm.forest import score_plans
from core.vlm.view import pruned_view
from tests.models import random_vlm, some_samples


def plans_of(drops: list[tuple[int, ...]]) -> list[PruningPlan]:
    return [PruningPlan("random", 6, d) for d in drops]


def one_by_one(dropped: tuple[int, ...], batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact match and mean gold NLL of a view from its ordinary logits."""
    vlm, samples = random_vlm(), some_samples()
    view = pruned_view(vlm.model, dropped)
    correct, nll = [], []
    for rows in sample_batches(samples, batch_size):
        batch = encode_samples(vlm, [samples[i] for i in rows])
        with torch.inference_mode():
            logits = view(**batch.inputs).logits
        for b in range(len(rows)):
            at = batch.answer[b].nonzero()[:, 0]
            gold, predicted = batch.inputs["input_ids"][b, at], logits[b, at - 1]
            correct.append(bool((predicted.argmax(-1) == gold).all()))
            nll.append(float(torch.nn.functional.cross_entropy(predicted, gold)))
    return np.array(correct), np.array(nll)


def test_outcomes_equal_views_run_one_by_one() -> None:
    rng = random.Random(3)
    drops = [
        (),
        (0,),
        (5,),
        (1, 2),
        *(tuple(sorted(rng.sample(range(6), k))) for k in (1, 2, 3, 4, 5) for _ in range(2)),
    ]
    scores = score_plans(random_vlm(), plans_of(drops), some_samples(), batch_size=5)
    for row, dropped in enumerate(drops):
        correct, nll = one_by_one(dropped, 5)
        assert scores.correct[row].tolist() == correct.tolist()
        np.testing.assert_allclose(scores.gold_nll[row], nll, atol=2e-6)


def test_each_trie_node_is_computed_once() -> None:
    # kept sequences of 0-5: dropping 1 or 2 shares layer 0; behind it the prefixes are
    # drop 1: 02 023 0234 02345 · drop 2: 01 013 0134 01345 · drop 1 and 2: 03 034 0345  -> 1 + 4 + 4 + 3
    plans = plans_of([(1,), (2,), (1, 2)])
    assert len(trie_layers(plans)) == 12
    scores = score_plans(random_vlm(), plans, some_samples(), batch_size=6)
    assert scores.layer_passes == 2 * 12  # two batches


def test_coinciding_plans_are_computed_once_and_reported_each() -> None:
    plans = [PruningPlan("random", 6, (2,), "a"), PruningPlan("random", 6, (2,), "b")]
    scores = score_plans(random_vlm(), plans, some_samples(), batch_size=64)
    assert scores.layer_passes == len(trie_layers(plans)) == 5
    assert scores.gold_nll[0].tolist() == scores.gold_nll[1].tolist()


def test_stop_leaves_the_rest_unscored() -> None:
    seen: list[int] = []
    scores = score_plans(
        random_vlm(),
        plans_of([(1,)]),
        some_samples(),
        batch_size=4,
        progress=lambda done, _total: seen.append(done),
        should_stop=lambda: len(seen) == 2,
    )
    assert np.isnan(scores.gold_nll[0]).tolist() == [False] * 8 + [True] * 4


def test_a_plan_of_another_depth_is_refused() -> None:
    with pytest.raises(PlanError, match="16 layers"):
        score_plans(random_vlm(), [PruningPlan("tiny", 16, (3,))], some_samples())
