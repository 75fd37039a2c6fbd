"""Batches that fit into memory: sized by an estimate, and halved where the machine says no."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from transformers import PreTrainedModel

from core.errors import MemoryLimitError
from core.pruning.cost import HEADROOM
from core.pruning.trie import held_values
from core.records.samples import Sample
from core.vlm.encoding import Batch, encode_samples, sample_batches
from core.vlm.loading import VLM

R = TypeVar("R")
MIB = 2**20
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
        result, why = None, "memory ran out"
        try:
            batch = encode_samples(vlm, [samples[i] for i in rows])
            heads = head_rows(vlm.model, memory_bytes)
            if memory_bytes is None or (needed := peak_bytes(vlm.model, batch.inputs, heads)) <= memory_bytes:
                result = score(batch)
            else:
                why = f"it takes about {needed / MIB:,.1f} MiB beside the model, the limit is {memory_bytes / MIB:,.1f}"
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
            raise MemoryLimitError(
                f"not even one sample at a time can be scored: {why}; raise --memory, free some, or load the model in "
                "a smaller dtype or on a larger device"
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

    One live state for every two layers, what a layer makes on the way, masks (and scores, where attention is not
    fused), and logits; or the vision tower, which runs before, if that takes more.
    """
    text, width = model.config.get_text_config(decoder=True), model.dtype.itemsize
    batch, tokens = inputs["input_ids"].shape
    fused = text._attn_implementation != "eager"
    states = (held_values(text.num_hidden_layers) + 2) * batch * tokens * text.hidden_size * width
    # scores and their softmax in float32; or a mask in bits and one to add
    pairs = batch * tokens**2 * (1 + width if fused else text.num_attention_heads * (2 * width + 4))
    walk = states + batch * tokens * _work_bytes(text, width) + pairs + rows_in_head * _logit_bytes(model)
    pixels = sum(v.numel() for name, v in inputs.items() if name.startswith("pixel_values"))
    tower = getattr(model.config, "vision_config", None)
    patches = pixels // (3 * _largest(tower, "patch_size", default=14) ** 2)
    vision = pixels * width + patches * _work_bytes(tower, width) + 3 * batch * tokens * text.hidden_size * width
    return sum(v.nbytes for v in inputs.values()) + int(HEADROOM * max(walk, vision))


def allocated_bytes(run: Callable[[], Any]) -> int:
    """Peak of what torch allocates while `run` runs, counted from its start; on the CPU by the profiler's events."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    return max(accumulate(e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())), default=0)


def _work_bytes(config: Any, width: int) -> int:
    """What one layer holds for a token while it runs: copies of the state (norms in float32), and its MLP's inside."""
    size = _largest(config, "hidden_size", "embed_dim", default=1024)
    inner = _largest(config, "moe_intermediate_size", "intermediate_size", default=4 * size)
    return (4 * size + 3 * _largest(config, "num_experts_per_tok", default=1) * inner) * width + 2 * size * 4


def _largest(config: Any, *names: str, default: int) -> int:
    """The first of these settings that is stated; some are one number for each side, or for each layer."""
    stated = next((value for name in names if (value := getattr(config, name, None))), default)
    return int(max(stated) if isinstance(stated, (list, tuple)) else stated)


def _logit_bytes(model: PreTrainedModel) -> int:
    """Of one position: logits, in float32 if they were not, and their logarithms."""
    return int(3 * 4 * model.config.get_text_config(decoder=True).vocab_size)
