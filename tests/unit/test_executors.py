"""Executors: the same sweep on a Ray cluster, and on one that loses a node, is the sweep of this process."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cache import RunStore
from core.errors import ExecutorError
from core.pruning.atlas import SimilarityAtlas
from core.pruning.plan import PruningPlan
from core.runs.executors import Executor, LocalExecutor, Piece, RayExecutor, device_name
from core.runs.sweep import Benchmark, benchmark_items, run_sweep, sweep_plans
from core.vlm import load_vlm
from core.vlm.similarity import compute_atlas
from tests.models import random_vlm, some_samples
from tests.sweeping import VLM, FakeScorer, make_benchmark, outcomes_table

CHUNK = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model where workers can load it."""
    path = tmp_path_factory.mktemp("model")
    random_vlm().model.save_pretrained(path)
    random_vlm().processor.save_pretrained(path)
    return path


# ------------------------------------------------------------------------------------------------ local


def test_the_local_executor_scores_piece_by_piece_and_stops_when_asked() -> None:
    _, samples = make_benchmark("math", 6)
    plans = [PruningPlan("tiny", 8, (k,)) for k in (1, 2)]
    pieces = [Piece(0, plans, samples[:4]), Piece(0, plans, samples[4:])]
    scorer, told, stop = FakeScorer(), list[tuple[Piece, int]](), False
    local = LocalExecutor(VLM, scorer)
    assert (local.spec, local.hardware) == (VLM.spec, "cpu")
    done = local.map(pieces, progress=lambda piece, n: told.append((piece, n)), should_stop=lambda: stop)
    piece, scores = next(done)
    assert piece is pieces[0] and scores.sample_ids == ("math0", "math1", "math2", "math3")
    assert told == [(pieces[0], n) for n in (2, 4, 6, 8)]
    stop = True
    assert list(done) == []
    assert len(scorer.asked) == 8


def test_devices_have_the_names_that_torch_gives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.get_device_name", {"cuda:0": "A", "cuda:1": "A"}.get)
    assert [device_name(d) for d in ("cpu", "cuda:0", "cuda:0+cuda:1+cpu")] == ["cpu", "A", "A+cpu"]


def test_without_ray_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # import ray: ImportError
    with pytest.raises(ExecutorError, match=r"^Ray is not installed: run pip install -r requirements-ray\.txt$"):
        RayExecutor("tiny")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "a:b"])
def test_a_cluster_that_is_not_there_is_one_line(address: str) -> None:
    """Ray itself asks an address where nobody answers for ever."""
    with pytest.raises(ExecutorError, match=f"^no Ray cluster at '{address}': .+; give --ray-address local") as caught:
        RayExecutor("tiny", address=address)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------ Ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """One node with one CPU, on 127.0.0.1; more can be simulated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # the loopback address is not replaced
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "include_dashboard": False}
        nodes = Cluster(initialize_head=True, head_node_args=node)
        yield nodes
        nodes.shutdown()


@pytest.fixture(scope="module")
def atlas(folder: Path) -> SimilarityAtlas:
    by_domain = {d: [s for s in some_samples(12) if s.domain == d] for d in ("math", "general")}
    return compute_atlas(load_vlm(str(folder)), by_domain)


class Asked(Executor):
    """Counts what an executor hands back, and may do something when half of it is there."""

    def __init__(self, inner: Executor, at_half: Any = None) -> None:
        self.inner, self.at_half, self.spec, self.hardware = inner, at_half, inner.spec, inner.hardware
        self.returned: list[tuple[str, str]] = []

    def map(self, pieces: Any, **options: Any) -> Iterator[tuple[Piece, Any]]:
        for n, (piece, scores) in enumerate(self.inner.map(pieces, **options)):
            self.returned += [(p.plan_id, s.sample_id) for p in piece.plans for s in piece.samples]
            if n == len(pieces) // 2 and self.at_half is not None:
                self.at_half()
            yield piece, scores


@pytest.mark.slow
def test_a_sweep_on_two_nodes_and_on_one_that_is_left_equals_the_local_one(
    tmp_path: Path, folder: Path, atlas: SimilarityAtlas, cluster: Any
) -> None:
    plans = sweep_plans(atlas, ["math_aware", "uniform"], [1, 2], 4)
    benchmarks: list[Benchmark] = benchmark_items(n_per_domain=48)

    def swept(name: str, executor: Any) -> pd.DataFrame:
        with RunStore(tmp_path / name) as store:
            report = run_sweep(executor, atlas, plans, benchmarks, store, chunk=CHUNK)
            assert not report.stopped and report.reused == 0
            assert all(r.complete and (r.device, r.hardware) == ("cpu", "cpu") for r in store.records())
            assert report.scored == 2 * 48 * len({p.plan_id for p in plans})
            return outcomes_table(store.records())

    local = swept("local", load_vlm(str(folder)))
    second = cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")
    with RayExecutor(str(folder), address=cluster.address, device="cpu") as ray:
        assert ray.spec == load_vlm(str(folder)).spec
        whole = Asked(ray)
        pd.testing.assert_frame_equal(swept("two nodes", whole), local)
        assert len(set(whole.returned)) == len(whole.returned) == 2 * 48 * len({p.plan_id for p in plans})
        # The node takes a worker and its piece with it. That piece is done again; nothing comes back twice.
        halved = Asked(ray, at_half=lambda: cluster.remove_node(second, allow_graceful=False))
        pd.testing.assert_frame_equal(swept("a node lost", halved), local)
        assert sorted(halved.returned) == sorted(whole.returned)
