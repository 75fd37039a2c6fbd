"""Speed as a ratio: ours and a reference in turn, in one process, on the same inputs, after checking that they agree.

Each case hands out two callables and a check; `run_case` times them alternately, so that a noisy machine hits both.
"""

import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.data.samples import DOMAINS, draw_samples
from core.errors import StrataError, suggest

if TYPE_CHECKING:
    from core.vlm import VLM

ROUNDS = 3


@dataclass(frozen=True)
class Case:
    """Two ways to the same result. `agree` compares what they returned; `more` adds figures to the report."""

    name: str
    ours: Callable[[], Any]
    reference: Callable[[], Any]
    agree: Callable[[Any, Any], bool]
    reference_is: str
    more: Callable[[Any, Any], dict[str, Any]] = lambda _ours, _reference: {}


def run_bench(vlm: "VLM", names: list[str], rounds: int = ROUNDS) -> dict[str, Any]:
    """Run cases by name ("all" for every one) on a loaded model.

    Returns:
        {"machine": {...}, "cases": [{"name", "ours_s", "reference_s", "ratio", "agree", ...}]}; ratio = reference/ours;
        times are medians in seconds.
    """
    import torch

    for name in names:
        if name != "all" and name not in CASES:
            raise StrataError(f"unknown bench '{name}': {suggest(name, [*CASES, 'all'])}")
    chosen = list(CASES) if "all" in names else names
    cases = []
    for name in chosen:
        with torch.inference_mode(), CASES[name](vlm) as case:
            cases.append(run_case(case, rounds))
    machine = {
        "device": str(vlm.device),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "model": vlm.spec.model_id,
        "dtype": vlm.spec.dtype,
    }
    return {"machine": machine, "cases": cases}


def run_case(case: Case, rounds: int = ROUNDS) -> dict[str, Any]:
    """Check agreement on a first, untimed run of both; then time them in turn."""
    ours, reference = case.ours(), case.reference()
    times: dict[str, list[float]] = {"ours": [], "reference": []}
    for _ in range(rounds):
        for side, call in (("ours", case.ours), ("reference", case.reference)):
            started = time.perf_counter()
            call()
            times[side].append(time.perf_counter() - started)
    ours_s, reference_s = (statistics.median(times[side]) for side in ("ours", "reference"))
    return {
        "name": case.name,
        "ours_s": ours_s,
        "reference_s": reference_s,
        "ratio": reference_s / ours_s,
        "agree": case.agree(ours, reference),
        "reference": case.reference_is,
        "rounds": rounds,
        "ours_range_s": [min(times["ours"]), max(times["ours"])],
        "reference_range_s": [min(times["reference"]), max(times["reference"])],
        **case.more(ours, reference),
    }


# ------------------------------------------------------------------------------------------------ cases


@contextmanager
def _similarity(vlm: "VLM") -> Iterator[Case]:
    """All spans, kinds and domains in one pass, against one pass per span length with output_hidden_states."""
    import numpy as np
    import torch

    from core.vlm.encoding import encode_samples
    from core.vlm.similarity import compute_atlas

    samples = draw_samples("calibration", 0, 64)
    by_domain = {d: [s for s in samples if s.domain == d] for d in DOMAINS}
    ordered = [s for d in by_domain.values() for s in d]

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
        return all(np.allclose(f, row[:-1], atol=1e-4) for f, row in zip(found, rows, strict=True))

    yield Case(
        "similarity",
        lambda: compute_atlas(vlm, by_domain),
        usual,
        agree,
        "one pass per span length 1 to 3, per sample, output_hidden_states moved to the host",
    )


@contextmanager
def _view(vlm: "VLM") -> Iterator[Case]:
    """From a plan to a usable model: a view, against loading a pruned checkpoint."""
    import tempfile

    import torch
    from transformers import AutoModelForImageTextToText

    from core.vlm.encoding import encode_samples
    from core.vlm.view import pruned_view

    dropped = tuple(range(1, vlm.spec.n_layers, 3))
    inputs = encode_samples(vlm, draw_samples("test", 0, 1)).inputs
    with tempfile.TemporaryDirectory() as folder:
        pruned_view(vlm.model, dropped).save_pretrained(folder)

        def reload() -> Any:
            return AutoModelForImageTextToText.from_pretrained(folder, dtype=vlm.model.dtype).to(vlm.device).eval()

        yield Case(
            "view",
            lambda: pruned_view(vlm.model, dropped),
            reload,
            lambda ours, reference: torch.equal(ours(**inputs).logits, reference(**inputs).logits),
            "from_pretrained of the pruned checkpoint, local disk, warm file cache",
        )


@contextmanager
def _forest(vlm: "VLM") -> Iterator[Case]:
    """Many plans on items of both domains: the forest, against warm views one by one."""
    import numpy as np

    from core.pruning.plan import PruningPlan, protected_layers
    from core.vlm.forest import answer_outcomes_of_view, score_plans, trie_nodes

    n, rng = vlm.spec.n_layers, np.random.default_rng(0)
    free = [i for i in range(n) if i not in protected_layers(n, vlm.spec.structural)]
    drops = {(): None}
    while len(drops) < min(160, 2 ** len(free) - 1):
        drops[tuple(sorted(rng.choice(free, rng.integers(1, len(free)), replace=False).tolist()))] = None
    plans = [PruningPlan(vlm.spec.model_id, n, d, "random") for d in drops]
    samples = draw_samples("test", 0, 64)  # one batch

    yield Case(
        "forest",
        lambda: score_plans(vlm, plans, samples),
        lambda: np.stack([answer_outcomes_of_view(vlm, p, samples) for p in plans]),
        lambda ours, reference: bool((ours.correct == reference).all()),
        "each plan's view over the same batches, nothing reloaded",
        lambda ours, _reference: {
            "plans": len(plans),
            "items": len(samples),
            "layer_passes": ours.layer_passes,
            "trie_nodes": trie_nodes(plans),
            "layer_passes_one_by_one": sum(len(p.kept) for p in plans),
        },
    )


CASES = {"similarity": _similarity, "view": _view, "forest": _forest}
