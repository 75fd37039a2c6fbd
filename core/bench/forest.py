"""Bench of the forest: the plans of a sweep on items of both domains, against warm views one by one."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from core.bench.timing import Case, Row, run_case
from core.scenes.samples import DOMAINS, draw_samples

if TYPE_CHECKING:
    from core.records.plan import PruningPlan
    from core.vlm import VLM
    from core.vlm.encoding import Batch

FOREST_PLANS, FOREST_BATCHES = 150, 4


def bench(vlm: "VLM", rounds: int) -> Iterator[Row]:
    """One row; it also says how many layer passes were made and what ratio the FLOPs allow."""
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

    way = "each plan's view over the same batches, nothing reloaded, views made before; both encode each batch once"
    case = Case(
        "forest",
        lambda: score_plans(vlm, plans, samples, batch_size=size),
        one_by_one,
        lambda ours, reference: bool((ours.correct == reference).all()),
        way,
        more,
    )
    yield run_case(case, rounds)


def _plans_of_a_sweep(vlm: "VLM") -> "list[PruningPlan]":
    """Distinct plans: every criterion at every budget that leaves five layers, and few random ones, 150 if possible."""
    from core.errors import CalibrationError
    from core.library.finding import load_atlas
    from core.measure.sweep import sweep_plans
    from core.pruning import list_criteria
    from core.scenes.questions import domain_tasks
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
    from core.pruning.trie import trie_layers
    from core.records.plan import PruningPlan
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
