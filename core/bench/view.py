"""Bench of the view: from a plan to a usable model, against loading a pruned checkpoint."""

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from core.bench.timing import Case, Row, run_case
from core.scenes.samples import draw_samples

if TYPE_CHECKING:
    from core.vlm import VLM

OPEN = 8  # plans at a time, whose memory is counted


def bench(vlm: "VLM", rounds: int) -> Iterator[Row]:
    """One row; it also says what eight open plans take on top of the weights."""
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
        yield run_case(Case("view", ours, reload, agree, way, lambda *_: _memory_of_open_plans(vlm)), rounds)


def _memory_of_open_plans(vlm: "VLM") -> Row:
    """What open plans take on top of the weights: as models of their own, and answering one question in step.

    Tensors that are not the model's own, and Python's objects; keys and values belong to the answers.
    """
    from core.vlm.in_step import InStep
    from core.vlm.prompt import prefills, prepare_prompt
    from core.vlm.view import pruned_view

    def storages(model: Any) -> dict[int, int]:
        tensors = [*model.parameters(), *model.buffers()]
        return {s.data_ptr(): s.nbytes() for s in (t.untyped_storage() for t in tensors)}

    own = storages(vlm.model)
    weights = sum(own.values())
    n, first = vlm.spec.n_layers, max(1, len(vlm.spec.structural))
    dropped = [range(first, min(first + k, n - 1)) for k in range(1, OPEN + 1)]
    with _traced() as objects:
        views = [pruned_view(vlm.model, d) for d in dropped]

    sample = draw_samples("test", 0, 1)[0]
    prompt = prepare_prompt(vlm, sample.image, sample.question)
    kept = [tuple(i for i in range(n) if i not in d) for d in dropped]
    made = dict(prefills(vlm.model, kept, prompt))
    with _traced() as in_step:
        steps = InStep(vlm.model, prompt, kept, [made[i].cache_layers for i in range(OPEN)])
        steps.logits([0] * OPEN)
    opened = [*views, steps.view]
    copied = sum(size for view in opened for place, size in storages(view).items() if place not in own)
    return {
        "plans_open": OPEN,
        "copied_weights_bytes": copied,
        "weights_bytes": weights,
        "views_bytes": objects[0],
        "views_share": objects[0] / weights,
        "in_step_bytes": in_step[0],
        "in_step_share": in_step[0] / weights,
    }


@contextmanager
def _traced() -> Iterator[list[int]]:
    """Bytes that Python allocated meanwhile and still holds at the end."""
    held: list[int] = []
    tracemalloc.start()
    try:
        yield held
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
