"""The forest: many plans scored on the same items, each shared stretch of computation done once.

Plans that keep the same first layers compute the same thing up to where they part. One ordinary forward of the full
model tapes the arguments that each layer receives (masks, position embeddings); a depth-first walk then calls the
layers directly, splits where plans disagree, and hands each finished state to the scorer. Memory is depth times one
batch.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from core.data.samples import Sample
from core.errors import PlanError
from core.pruning.plan import PruningPlan
from core.vlm.encoding import Batch, encode_samples, sample_batches
from core.vlm.loading import VLM, decoder_layers
from core.vlm.similarity import Progress
from core.vlm.view import pruned_view


@dataclass(frozen=True)
class PlanScores:
    """Outcomes of P plans on S samples.

    Attributes:
        correct: (P, S) bool, greedy exact match.
        gold_nll: (P, S) float64, mean negative log-likelihood of the gold answer's tokens, nats per token.
        layer_passes: decoder layer calls made for the walk, over all batches.
    """

    plans: tuple[PruningPlan, ...]
    sample_ids: tuple[str, ...]
    correct: NDArray[np.bool_]
    gold_nll: NDArray[np.float64]
    layer_passes: int


@dataclass(frozen=True)
class LayerCall:
    """What a decoder layer received in the full model's forward, apart from the hidden states."""

    hidden_states: Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def tape_layer_calls(model: PreTrainedModel, inputs: dict[str, Tensor]) -> list[LayerCall]:
    """One ordinary forward of the full model, with the arguments of every decoder layer recorded."""
    calls: list[LayerCall] = []

    def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if args:
            calls.append(LayerCall(args[0], args[1:], dict(kwargs)))
        else:
            rest = dict(kwargs)
            calls.append(LayerCall(rest.pop("hidden_states"), (), rest))

    handles = [layer.register_forward_pre_hook(hook, with_kwargs=True) for layer in decoder_layers(model)]
    try:
        model(**inputs, use_cache=False, logits_to_keep=1)
    finally:
        for handle in handles:
            handle.remove()
    return calls


class Walk:
    """Depth-first over the trie of kept layers of one batch; `passes` counts the decoder layer calls made."""

    def __init__(self, model: PreTrainedModel, calls: list[LayerCall]):
        self.layers, self.calls, self.passes = decoder_layers(model), calls, 0

    def finished(self, plans: Sequence[frozenset[int]]) -> Iterator[tuple[Tensor, list[int]]]:
        """(Final hidden state before the norm, indices of the plans it serves) for plans given by dropped layers."""
        # Up to the first layer that any plan drops, the tape already holds the state (DeepStack's injections included).
        start = first_split(plans, len(self.layers))
        yield from self._visit(self.calls[start].hidden_states, start, list(enumerate(plans)))

    def _visit(
        self, state: Tensor, layer: int, group: list[tuple[int, frozenset[int]]]
    ) -> Iterator[tuple[Tensor, list[int]]]:
        if layer == len(self.layers):
            yield state, [i for i, _ in group]
            return
        droppers = [p for p in group if layer in p[1]]
        keepers = [p for p in group if layer not in p[1]]
        if droppers:
            yield from self._visit(state, layer + 1, droppers)
        if keepers:
            call = self.calls[layer]
            out = self.layers[layer](state, *call.args, **call.kwargs)
            self.passes += 1
            yield from self._visit(out[0] if isinstance(out, tuple) else out, layer + 1, keepers)


def first_split(plans: Sequence[Collection[int]], n_layers: int) -> int:
    """The first layer that any plan drops (the last layer if none drops any)."""
    return min((min(dropped, default=n_layers - 1) for dropped in plans), default=n_layers - 1)


def trie_nodes(plans: Sequence[PruningPlan]) -> int:
    """Layer passes that the trie of these plans needs per batch: distinct kept prefixes from the first split on."""
    start = first_split([p.dropped for p in plans], plans[0].n_layers) if plans else 0
    return len({p.kept[: n + 1] for p in plans for n, layer in enumerate(p.kept) if layer >= start})


class _Given(nn.Module):
    """Stands in for a decoder layer and returns a state that is already known."""

    state: Tensor

    def forward(self, *_args: Any, **_kwargs: Any) -> Tensor:
        return self.state


class Tail:
    """What the model does behind its last decoder layer (norm, head, logit scales and caps), on finished states.

    It is the model's own forward, on a view whose only layer hands out the state: no family needs a rule of its own.
    """

    def __init__(self, model: PreTrainedModel):
        self.view = pruned_view(model, range(len(decoder_layers(model)) - 1))
        self.given = _Given()
        decoder_layers(self.view, least=1)[0] = self.given

    def logits(self, states: Tensor) -> Tensor:
        """(N, V) float32 logits of (N, D) states."""
        self.given.state = states[None]
        tokens = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
        return torch.as_tensor(self.view(input_ids=tokens, use_cache=False).logits[0]).float()


def answer_outcomes(tail: Tail, batch: Batch, state: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) exact match and (B,) mean gold NLL of a finished state; the head runs at answer positions only.

    The greedy answer equals the gold tokens if and only if, with the gold answer teacher-forced, the argmax at every
    answer position is the gold token.
    """
    rows, columns = batch.answer.nonzero(as_tuple=True)
    logits = tail.logits(state[rows, columns - 1])
    gold = batch.inputs["input_ids"][rows, columns]
    wrong = torch.zeros(batch.answer.shape[0], device=state.device)
    wrong.index_add_(0, rows, (logits.argmax(-1) != gold).float())
    nll = torch.zeros_like(wrong).index_add_(0, rows, torch.nn.functional.cross_entropy(logits, gold, reduction="none"))
    return wrong == 0, nll / batch.answer.sum(1)


def answer_outcomes_of_view(vlm: VLM, plan: PruningPlan, samples: Sequence[Sample], batch_size: int = 64) -> Any:
    """(S,) bool exact match of one plan, by running its view: the plain way, which the forest must equal."""
    view = pruned_view(vlm.model, plan.dropped)
    correct = np.zeros(len(samples), bool)
    for rows in sample_batches(samples, batch_size):
        batch = encode_samples(vlm, [samples[i] for i in rows])
        with torch.inference_mode():
            logits = view(**batch.inputs, use_cache=False).logits[:, :-1]
        right = logits.argmax(-1) == batch.inputs["input_ids"][:, 1:]
        correct[rows] = (right | ~batch.answer[:, 1:]).all(1).cpu().numpy()
    return correct


def score_plans(
    vlm: VLM,
    plans: Sequence[PruningPlan],
    samples: Sequence[Sample],
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PlanScores:
    """Greedy exact match and gold NLL of every plan on every sample.

    Args:
        progress: called with (samples done, samples in all) after each batch.
        should_stop: asked before each batch; samples not reached keep NaN as their NLL.
    """
    for plan in plans:
        if plan.n_layers != vlm.spec.n_layers:
            raise PlanError(f"the plan is for {plan.n_layers} layers, {vlm.spec.model_id} has {vlm.spec.n_layers}")
    distinct = list(dict.fromkeys(p.dropped for p in plans))
    todo = [frozenset(dropped) for dropped in distinct]
    correct = np.zeros((len(todo), len(samples)), bool)
    nll = np.full((len(todo), len(samples)), np.nan)
    done = passes = 0
    tail = Tail(vlm.model)
    for rows in sample_batches(samples, batch_size):
        if should_stop is not None and should_stop():
            break
        batch = encode_samples(vlm, [samples[i] for i in rows])
        with torch.inference_mode():
            forest = Walk(vlm.model, tape_layer_calls(vlm.model, batch.inputs))
            for state, served in forest.finished(todo):
                hit, loss = answer_outcomes(tail, batch, state)
                correct[np.ix_(served, rows)] = hit.cpu().numpy()
                nll[np.ix_(served, rows)] = loss.double().cpu().numpy()
        passes += forest.passes
        done += len(rows)
        if progress is not None:
            progress(done, len(samples))
    order = [distinct.index(p.dropped) for p in plans]
    return PlanScores(tuple(plans), tuple(s.sample_id for s in samples), correct[order], nll[order], passes)
