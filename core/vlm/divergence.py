"""How far a plan moves the model on a given answer: teacher-forced likelihood and KL divergence, token by token."""

from dataclasses import dataclass

import torch

from core.errors import PlanError
from core.records.plan import PruningPlan
from core.records.samples import Sample
from core.vlm.encoding import encode_samples
from core.vlm.loading import VLM
from core.vlm.view import pruned_view


@dataclass(frozen=True)
class Divergence:
    """One entry per token of the answer, the end token included; nats.

    Attributes:
        tokens: their texts.
        full_nll, plan_nll: negative log-likelihood of each token under the full model and under the plan.
        kl: KL(full || plan) of the next-token distributions, given the answer so far.
    """

    tokens: tuple[str, ...]
    full_nll: tuple[float, ...]
    plan_nll: tuple[float, ...]
    kl: tuple[float, ...]


def compare_on_answer(vlm: VLM, plan: PruningPlan, sample: Sample) -> Divergence:
    """Teacher-force the sample's answer (the gold one, or any text put there) through the full model and a plan.

    Raises:
        PlanError: the plan is of another depth.
    """
    if plan.n_layers != vlm.spec.n_layers:
        raise PlanError(f"the plan is for {plan.n_layers} layers, {vlm.spec.model_id} has {vlm.spec.n_layers}")
    batch = encode_samples(vlm, [sample])
    at = batch.answer[0].nonzero()[:, 0]
    gold = batch.inputs["input_ids"][0, at]
    with torch.inference_mode():
        full, pruned = (
            model(**batch.inputs, use_cache=False).logits[0, at - 1].float().log_softmax(-1)
            for model in (vlm.model, pruned_view(vlm.model, plan.dropped))
        )
        kl = (full.exp() * (full - pruned)).sum(-1)
        columns = torch.arange(len(gold), device=gold.device)
    return Divergence(
        tokens=tuple(vlm.processor.tokenizer.decode([i]) for i in gold.tolist()),
        full_nll=tuple((-full[columns, gold]).tolist()),
        plan_nll=tuple((-pruned[columns, gold]).tolist()),
        kl=tuple(kl.tolist()),
    )
