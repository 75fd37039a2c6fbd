"""Batches that fit into memory: sized by an estimate, and halved where the machine says no."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.data.samples import Sample
from core.errors import MemoryLimitError
from core.pruning.cost import HEADROOM
from core.vlm.encoding import Batch, encode_samples, sample_batches
from core.vlm.loading import VLM

R = TypeVar("R")
GIB = 2**30
HEAD_ROWS = 256
REFUSALS = ("DefaultCPUAllocator", "not enough memory", "out of memory", "ALLOC_FAILED")  # the last is cuBLAS's


def fitting_batches(
    vlm: VLM,
    samples: Sequence[Sample],
    score: Callable[[Batch], R],
    batch_size: int,
    memory_bytes: int | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[tuple[list[int], R]]:
    """(Indices of a batch's samples, what `score` made of the batch), until all samples are done.

    Args:
        batch_size: at most; halved whenever the estimate exceeds `memory_bytes`, or an allocation fails.
        should_stop: asked before each batch.
    Raises:
        MemoryLimitError: one sample at a time does not fit.
    """
    waiting = list(sample_batches(samples, batch_size))[::-1]
    while waiting and not (should_stop is not None and should_stop()):
        rows = waiting.pop()
        if len(rows) > batch_size:
            waiting += [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)][::-1]
            continue
        needed, result = 0, None
        try:
            batch = encode_samples(vlm, [samples[i] for i in rows])
            needed = peak_bytes(vlm.model, batch.inputs, head_rows(vlm.model, memory_bytes))
            if memory_bytes is None or needed <= memory_bytes:
                result = score(batch)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        if result is not None:
            yield rows, result
            continue
        # Here, not in the except clause: the error holds on to what the failed attempt had allocated.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(rows) == 1:
            limit = "the memory there is" if memory_bytes is None else f"a limit of {memory_bytes / GIB:.2f} GiB"
            raise MemoryLimitError(
                f"{limit} is too little to score one sample, which takes about {needed / GIB:.2f} GiB on top of the "
                "model: raise --memory, free some, or load the model in a smaller dtype or on a larger device"
            )
        batch_size = len(rows) // 2
        waiting.append(rows)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the CPU or on a GPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(r in str(error) for r in REFUSALS)


def head_rows(model: PreTrainedModel, memory_bytes: int | None = None) -> int:
    """Positions that the head turns into logits at a time: enough for a busy device, a quarter of a limit at most."""
    return HEAD_ROWS if memory_bytes is None else max(1, min(HEAD_ROWS, memory_bytes // (4 * _logit_bytes(model))))


def peak_bytes(model: PreTrainedModel, inputs: Mapping[str, Tensor], rows_in_head: int = HEAD_ROWS) -> int:
    """Estimated peak of scoring a batch with the forest, on top of the weights; meant to be on the high side.

    One live state for each layer, what a layer makes on the way, masks (and scores, where attention is not fused), and
    logits; or the vision tower, which runs before, if that takes more.
    """
    text, width = model.config.get_text_config(decoder=True), model.dtype.itemsize
    batch, tokens = inputs["input_ids"].shape
    fused = text._attn_implementation != "eager"
    states = (text.num_hidden_layers + 1) * batch * tokens * text.hidden_size * width
    # scores and their softmax in float32; or a mask in bits and one to add
    pairs = batch * tokens**2 * (1 + width if fused else text.num_attention_heads * (2 * width + 4))
    walk = states + batch * tokens * _work_bytes(text, width) + pairs + rows_in_head * _logit_bytes(model)
    pixels = sum(v.numel() for name, v in inputs.items() if name.startswith("pixel_values"))
    tower = model.config.vision_config
    patch = getattr(tower, "patch_size", 14)
    side = max(patch) if isinstance(patch, (list, tuple)) else patch
    vision = (
        pixels * width
        + pixels // (3 * side**2) * _work_bytes(tower, width)
        + 3 * batch * tokens * text.hidden_size * width
    )
    return sum(v.nbytes for v in inputs.values()) + int(HEADROOM * max(walk, vision))


def _work_bytes(config: Any, width: int) -> int:
    """What one layer holds for a token while it runs: copies of the state (norms in float32), and its MLP's inside."""
    size = next(v for name in ("hidden_size", "embed_dim") if (v := getattr(config, name, None)))
    experts = getattr(config, "num_experts_per_tok", None) or 1
    inner = getattr(config, "moe_intermediate_size", None) or getattr(config, "intermediate_size", None) or 4 * size
    return (4 * size + 3 * experts * inner) * width + 2 * size * 4


def _logit_bytes(model: PreTrainedModel) -> int:
    """Of one position: logits, in float32 if they were not, and their logarithms."""
    return int(3 * 4 * model.config.get_text_config(decoder=True).vocab_size)
