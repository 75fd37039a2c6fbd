"""Similarity of decoder layers on calibration samples: every span of every length out of one forward pass.

States are taken by hooks on the layers: `output_hidden_states` gives the last layer's output only behind the final
norm, and with DeepStack the next layer's input is not this layer's output.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from core.errors import CalibrationError
from core.pruning.atlas import TOKEN_KINDS, CalibrationSample, SimilarityAtlas
from core.records.samples import Sample
from core.vlm.encoding import Batch, encode_samples, sample_batches
from core.vlm.loading import VLM, decoder_layers

Progress = Callable[[int, int], None]
CHUNK_BYTES = 2**21, 2**28  # of states compared at a time: what a CPU's caches hold; what keeps a GPU busy


@contextmanager
def layer_states(model: PreTrainedModel) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """While open, forwards fill two lists: the input and the output of every decoder layer, each (B, T, D)."""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []

    def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        inputs.append(args[0] if args else kwargs["hidden_states"])
        outputs.append(output[0] if isinstance(output, tuple) else output)

    handles = [layer.register_forward_hook(hook, with_kwargs=True) for layer in decoder_layers(model)]
    try:
        yield inputs, outputs
    finally:
        for handle in handles:
            handle.remove()


def span_similarities(inputs: list[Tensor], outputs: list[Tensor], masks: Tensor) -> Tensor:
    """Mean cosine between span inputs and span outputs over the tokens of each kind.

    Args:
        inputs, outputs: L tensors (B, T, D), states before and after each layer.
        masks: (B, K, T) bool, the tokens of each kind.
    Returns:
        (B, K, L, L) float32; [b, k, i, n - 1] = mean over tokens of cos(x_i, y_{i+n-1}); NaN where there is no such
        span or no such token.
    """
    # what one layer hands to the next is one tensor, unless visual features are added in between
    states = list({id(s): s.flatten(0, 1) for s in (*inputs, *outputs)}.items())
    place = {name: n for n, (name, _) in enumerate(states)}
    starts, ends = ([place[id(s)] for s in side] for side in (inputs, outputs))
    n_layers, n_tokens = len(inputs), masks.shape[0] * masks.shape[2]
    cosines = torch.empty(n_tokens, n_layers, n_layers, device=masks.device)
    size = max(1, CHUNK_BYTES[masks.device.type == "cuda"] // (4 * len(states) * inputs[0].shape[-1]))
    for rows in (slice(start, start + size) for start in range(0, n_tokens, size)):
        # layers may lie on several devices
        vectors = torch.stack([s[rows].to(masks.device).float() for _, s in states], 1)  # (N, M, D)
        products = vectors @ vectors.mT
        norms = products.diagonal(dim1=1, dim2=2).sqrt().clamp_min(1e-12)
        cosines[rows] = (products / norms[:, :, None] / norms[:, None, :])[:, starts][:, :, ends]
    cosines = cosines.unflatten(0, (masks.shape[0], -1))  # (B, T, L, L): start i by last layer j
    weights = masks.float()
    weights = weights / weights.sum(2, keepdim=True)  # NaN for a kind without tokens
    means = torch.einsum("bkt,btij->bkij", weights, cosines)
    by_length = torch.full_like(means, float("nan"))
    for start in range(n_layers):
        by_length[:, :, start, : n_layers - start] = means[:, :, start, start:]
    return by_length


def kind_masks(batch: Batch) -> Tensor:
    """(B, K, T) bool: the tokens of each of TOKEN_KINDS."""
    kinds = {
        "all": batch.inputs["attention_mask"].bool(),
        "image": batch.image,
        "prompt": batch.prompt,
        "answer": batch.answer,
        "last": batch.last,
    }
    return torch.stack([kinds[k] for k in TOKEN_KINDS], 1)


def compute_atlas(
    vlm: VLM,
    samples_by_domain: Mapping[str, Sequence[Sample]],
    *,
    batch_size: int = 32,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SimilarityAtlas:
    """Run the calibration samples once and keep the similarity of every span, per sample and token kind.

    Args:
        progress: called with (samples done, samples in all) after each batch.
        should_stop: asked before each batch; a stop raises CalibrationError, since half an atlas would mislead.
    """
    samples = [s for domain in samples_by_domain.values() for s in domain]
    labels = [name for name, domain in samples_by_domain.items() for _ in domain]
    if not samples:
        raise CalibrationError("no calibration samples: give at least one per domain")
    n_layers = vlm.spec.n_layers
    values = np.full((len(samples), len(TOKEN_KINDS), n_layers, n_layers), np.nan, np.float32)
    n_tokens = np.zeros((len(samples), len(TOKEN_KINDS)), np.int32)
    done = 0
    for rows in sample_batches(samples, batch_size):
        if should_stop is not None and should_stop():
            raise CalibrationError(f"calibration stopped after {done} of {len(samples)} samples; nothing was saved")
        batch = encode_samples(vlm, [samples[i] for i in rows])
        masks = kind_masks(batch)
        # without a gold answer there is only its end token, which says nothing of answers
        masks[[not samples[i].answer for i in rows], TOKEN_KINDS.index("answer")] = False
        with torch.inference_mode(), layer_states(vlm.model) as (inputs, outputs):
            vlm.model(**batch.inputs, use_cache=False, logits_to_keep=1)
            values[rows] = span_similarities(inputs, outputs, masks).cpu().numpy()
        n_tokens[rows] = masks.sum(2).cpu().numpy()
        done += len(rows)
        if progress is not None:
            progress(done, len(samples))
    return SimilarityAtlas(
        model_id=vlm.spec.model_id,
        revision=vlm.spec.revision,
        n_layers=n_layers,
        structural=vlm.spec.structural,
        samples=tuple(
            CalibrationSample(s.sample_id, label, s.task, s.source) for s, label in zip(samples, labels, strict=True)
        ),
        values=values,
        n_tokens=n_tokens,
        device=device_name(vlm),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def device_name(vlm: VLM) -> str:
    """What the model ran on, for provenance."""
    if vlm.device.type == "cuda":
        return torch.cuda.get_device_name(vlm.device)
    return f"CPU, {torch.get_num_threads()} threads"
