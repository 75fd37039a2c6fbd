"""Bench of growth: time and memory against plans, layers, samples and stored outcomes, with fitted exponents."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.bench.timing import Row, fitted_exponent
from core.records.samples import Sample
from core.scenes.samples import DOMAINS, draw_samples

if TYPE_CHECKING:
    from core.records.plan import PruningPlan
    from core.vlm import VLM

PLANS = (10, 100, 1_000)
LAYERS = (8, 16, 32, 64)
SAMPLES = (100, 1_000, 10_000)
OUTCOMES = (10**3, 10**4, 10**5, 10**6)
ITEMS = 500  # outcomes of a stored run, at most


def bench(vlm: "VLM", rounds: int) -> Iterator[Row]:
    """A row for each thing that can grow: `table` has what each size took, `exponent` is fitted through it.

    `reference_s` is what the largest size would take if every unit cost what it costs at the smallest size, so that a
    ratio of 1 or more says "linear or better". Sizes are run once; `rounds` is not used, the sizes are the repeats.
    """
    yield from (_plans(vlm), _layers(vlm), _samples(vlm), _store())


def _plans(vlm: "VLM") -> Row:
    """The forest on 8 items: plans of all budgets share more, the more there are."""
    from core.vlm.forest import score_plans

    most = _random_plans(vlm, max(PLANS))
    samples = draw_samples("test", 0, 8)
    score_plans(vlm, most[:1], samples)  # what the first call sets up

    def run(n: int) -> Any:
        return score_plans(vlm, most[:n], samples).correct

    return _grown("growth of plans", [n for n in PLANS if n <= len(most)], run, memory=True, agree=_same_start)


def _layers(vlm: "VLM") -> Row:
    """The atlas of 32 samples on random models of the embedded shape: spans grow with the square, passes do not."""
    from core.vlm.loading import VLM, describe
    from core.vlm.similarity import compute_atlas
    from core.vlm.tiny.model import build_model, build_processor, build_tokenizer

    tokenizer = build_tokenizer()
    processor, by_domain = build_processor(tokenizer), _by_domain(draw_samples("calibration", 0, 32))
    models = {}
    for n in LAYERS:
        model = build_model(tokenizer, n).eval().requires_grad_(False).to(vlm.device)
        models[n] = VLM(model, processor, describe(model, f"random-{n}", ""))
        compute_atlas(models[n], {"math": by_domain["math"][:1]})

    def run(n: int) -> Any:
        return compute_atlas(models[n], by_domain).mean("math")

    def agree(means: list[Any]) -> bool:
        return [m[(m >= -1) & (m <= 1.0001)].size for m in means] == list(LAYERS)

    return _grown("growth of layers", LAYERS, run, memory=True, agree=agree)


def _samples(vlm: "VLM") -> Row:
    """The atlas on more samples; the pictures are drawn before."""
    from core.vlm.similarity import compute_atlas

    most = draw_samples("calibration", 0, max(SAMPLES))
    firsts = _by_domain(most[: SAMPLES[0]])[DOMAINS[0]]

    def run(n: int) -> Any:
        return compute_atlas(vlm, _by_domain(most[:n])).values[: len(firsts), 0, :, 0]

    def agree(found: list[Any]) -> bool:
        """The first samples are what they are, whatever the number of others behind them."""
        within = 1e-4 if vlm.spec.dtype == "float32" else 2e-2
        return all(abs(more - few).max() < within for few, more in pairwise(found))

    return _grown("growth of samples", SAMPLES, run, agree=agree)


def _store() -> Row:
    """The run store: putting runs, then opening it again and reading all of them; `bytes` is its size on disk."""
    from cache import RunStore

    with tempfile.TemporaryDirectory() as folder:

        def run(n: int) -> int:
            with RunStore(Path(folder) / str(n)) as store:
                store.put_many(_records(n))
            with RunStore(Path(folder) / str(n)) as store:
                return sum(r.n_scored for r in store.records())

        def size(n: int) -> int:
            with RunStore(Path(folder) / str(n)) as store:
                return store.disk_usage()

        row = _grown("growth of the run store", OUTCOMES, run, agree=lambda found: found == list(OUTCOMES))
        for line in row["table"]:
            line["bytes"] = size(line["n"])
        return row


def _grown(
    name: str,
    sizes: Sequence[int],
    run: Callable[[int], Any],
    *,
    memory: bool = False,
    agree: Callable[[list[Any]], bool],
) -> Row:
    """Time each size, smallest first, then, apart from that, what it allocates."""
    table: list[Row] = []
    found = []
    for n in sizes:
        started, cpu_started = time.perf_counter(), time.process_time()
        found.append(run(n))
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
        table.append({"n": n, "seconds": seconds, "cpu_seconds": cpu_seconds})
    if memory:
        from core.vlm.memory import allocated_bytes

        for line in table:
            line["peak_bytes"] = allocated_bytes(lambda n=line["n"]: run(n))  # type: ignore[misc]
    first, last = table[0]["seconds"], table[-1]["seconds"]
    linear = first * sizes[-1] / sizes[0]

    def exponent(column: str) -> float:
        return fitted_exponent(sizes, [line[column] for line in table])

    return {
        "name": name,
        "ours_s": last,
        "reference_s": linear,
        "ratio": linear / last,
        "agree": agree(found),
        "reference": f"{sizes[-1]:,} at what each of {sizes[0]:,} takes",
        "exponent": exponent("seconds"),
        "cpu_exponent": exponent("cpu_seconds"),  # of processor time, which other work on the machine sways less
        **({"memory_exponent": exponent("peak_bytes")} if memory else {}),
        "table": table,
    }


def _same_start(found: list[Any]) -> bool:
    """Plans are scored the same, whatever the number of others beside them."""
    return all((more[: len(few)] == few).all() for few, more in pairwise(found))


def _by_domain(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    return {d: [s for s in samples if s.domain == d] for d in DOMAINS}


def _random_plans(vlm: "VLM", n: int) -> "list[PruningPlan]":
    """Up to n distinct plans at all budgets that leave five layers, in a random order."""
    from core.records.plan import PruningPlan

    rng, n_layers = random.Random(0), vlm.spec.n_layers
    free = range(max(1, len(vlm.spec.structural)), n_layers - 1)
    drops = dict[tuple[int, ...], None]()
    for _ in range(100 * n):
        if len(drops) == n:
            break
        drops[tuple(sorted(rng.sample(free, rng.randint(1, max(1, len(free) - 3)))))] = None
    return [PruningPlan(vlm.spec.model_id, n_layers, d) for d in drops]


def _records(n_outcomes: int) -> "Iterator[Any]":
    """Made-up runs of up to 500 items each, outcomes by coin."""
    from core.records.plan import ModelSpec, PruningPlan
    from core.records.runs import RunRecord

    rng = random.Random(0)
    n_layers, items = 64, min(ITEMS, n_outcomes)
    spec = ModelSpec("bench", "", "bench", n_layers, (), 1, (1,) * n_layers, "float32", "cpu")
    blank = RunRecord(
        spec, PruningPlan("bench", n_layers, (), "full"), "bench", "math", "bench", "exact_match", (), (), ()
    )
    item_ids = tuple(f"{i:016x}" for i in range(items))
    for number in range(n_outcomes // items):
        dropped = tuple(sorted(rng.sample(range(1, 63), 1 + number % 40)))
        correct = tuple(rng.random() < 0.5 for _ in range(items))
        losses = tuple(round(rng.random(), 4) for _ in range(items))
        plan = PruningPlan("bench", n_layers, dropped, "random", seed=number)
        yield replace(blank, plan=plan, item_ids=item_ids, correct=correct, gold_nll=losses)
