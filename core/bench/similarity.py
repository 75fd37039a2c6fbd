"""Bench of the atlas: every span, token kind and domain out of one pass, against passes that others make."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.bench.timing import Case, Row, run_case
from core.scenes.samples import DOMAINS, draw_samples

if TYPE_CHECKING:
    from core.vlm import VLM

SAMPLES, BATCH = 64, 32


def bench(vlm: "VLM", rounds: int) -> Iterator[Row]:
    """Two rows: against the usual way, and what it costs on top of the model's forward alone."""
    import numpy as np
    import torch

    from core.vlm.encoding import encode_samples, sample_batches
    from core.vlm.similarity import compute_atlas

    samples = draw_samples("calibration", 0, SAMPLES)
    by_domain = {d: [s for s in samples if s.domain == d] for d in DOMAINS}
    ordered = [s for d in by_domain.values() for s in d]

    def ours() -> Any:
        return compute_atlas(vlm, by_domain, batch_size=BATCH)

    def usual() -> Any:
        rows = []
        for length in (1, 2, 3):
            for sample in ordered:
                states = vlm.model(**encode_samples(vlm, [sample]).inputs, output_hidden_states=True).hidden_states
                states = [s[0].float().cpu() for s in states]
                pairs = zip(states[:-length], states[length:], strict=True)
                rows.append([float(torch.cosine_similarity(a, b, dim=-1).mean()) for a, b in pairs])
        return rows

    def agree(atlas: Any, rows: Any) -> bool:
        # the usual way is wrong where a span ends with the last layer: there it compares with the normed state
        found = [atlas.values[i % len(ordered), 0, : len(row) - 1, i // len(ordered)] for i, row in enumerate(rows)]
        within = 1e-4 if vlm.model.dtype == torch.float32 else 2e-2
        return all(np.allclose(f, row[:-1], atol=within) for f, row in zip(found, rows, strict=True))

    way = "one pass per span length 1 to 3, per sample, output_hidden_states moved to the host"
    yield run_case(Case("similarity", ours, usual, agree, way), rounds)

    def bare() -> Any:
        for rows in sample_batches(ordered, BATCH):
            batch = encode_samples(vlm, [ordered[i] for i in rows])
            logits = vlm.model(**batch.inputs, use_cache=False, logits_to_keep=1).logits
        return float(logits.float().sum())  # waits for the device

    def finite(atlas: Any, total: float) -> bool:
        return bool(np.isfinite(atlas.values[:, 0, :, 0]).all() and np.isfinite(total))

    way = "the same batches through the model, nothing computed from its states"
    yield run_case(Case("similarity, over a bare forward", ours, bare, finite, way, _cost), rounds)


def _cost(_ours: Any, _reference: Any) -> Row:
    return {"note": "the inverse of the ratio is what the similarities cost; both encode the samples"}
