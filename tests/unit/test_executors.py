"""Executors: the same sweep on a Ray cluster, and on one that loses a node, is the sweep of this process."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from cache import RunStore
from core.errors import ExecutorError, ModelError
from core.measure import executors
from core.measure.executors import Executor, LocalExecutor, Piece, RayExecutor, _Worker, device_name
from core.measure.sweep import Benchmark, benchmark_items, run_sweep, sweep_plans
from core.pruning.atlas import SimilarityAtlas
from core.records.plan import PruningPlan
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


# ------------------------------------------------------------------------------------------------ losses, without Ray


class Lost(Exception):
    pass


@dataclass(eq=False)
class Call:
    """A worker's call: what it shall answer, and what it would."""

    answer: Any
    method: Any
    arguments: tuple[Any, ...]


class FakeRay:
    """As much of Ray as the executor uses; workers run in this process and are lost when told to be.

    Args:
        answers: of all workers' calls in turn: None to answer truly, an exception to raise, or an answer of its own.
        deadly: an item over which every worker is lost.
    """

    def __init__(self, answers: list[Any], nodes: int = 2, deadly: str = "") -> None:
        self.answers, self.nodes, self.deadly = iter(answers), nodes, deadly
        self.closed = self.started = 0
        self.exceptions = SimpleNamespace(RayTaskError=type("RayTaskError", (Exception,), {}), RayError=Lost)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": float(self.nodes)}

    def remote(self, **_: Any) -> Any:
        def worker(*arguments: Any) -> Any:
            self.started += 1
            inner = _Worker(*arguments)
            inner.local = LocalExecutor(VLM, arguments[1])

            def called(method: Any) -> Any:
                return SimpleNamespace(remote=lambda *a: Call(next(self.answers, None), method, a))

            return SimpleNamespace(describe=called(inner.describe), score=called(inner.score))

        return lambda _actor: SimpleNamespace(remote=worker)

    def wait(self, references: list[Any], timeout: float | None = None) -> tuple[list[Any], list[Any]]:
        return [r for r in references if r.answer != "never"][:1], references

    def get(self, reference: Any) -> Any:
        if isinstance(reference.answer, Exception):
            raise reference.answer
        if reference.arguments and reference.arguments[1][0].sample_id == self.deadly:
            raise Lost("killed\nstack")
        return reference.method(*reference.arguments) if reference.answer is None else reference.answer

    def shutdown(self) -> None:
        self.closed += 1


def executor_on(ray: FakeRay, monkeypatch: pytest.MonkeyPatch, **options: Any) -> RayExecutor:
    monkeypatch.setattr(executors, "_connected_ray", lambda *_: ray)
    return RayExecutor("tiny", scorer=FakeScorer(), **options)


def mapped(executor: RayExecutor) -> list[tuple[int, str]]:
    """(Piece, first item) of what comes back for three pieces."""
    _, samples = make_benchmark("math", 3)
    pieces = [Piece(n, [PruningPlan("tiny", 8, (1,))], [s]) for n, s in enumerate(samples)]
    done = executor.map(pieces, progress=lambda *_: None, should_stop=lambda: False)
    return sorted((piece.benchmark, scores.sample_ids[0]) for piece, scores in done)


ALL = [(0, "math0"), (1, "math1"), (2, "math2")]


def test_what_a_lost_worker_had_is_done_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay([None, None, Lost("gone"), None, Lost("gone"), Lost("gone")])
    assert mapped(executor_on(ray, monkeypatch)) == ALL
    assert ray.started == 5


def test_what_an_earlier_call_left_with_the_workers_is_not_handed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = executor_on(FakeRay([]), monkeypatch)
    _, samples = make_benchmark("general", 4)
    earlier = [Piece(7, [PruningPlan("tiny", 8, (1,))], [s]) for s in samples]
    done = executor.map(earlier, progress=lambda *_: None, should_stop=lambda: False)
    next(done)
    done.close()
    assert mapped(executor) == ALL


@pytest.mark.parametrize(
    ("ray", "why"),
    [
        (FakeRay([], deadly="math1"), "3 workers were lost over the same items"),
        (FakeRay([None, *[Lost("no such module")] * 5]), "3 workers were lost over starting.*no such module"),
        (FakeRay([None, (replace(VLM.spec, dtype="float16"), "cpu")]), "differ: rev in float32 on cpu, and rev in fl"),
    ],
    ids=["same items", "starting", "differ"],
)
def test_losses_that_would_go_on_for_ever_end_in_one_line(
    monkeypatch: pytest.MonkeyPatch, ray: FakeRay, why: str
) -> None:
    executor = executor_on(ray, monkeypatch, workers=2)
    with pytest.raises(ExecutorError, match=why) as caught:
        mapped(executor)
    assert "\n" not in str(caught.value)


def test_no_node_left_and_no_room_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay([None, "never"])
    executor = executor_on(ray, monkeypatch, workers=1)
    ray.nodes = 0
    with pytest.raises(ExecutorError, match="no node is left"):
        mapped(executor)
    ray = FakeRay([], nodes=2)
    with pytest.raises(ExecutorError, match="room for 2 workers, not for 3"):
        executor_on(ray, monkeypatch, workers=3)
    assert ray.closed == 1


def test_what_a_worker_complains_of_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay([])
    failure = ray.exceptions.RayTaskError()
    failure.cause = ModelError("no model in './nothing'")
    ray.answers = iter([failure])
    with pytest.raises(ModelError, match=r"^no model in './nothing'$"):
        executor_on(ray, monkeypatch)
    assert ray.closed == 1


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
