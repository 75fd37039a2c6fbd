"""A synthetic recording for tests of the dashboard: an atlas and runs of a 12-layer model that does not exist.

Numbers are made up and seeded; they only have the shape of the real ones. Shipped code never imports this.
"""

import json
import random
from pathlib import Path

import numpy as np

from core.pruning import (
    TOKEN_KINDS,
    CalibrationSample,
    GreedyOrder,
    ModelAnatomy,
    SimilarityAtlas,
    build_plan,
    list_criteria,
)
from core.pruning.cost import LayerAnatomy
from core.records.items import BenchmarkItem, ItemSet
from core.records.plan import ModelSpec, PruningPlan
from core.records.runs import RunRecord
from core.records.samples import Sample, data_hash
from core.scenes.samples import domain_tasks, draw_samples

LAYERS = 16
ITEMS = 40
SPEC = ModelSpec("tiny", "0123456789abcdef", "llava", LAYERS, (), 3_600_000, (200_000,) * LAYERS, "float32", "cpu")
ANATOMY = ModelAnatomy(  # the parts of SPEC: 3.2 million in layers, 400,000 in everything else
    model_id="tiny",
    revision=SPEC.revision,
    layers=(LayerAnatomy(200_000, 400_000.0, 500.0, 256),) * LAYERS,
    vision_parameters=250_000,
    projector_parameters=20_000,
    embedding_parameters=100_000,
    norm_parameters=10_000,
    head_parameters=20_000,
    bytes_per_parameter=2,
    tokens_per_image=25,
    vision_flops_per_token=1_000_000.0,
    vision_flops_per_pair=0.0,
    projector_flops_per_token=60_000.0,
    decoder_flops_per_token=0.0,
    head_flops_per_token=40_000.0,
)


def make_atlas(n_per_domain: int = 24) -> SimilarityAtlas:
    """Similarity rises with depth; math and general differ clearly on layers 2 and 8 only."""
    rng = np.random.default_rng(0)
    samples: list[CalibrationSample] = []
    for domain in ("math", "general"):
        tasks = domain_tasks(domain)
        samples += [CalibrationSample(f"{domain}{i:04d}", domain, tasks[i % 4]) for i in range(n_per_domain)]
    layer = np.arange(LAYERS)
    base = 0.90 + 0.08 * np.sin(layer / (LAYERS - 1) * np.pi * 0.9)
    values = np.full((len(samples), len(TOKEN_KINDS), LAYERS, LAYERS), np.nan, np.float32)
    for s, sample in enumerate(samples):
        own = base + rng.normal(0, 0.004, LAYERS)
        own[2] += 0.02 if sample.domain == "math" else 0.0
        own[8] -= 0.02 if sample.domain == "math" else 0.0
        for k in range(len(TOKEN_KINDS)):
            for length in range(1, LAYERS + 1):
                for start in range(LAYERS - length + 1):
                    values[s, k, start, length - 1] = np.prod(own[start : start + length]) - 0.002 * k
    tokens = np.full((len(samples), len(TOKEN_KINDS)), 12, np.int32)
    order = (14, 3, 9, 6, 12, 2, 11, 5, 8, 1, 13, 4, 10, 7)
    losses = tuple(0.1 * 1.3**i for i in range(len(order) + 1))
    greedy = GreedyOrder(order, losses, (0, 15), "made-up", (("math", n_per_domain), ("general", n_per_domain)))
    return SimilarityAtlas(
        "tiny", SPEC.revision, LAYERS, (), tuple(samples), values, tokens, "synthetic CPU", "2026-01-02", greedy
    )


def _difficulty(plan: PruningPlan) -> float:
    return 0.055 * plan.n_drop + 0.03 * plan.longest_run + 0.05 * sum(i in plan.dropped for i in (1, 2, 3))


def make_runs(atlas: SimilarityAtlas) -> tuple[list[RunRecord], list[ItemSet]]:
    """The full model, every criterion and 12 random plans at budgets 1 to 8, on 40 items per domain."""
    plans = [PruningPlan("tiny", LAYERS, (), "full")]
    for budget in range(1, 9):
        for criterion in list_criteria():
            if criterion.name == "random" or (criterion.name == "interlace" and budget > 4):
                continue
            plans.append(build_plan(atlas, criterion.name, budget))
        plans += [build_plan(atlas, "random", budget, seed=s) for s in range(12)]
    records, sets = [], []
    for domain in ("math", "general"):
        samples: list[Sample] = draw_samples("test", 7, ITEMS, domain_tasks(domain))
        items = tuple(BenchmarkItem(s.sample_id, s.task, s.question, s.answer, s.source) for s in samples)
        sets.append(ItemSet(f"drawn-{domain}", domain, "test", data_hash(samples), items))
        hardness = [random.Random(s.sample_id).random() for s in samples]
        for plan in plans:
            limit = (0.9 if domain == "math" else 0.97) - _difficulty(plan) * (1.2 if domain == "math" else 0.8)
            correct = tuple(h < limit for h in hardness)
            records.append(
                RunRecord(
                    SPEC,
                    plan,
                    f"drawn-{domain}",
                    domain,
                    sets[-1].data_hash,
                    "exact_match",
                    tuple(s.sample_id for s in samples),
                    correct,
                    tuple(0.1 if c else 2.0 for c in correct),
                    float(sum(atlas.mean(domain)[i] for i in plan.dropped)),
                    device="synthetic CPU",
                    created="2026-01-02T03:04:05",
                    version="0.1.0",
                )
            )
    return records, sets


def write_recording(folder: Path) -> None:
    """The files that a recording consists of, as the dashboard finds them."""
    from cache.run_store import RunStore

    folder.mkdir(parents=True, exist_ok=True)
    atlas = make_atlas()
    atlas.save(folder / "tiny.atlas.npz")
    (folder / "tiny.anatomy.json").write_text(json.dumps(ANATOMY.to_dict()))
    records, sets = make_runs(atlas)
    with RunStore(folder / "store") as store:
        for items in sets:
            store.put_items(items)
        for record in records:
            store.put(record)
        store.export_parquet(folder / "tiny.runs.parquet")
