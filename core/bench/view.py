"""Bench of the view: from a plan to a usable model, against loading a pruned checkpoint."""

import tracemalloc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.bench.timing import Case, Row, run_case
from core.data.samples import draw_samples

if TYPE_CHECKING:
    from core.vlm import VLM

OPEN = 8  # views at a time, whose memory is counted


def bench(vlm: "VLM", rounds: int) -> Iterator[Row]:
    """One row; it also says what eight open views take on top of the weights."""
    import tempfile

    import torch
    from transformers import AutoModelForImageTextToText

    from core.vlm.encoding import encode_samples
    from core.vlm.view import pruned_view

    dropped = tuple(range(max(1, len(vlm.spec.structural)), vlm.spec.n_layers, 3))
    inputs = encode_samples(vlm, draw_samples("test", 0, 1)).inputs
    with tempfile.TemporaryDirectory() as folder:
        pruned_view(vlm.model, dropped).save_pretrained(folder)

        def ours() -> Any:
            return pruned_view(vlm.model, dropped)

        def reload() -> Any:
            return AutoModelForImageTextToText.from_pretrained(folder, dtype=vlm.model.dtype).to(vlm.device).eval()

        def agree(view: Any, reloaded: Any) -> bool:
            return torch.equal(view(**inputs).logits, reloaded(**inputs).logits)

        way = "from_pretrained of the pruned checkpoint, local disk, warm file cache"
        yield run_case(Case("view", ours, reload, agree, way, lambda *_: _memory_of_views(vlm)), rounds)


def _memory_of_views(vlm: "VLM") -> Row:
    """What open views take: tensors that are not the model's own, and Python's objects."""
    from core.vlm.view import pruned_view

    def storages(model: Any) -> dict[int, int]:
        tensors = [*model.parameters(), *model.buffers()]
        return {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors)}

    own = storages(vlm.model)
    n, first = vlm.spec.n_layers, max(1, len(vlm.spec.structural))
    tracemalloc.start()
    views = [pruned_view(vlm.model, range(first, min(first + k, n - 1))) for k in range(1, OPEN + 1)]
    objects = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    copied = sum(size for view in views for place, size in storages(view).items() if place not in own)
    weights = sum(own.values())
    return {
        "views_open": OPEN,
        "copied_weights_bytes": copied,
        "python_objects_bytes": objects,
        "weights_bytes": weights,
        "extra_memory_share": (copied + objects) / weights,
    }
