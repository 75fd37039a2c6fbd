"""KL and likelihood of a given answer, against what the logits say by hand."""

from dataclasses import replace

import pytest
import torch

from core.errors import PlanError
from core.records.plan import PruningPlan
from core.vlm.divergence import compare_on_answer
from core.vlm.encoding import encode_samples
from core.vlm.forest import score_plans
from tests.models import random_vlm, some_samples

SAMPLE = replace(some_samples()[1], answer="7 + 8 = 15")


def test_dropping_nothing_diverges_nowhere() -> None:
    found = compare_on_answer(random_vlm(), PruningPlan("random", 6, ()), SAMPLE)
    assert found.kl == pytest.approx([0.0] * len(found.kl), abs=1e-6)
    assert found.full_nll == found.plan_nll
    assert "".join(found.tokens) == "7 + 8 = 15<|end|>"


def test_likelihoods_are_those_of_the_forest_and_kl_is_torch_s() -> None:
    vlm, plan = random_vlm(), PruningPlan("random", 6, (2, 4))
    found = compare_on_answer(vlm, plan, SAMPLE)
    expected = score_plans(vlm, [plan], [SAMPLE]).gold_nll[0, 0]
    assert sum(found.plan_nll) / len(found.plan_nll) == pytest.approx(expected, abs=1e-5)
    batch = encode_samples(vlm, [SAMPLE])
    at = batch.answer[0].nonzero()[:, 0] - 1
    from core.vlm.view import pruned_view

    with torch.inference_mode():
        p = torch.distributions.Categorical(logits=vlm.model(**batch.inputs).logits[0, at])
        q = torch.distributions.Categorical(logits=pruned_view(vlm.model, (2, 4))(**batch.inputs).logits[0, at])
        assert found.kl == pytest.approx(torch.distributions.kl_divergence(p, q).tolist(), abs=1e-5)
    assert max(found.kl) > 0.01


def test_a_plan_of_another_depth_is_refused() -> None:
    with pytest.raises(PlanError, match="16 layers"):
        compare_on_answer(random_vlm(), PruningPlan("tiny", 16, (2,)), SAMPLE)
