"""Greedy removal: the forest's order against views run one by one, continued orders, and what the file keeps."""

from collections.abc import Sequence
from itertools import islice, pairwise

import numpy as np
import pytest
import torch

from core.errors import CalibrationError
from core.measure.greedy import greedy_orders
from core.pruning.atlas import GreedyOrder
from core.records.samples import Sample
from core.scenes.samples import draw_samples
from core.vlm import forest
from core.vlm.encoding import encode_samples
from core.vlm.view import pruned_view
from tests.models import random_vlm

N = {"math": 5, "general": 2}  # unequal, so that the weight of a domain shows


@pytest.fixture(scope="module")
def samples() -> dict[str, list[Sample]]:
    drawn = draw_samples("calibration", 3, 24)
    return {d: [s for s in drawn if s.domain == d][:n] for d, n in N.items()}


def view_loss(dropped: Sequence[int], samples: dict[str, list[Sample]]) -> float:
    """Mean over domains of the mean gold NLL of a view, item by item from its ordinary logits."""
    vlm = random_vlm()
    view = pruned_view(vlm.model, dropped)
    means = []
    for group in samples.values():
        losses = []
        for sample in group:
            batch = encode_samples(vlm, [sample])
            at = batch.answer[0].nonzero()[:, 0]
            with torch.inference_mode():
                logits = view(**batch.inputs).logits[0, at - 1]
            losses.append(float(torch.nn.functional.cross_entropy(logits, batch.inputs["input_ids"][0, at])))
        means.append(np.mean(losses))
    return float(np.mean(means))


def test_greedy_equals_views_tried_one_by_one(samples: dict[str, list[Sample]]) -> None:
    *_, order = greedy_orders(random_vlm(), samples, batch_size=5)
    dropped: list[int] = []
    losses = [view_loss([], samples)]
    while len(dropped) < 4:  # of 6 layers, the ends are protected
        tried = {i: view_loss([*dropped, i], samples) for i in range(1, 5) if i not in dropped}
        best = min(tried, key=lambda i: tried[i])
        dropped.append(best)
        losses.append(tried[best])
    assert order.layers == tuple(dropped)
    np.testing.assert_allclose(order.losses, losses, atol=5e-6)
    assert order.protected == (0, 5) and order.n_samples == (("math", 5), ("general", 2))


def test_a_stopped_order_is_continued(samples: dict[str, list[Sample]], monkeypatch: pytest.MonkeyPatch) -> None:
    orders = list(greedy_orders(random_vlm(), samples))
    assert [len(o.layers) for o in orders] == [1, 2, 3, 4]
    assert all((a.layers, a.losses) == (b.layers[:-1], b.losses[:-1]) for a, b in pairwise(orders))
    asked: list[int] = []
    real = forest.score_plans

    def counted(vlm, plans, *args, **kwargs):  # type: ignore[no-untyped-def]
        asked.append(len(plans))
        return real(vlm, plans, *args, **kwargs)

    monkeypatch.setattr(forest, "score_plans", counted)
    seen: list[tuple[int, int]] = []
    *_, continued = greedy_orders(random_vlm(), samples, orders[1], progress=lambda *a: seen.append(a))
    assert continued == orders[-1]
    assert asked == [2, 1]  # one forest call per round, the finished rounds not again
    assert seen[-1] == (21, 21) and seen == sorted(seen)  # 3 plans on 7 samples
    assert list(greedy_orders(random_vlm(), samples, continued)) == []


def test_an_order_of_other_samples_or_protection_is_begun_again(samples: dict[str, list[Sample]]) -> None:
    first = next(greedy_orders(random_vlm(), samples))
    fewer = {d: group[:3] for d, group in samples.items()}
    assert len(next(greedy_orders(random_vlm(), fewer, first)).layers) == 1
    regrouped = {
        "math": samples["math"][:4],
        "general": [*samples["math"][4:], *samples["general"]],
    }  # in the same order
    assert len(next(greedy_orders(random_vlm(), regrouped, first)).layers) == 1
    unprotected = list(islice(greedy_orders(random_vlm(), fewer, first, protect_ends=False), 5))
    assert [len(o.layers) for o in unprotected] == [1, 2, 3, 4, 5] and unprotected[-1].protected == ()


def test_domains_weigh_the_same_and_overflow_is_the_worst(
    samples: dict[str, list[Sample]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropping 1 costs math (5 samples) 2 and general (2) nothing; 2 costs general 3: by sample 2 is the cheaper, by
    domain 1. Dropping 3 overflows; 4 costs as much as 1, and of equals the deeper goes."""
    math = np.array([True] * 5 + [False] * 2)
    costs = {1: (2.0, 0.0), 2: (0.0, 3.0), 3: (np.nan, 0.0), 4: (2.0, 0.0)}

    def scorer(_vlm, plans, scored, **_):  # type: ignore[no-untyped-def]
        nll = np.array([[1 + sum(costs[i][0 if m else 1] for i in p.dropped) for m in math] for p in plans])
        return forest.PlanScores(tuple(plans), tuple(s.sample_id for s in scored), nll < 0, nll, 0)

    monkeypatch.setattr(forest, "score_plans", scorer)
    *_, order = greedy_orders(random_vlm(), samples)
    assert order.layers == (4, 1, 2, 3)
    assert order.losses == (1.0, 2.0, 3.0, 4.5, np.inf)


def test_a_damaged_order_is_refused() -> None:
    for layers, losses in (((1, 1), (0.1, 0.2, 0.3)), ((1, 0), (0.1, 0.2, 0.3)), ((1, 2), (0.1, 0.2))):
        with pytest.raises(CalibrationError, match="damaged greedy order"):
            GreedyOrder(layers, losses, (0, 5), "hash", (("math", 1),))
