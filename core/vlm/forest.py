"""The forest: many plans scored on the same items, each shared stretch of computation done once.

Plans that keep the same first layers compute the same thing up to where they part. One forward of the full model tapes
the arguments that each layer receives; a depth-first walk over the trie of kept layers then calls the layers directly
and turns each finished state into outcomes. Memory is depth times one batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel

from core.errors import PlanError
from core.pruning.trie import Kept, shared_layers, walk
from core.records.answers import ItemAnswer
from core.records.plan import PruningPlan
from core.records.samples import Sample
from core.vlm.encoding import Batch, end_token_ids
from core.vlm.loading import VLM, decoder_layers
from core.vlm.memory import HEAD_ROWS, fitting_batches, head_rows
from core.vlm.similarity import Progress
from core.vlm.tape import Tail, tape_forward
from core.vlm.view import pruned_view


@dataclass(frozen=True)
class PlanScores:
    """Outcomes of P plans on S samples.

    Attributes:
        correct: (P, S) bool, greedy exact match.
        gold_nll: (P, S) float64, mean negative log-likelihood of the gold answer's tokens, nats per token; that it
            ends there, with whichever end token, counts as one of them.
        layer_passes: decoder layer calls made, over all batches.
        answers: by plan and sample, where answers were written freely; None where a stop came first.
    """

    plans: tuple[PruningPlan, ...]
    sample_ids: tuple[str, ...]
    correct: NDArray[np.bool_]
    gold_nll: NDArray[np.float64]
    layer_passes: int
    answers: tuple[tuple[ItemAnswer | None, ...], ...] | None = None


def score_plans(
    vlm: VLM,
    plans: Sequence[PruningPlan],
    samples: Sequence[Sample],
    *,
    batch_size: int | None = None,
    memory_bytes: int | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> PlanScores:
    """Greedy exact match and gold NLL of every plan on every sample.

    Args:
        batch_size: samples at a time, at most; by default what suits the device.
        memory_bytes: what scoring may take on top of the loaded model; batches are made smaller to keep to it. With or
            without it, a batch that runs out of memory is halved and tried again.
        progress: called with (samples done, samples in all) after each batch.
        should_stop: asked before each batch; samples not reached keep NaN as their NLL.
    Raises:
        PlanError: a plan of another depth, or one that drops structural layers.
        MemoryLimitError: not even one sample at a time fits.
    """
    check_plans(vlm, plans)
    distinct = list(dict.fromkeys(p.kept for p in plans))
    correct = np.zeros((len(distinct), len(samples)), bool)
    nll = np.full((len(distinct), len(samples)), np.nan)
    done = passes = 0
    size = batch_size or default_batch_size(vlm)
    tail, rows_in_head = Tail(vlm.model), head_rows(vlm.model, memory_bytes)

    def score(batch: Batch) -> tuple[NDArray[np.bool_], NDArray[np.float64], int]:
        with torch.inference_mode():
            return batch_outcomes(vlm.model, tail, distinct, batch, rows_in_head)

    for rows, (hits, losses, calls) in fitting_batches(vlm, samples, score, size, memory_bytes, should_stop):
        correct[:, rows], nll[:, rows] = hits, losses
        passes += calls
        done += len(rows)
        if progress is not None:
            progress(done, len(samples))
    place = {kept: row for row, kept in enumerate(distinct)}
    order = [place[p.kept] for p in plans]
    return PlanScores(tuple(plans), tuple(s.sample_id for s in samples), correct[order], nll[order], passes)


def default_batch_size(vlm: VLM) -> int:
    """On the CPU few samples: more are no faster, since their states leave the caches."""
    return 8 if vlm.device.type == "cpu" else 64


def check_plans(vlm: VLM, plans: Sequence[PruningPlan]) -> None:
    """Refuse plans that a walk over the model's layers cannot follow."""
    for plan in plans:
        if plan.n_layers != vlm.spec.n_layers:
            raise PlanError(f"the plan is for {plan.n_layers} layers, {vlm.spec.model_id} has {vlm.spec.n_layers}")
        if lost := sorted(set(plan.dropped) & set(vlm.spec.structural)):
            raise PlanError(f"{vlm.spec.model_id} takes visual features in at layer {lost[0]}: plans must keep it")


def batch_outcomes(
    model: PreTrainedModel, tail: Tail, kept: Sequence[Kept], batch: Batch, rows_in_head: int = HEAD_ROWS
) -> tuple[NDArray[np.bool_], NDArray[np.float64], int]:
    """(P, B) exact match, (P, B) mean gold NLL and the layer calls made, of distinct plans given by their kept layers.

    The greedy answer equals the gold tokens if and only if, with the gold answer teacher-forced, the argmax at every
    answer position is the gold token, where any token that ends an answer is as good as another: chat models end a turn
    with one that is not their tokenizer's.

    Args:
        rows_in_head: positions, of one or several plans, that the head turns into logits at a time.
    """
    rows, columns = batch.answer.nonzero(as_tuple=True)
    gold = batch.inputs["input_ids"][rows, columns]
    ends = torch.tensor(sorted(end_token_ids(model)), dtype=torch.long)
    layers, last_layers = decoder_layers(model), _narrow_layers(model, (rows, columns - 1))
    tape = tape_forward(model, {**batch.inputs, "use_cache": False}, min(shared_layers(kept), len(layers) - 1))
    passes = tape.start

    def step(index: int, state: Tensor, last: bool) -> Tensor:
        nonlocal passes
        passes += 1
        return tape.run((last_layers if last else layers)[index], index, state)

    order: list[int] = []
    waiting: list[Tensor] = []  # (N, D) states that predict the answers of one plan each
    totals: list[Tensor] = []  # (2, plans, B) wrong tokens and NLL

    def finish() -> None:
        states, golds = torch.cat(waiting), gold.repeat(len(waiting))
        parts = zip(states.split(rows_in_head), golds.split(rows_in_head), strict=True)
        tokens = torch.cat([_wrong_and_nll(tail.logits(s), g, ends) for s, g in parts], 1).view(2, len(waiting), -1)
        sums = tokens.new_zeros(2, len(waiting), len(batch.answer))
        totals.append(sums.index_add_(2, rows.to(sums.device), tokens))
        waiting.clear()

    for state, (plan,) in walk(kept, tape.state, tape.start, step):
        order.append(plan)
        waiting.append(state[rows.to(state.device), columns.to(state.device) - 1])
        if len(waiting) * len(rows) >= rows_in_head:
            finish()
    if waiting:
        finish()
    wrong, nll = torch.cat(totals, 1)[:, torch.tensor(order).argsort()].double().cpu().numpy()
    return wrong == 0, nll / batch.answer.sum(1).cpu().numpy(), passes


def _wrong_and_nll(logits: Tensor, gold: Tensor, ends: Tensor) -> Tensor:
    """(2, N): whether the greedy token is another one than gold, and the gold token's NLL; all `ends` are one token."""
    gold, ends = gold.to(logits.device), ends.to(logits.device)
    greedy, logs = logits.argmax(-1), logits.log_softmax(-1)
    nll, last = -logs.gather(1, gold[:, None])[:, 0], torch.isin(gold, ends)
    nll[last] = -logs[last][:, ends].logsumexp(1)
    return torch.stack([((greedy != gold) & ~(last & torch.isin(greedy, ends))).float(), nll])


def _narrow_layers(model: PreTrainedModel, positions: tuple[Tensor, Tensor]) -> nn.ModuleList:
    """Layers for the end of a plan, where few positions are read: MLPs, which work token by token, run there only.

    Not in half precision, where a product of other size rounds differently: outcomes shall be the view's own.
    """
    if model.dtype not in (torch.float32, torch.float64):
        return decoder_layers(model)
    layers = decoder_layers(pruned_view(model, ()))
    for layer in layers:
        if isinstance(mlp := getattr(layer, "mlp", None), nn.Module):
            layer.mlp = _AtPositions(mlp, positions)
    return layers


class _AtPositions(nn.Module):
    """An MLP that runs at (rows, columns) of a batch, and gives zeros elsewhere."""

    def __init__(self, mlp: nn.Module, positions: tuple[Tensor, Tensor]):
        super().__init__()
        self.mlp, self.positions = mlp, positions

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        where = tuple(p.to(hidden_states.device) for p in self.positions)
        found = self.mlp(hidden_states[where][None], *args, **kwargs)
        if not isinstance(found, Tensor):  # a router's choices come with it
            return self.mlp(hidden_states, *args, **kwargs)
        out = torch.zeros_like(hidden_states)
        out[where] = found[0]
        return out
