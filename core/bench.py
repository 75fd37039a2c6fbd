"""Speed as a ratio: ours and a reference in turn, in one process, on the same inputs, after checking that they agree.

Each case hands out two callables and a check; `run_case` times them alternately, so that a noisy machine hits both.
"""

import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.data.samples import DOMAINS, draw_samples
from core.errors import StrataError, suggest

if TYPE_CHECKING:
    from core.pruning.plan import PruningPlan
    from core.vlm import VLM
    from core.vlm.encoding import Batch

ROUNDS = 3
FOREST_PLANS, FOREST_BATCHES = 150, 4


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
    cpu_times: dict[str, list[float]] = {"ours": [], "reference": []}
    for _ in range(rounds):
        for side, call in (("ours", case.ours), ("reference", case.reference)):
            started, cpu_started = time.perf_counter(), time.process_time()
            call()
            times[side].append(time.perf_counter() - started)
            cpu_times[side].append(time.process_time() - cpu_started)
    ours_s, reference_s = (statistics.median(times[side]) for side in ("ours", "reference"))
    ours_cpu_s, reference_cpu_s = (statistics.median(cpu_times[side]) for side in ("ours", "reference"))
    more = case.more(ours, reference)
    if "bound" in more:
        more["of_bound"] = reference_s / ours_s / more["bound"]
    return {
        "name": case.name,
        "ours_s": ours_s,
        "reference_s": reference_s,
        "ratio": reference_s / ours_s,
        "cpu_ratio": reference_cpu_s / ours_cpu_s,  # of processor time, which other work on the machine sways less
        "agree": case.agree(ours, reference),
        "reference": case.reference_is,
        "rounds": rounds,
        "ours_range_s": [min(times["ours"]), max(times["ours"])],
        "reference_range_s": [min(times["reference"]), max(times["reference"])],
        **more,
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
    """The plans of a sweep on items of both domains: the forest, against warm views one by one."""
    import numpy as np

    from core.pruning.trie import trie_layers
    from core.vlm.encoding import encode_samples, sample_batches
    from core.vlm.forest import default_batch_size, score_plans
    from core.vlm.view import pruned_view

    plans = _plans_of_a_sweep(vlm)
    size = default_batch_size(vlm)
    samples = draw_samples("test", 0, FOREST_BATCHES * size)
    batches = list(sample_batches(samples, size))
    views = [pruned_view(vlm.model, p.dropped) for p in plans]

    def one_by_one() -> Any:
        correct = np.ones((len(plans), len(samples)), bool)
        for items in batches:
            batch = encode_samples(vlm, [samples[i] for i in items])
            rows, columns = batch.answer.nonzero(as_tuple=True)
            for row, view in zip(correct, views, strict=True):
                logits = view(**batch.inputs, use_cache=False).logits[rows, columns - 1]
                wrong = logits.argmax(-1) != batch.inputs["input_ids"][rows, columns]
                row[np.array(items)[rows[wrong].cpu().numpy()]] = False
        return correct

    def more(ours: Any, _reference: Any) -> dict[str, Any]:
        nodes, layers = len(trie_layers(plans)), sum(len(p.kept) for p in plans)
        return {
            "plans": len(plans),
            "items": len(samples),
            "batches": len(batches),
            "layer_passes": ours.layer_passes,
            "trie_nodes": nodes,
            "layer_passes_one_by_one": layers * len(batches),
            "bound_passes": layers / nodes,
            "bound": _forest_bound(vlm, plans, [encode_samples(vlm, [samples[i] for i in b]) for b in batches]),
        }

    yield Case(
        "forest",
        lambda: score_plans(vlm, plans, samples, batch_size=size),
        one_by_one,
        lambda ours, reference: bool((ours.correct == reference).all()),
        "each plan's view over the same batches, nothing reloaded, views made before; both encode each batch once",
        more,
    )


def _plans_of_a_sweep(vlm: "VLM") -> "list[PruningPlan]":
    """Distinct plans: every criterion at every budget that leaves five layers, and few random ones, 150 if possible."""
    from core.data.questions import domain_tasks
    from core.errors import CalibrationError
    from core.pruning import list_criteria
    from core.runs.library import load_atlas
    from core.runs.sweep import sweep_plans
    from core.vlm.similarity import compute_atlas

    try:
        atlas = load_atlas(vlm.spec.model_id, vlm.spec.revision)
    except CalibrationError:
        atlas = compute_atlas(vlm, {d: draw_samples("calibration", 0, 8, domain_tasks(d)) for d in DOMAINS})
    names = [c.name for c in list_criteria()]
    plans: dict[str, PruningPlan] = {}
    for n_random in range(16):
        plans = {p.plan_id: p for p in sweep_plans(atlas, names, range(1, max(vlm.spec.n_layers - 4, 2)), n_random)}
        if len(plans) >= FOREST_PLANS:
            break
    return list(plans.values())


def _forest_bound(vlm: "VLM", plans: "Sequence[PruningPlan]", batches: "Sequence[Batch]") -> float:
    """The ratio of the FLOPs of both ways: vision once a batch, the trie's nodes, the head where it is needed.

    What is measured may exceed it: behind a plan's last layer most of the MLP's work is left out, which is not counted.
    """
    from core.pruning.cost import estimate_cost
    from core.pruning.plan import PruningPlan
    from core.pruning.trie import trie_layers
    from core.vlm.anatomy import compute_anatomy

    n_layers, nodes = vlm.spec.n_layers, trie_layers(plans)
    anatomy = compute_anatomy(vlm.model.config)
    single = [PruningPlan("", n_layers, tuple({*range(n_layers)} - {i})) for i in range(n_layers)]
    forest = one_by_one = 0
    for batch in batches:
        n, tokens = batch.answer.shape
        image = int(batch.image[0].sum())

        def flops(plan: PruningPlan, n: int = n, tokens: int = tokens, image: int = image) -> Any:
            cost = estimate_cost(anatomy, plan, prompt_tokens=tokens - image, image_tokens=image, new_tokens=1, batch=n)
            return cost.prefill_flops

        layer = [flops(plan) for plan in single]
        shared, head = layer[0].vision + layer[0].projector, layer[0].head / n
        one_by_one += sum(shared + flops(p).decoder + head * n * tokens for p in plans)
        forest += shared + sum(layer[i].decoder for i in nodes) + head * int(batch.answer.sum()) * len(plans)
    return one_by_one / forest


CASES = {"similarity": _similarity, "view": _view, "forest": _forest}
