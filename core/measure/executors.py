"""Where the pieces of a sweep are scored: in this process, or by the workers of a Ray cluster.

A piece is some plans on a chunk of one benchmark's items. Pieces depend on nothing but the model, so they may be scored
in any order, and again where a worker was lost; each is handed back once, and only the sweep writes to the run store.
"""

import os
import socket
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from core.errors import ExecutorError, StrataError
from core.records.plan import ModelSpec, PruningPlan
from core.records.samples import Sample

if TYPE_CHECKING:
    from core.vlm.loading import VLM

Scorer = Callable[..., Any]  # core.vlm.free_form.score_samples, or a stand-in with its signature

EXECUTORS = ("local", "ray")
POLL_S = 0.5  # how long a wish to stop may go unheard while workers are busy
MOST_LOSSES = 3  # workers that may be lost over one piece


@dataclass(frozen=True, eq=False)
class Piece:
    """Plans to score on a chunk of a benchmark's items.

    Attributes:
        benchmark: which of the sweep's.
        samples: may open their pictures only when they are asked for; whoever goes through them gets those that can be.
        options: of the scorer, where answers are written freely.
    """

    benchmark: int
    plans: Sequence[PruningPlan]
    samples: Sequence[Sample]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcomes(self) -> int:
        return len(self.plans) * len(self.samples)


class Executor(ABC):
    """Scores pieces with a model that it holds.

    Attributes:
        spec: the model, with the dtype and the device that it runs with.
        hardware: what torch calls that device.
    """

    spec: ModelSpec
    hardware: str

    @abstractmethod
    def map(
        self, pieces: Sequence[Piece], *, progress: Callable[[Piece, int], None], should_stop: Callable[[], bool]
    ) -> Iterator[tuple[Piece, Any]]:
        """(Piece, its `PlanScores`) in any order, each piece once.

        Args:
            progress: told how many outcomes of a piece under way are done.
            should_stop: asked between batches or every half second; if true, some pieces do not come back, and a last
                one may be scored in part.
        """

    def close(self) -> None:  # noqa: B027  # nothing to do for a model in this process
        """Let the workers go."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LocalExecutor(Executor):
    """One piece after the other, in this process."""

    def __init__(self, vlm: "VLM", scorer: Scorer | None = None):
        self.vlm, self.spec, self.hardware = vlm, vlm.spec, device_name(vlm.spec.device)
        self.score = scorer or _forest()

    def map(
        self, pieces: Sequence[Piece], *, progress: Callable[[Piece, int], None], should_stop: Callable[[], bool]
    ) -> Iterator[tuple[Piece, Any]]:
        for piece in pieces:
            if should_stop():
                return

            def report(done: int, of: int, piece: Piece = piece) -> None:
                progress(piece, piece.outcomes * done // max(of, 1))

            score = partial(self.score, self.vlm, piece.plans, list(piece.samples), **piece.options)
            yield piece, score(progress=report, should_stop=should_stop)


class RayExecutor(Executor):
    """Workers of a Ray cluster, each with the model in memory (one GPU each where there are any, else one CPU).

    A lost worker's piece goes to another, and a new worker is started wherever there is room. Samples travel by value,
    with their pictures. Ray unpickles what its nodes send each other: use a cluster that you trust. Its other machines
    need Strata on their Python path, and a model that is given as a folder at the same place.
    """

    def __init__(
        self,
        model_id: str,
        *,
        workers: int | None = None,
        address: str = "local",
        scorer: Scorer | None = None,
        **load_options: Any,
    ):
        """Connect, start the workers, and wait until one of them has the model.

        Args:
            workers: all that the cluster has room for if None.
            address: "local" starts a cluster on this machine, reachable from it alone; "auto" or host:port joins one.
            load_options: of `core.vlm.load_vlm`.
        Raises:
            ExecutorError: Ray is not installed, or there is no such cluster, or no room in it.
            ModelError: a worker could not load the model.
        """
        self._ray = ray = _connected_ray(address, workers)
        self._arguments = (model_id, scorer, load_options)
        self._gpus = 1 if ray.cluster_resources().get("GPU") and load_options.get("device") != "cpu" else 0
        self._busy: dict[Any, tuple[Any, Piece | None]] = {}  # what is awaited: a piece, or a worker's description
        self._idle: list[Any] = []
        try:
            room = self._room()
            if not 1 <= (workers or 1) <= room:
                raise ExecutorError(f"the Ray cluster has room for {room} workers, not for {workers or 1}")
            for _ in range(workers or room):
                self._start_worker()
            first, _ = ray.wait(list(self._busy))
            self.spec, self.hardware = self._result(first[0])
        except BaseException:
            self.close()
            raise

    def map(
        self, pieces: Sequence[Piece], *, progress: Callable[[Piece, int], None], should_stop: Callable[[], bool]
    ) -> Iterator[tuple[Piece, Any]]:
        # Workers may still be at pieces of an earlier call that was stopped: those are nobody's now.
        todo, asked, losses = deque(pieces), set(pieces), Counter[Piece | None]()
        while todo or any(piece in asked for _, piece in self._busy.values()):
            while todo and self._idle:
                self._give(self._idle.pop(), todo.popleft())
            finished, _ = self._ray.wait(list(self._busy), timeout=POLL_S)
            if should_stop():
                return
            if not finished and self._room() < 1:
                raise ExecutorError("every Ray worker is lost and no node is left: finished items are kept")
            for reference in finished:
                worker, piece = self._busy.pop(reference)
                try:
                    result = self._result(reference)
                except _WorkerLost as error:
                    losses[piece] += 1
                    if losses[piece] == MOST_LOSSES:
                        over = "starting" if piece is None else "the same items"
                        raise ExecutorError(
                            f"{MOST_LOSSES} workers were lost over {over}, perhaps out of memory: use fewer --workers; "
                            f"finished items are kept ({error})"
                        ) from None
                    if piece in asked:
                        todo.appendleft(piece)
                    self._start_worker()
                    continue
                losses[None] = 0
                if piece is None and result != (self.spec, self.hardware):
                    raise ExecutorError(
                        f"the workers differ: {self.spec.revision} in {self.spec.dtype} on {self.hardware}, and "
                        f"{result[0].revision} in {result[0].dtype} on {result[1]}; use one kind of node"
                    )
                # The worker has its next piece before the sweep saves this one.
                if todo:
                    self._give(worker, todo.popleft())
                else:
                    self._idle.append(worker)
                if piece in asked:
                    yield piece, result

    def close(self) -> None:
        self._ray.shutdown()

    def _start_worker(self) -> None:
        actor = self._ray.remote(num_cpus=1, num_gpus=self._gpus, scheduling_strategy="SPREAD")(_Worker)
        worker = actor.remote(*self._arguments)
        self._busy[worker.describe.remote()] = (worker, None)

    def _give(self, worker: Any, piece: Piece) -> None:
        asked = worker.score.remote(list(piece.plans), list(piece.samples), dict(piece.options))
        self._busy[asked] = (worker, piece)

    def _room(self) -> int:
        """How many workers the cluster can hold."""
        resources = self._ray.cluster_resources()
        return int(min(resources.get("CPU", 0), resources.get("GPU", 0) if self._gpus else float("inf")))

    def _result(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:  # what went wrong in Strata's own code there
            if isinstance(error.cause, StrataError):
                raise error.cause from None
            raise
        except errors.RayError as error:
            raise _WorkerLost(f"a Ray worker was lost: {(str(error).splitlines() or [''])[0]}") from None


class _WorkerLost(ExecutorError):
    pass


class _Worker:
    """A process of the cluster that holds the model; it is loaded at the first question."""

    def __init__(self, model_id: str, scorer: Scorer | None, load_options: dict[str, Any]):
        self.arguments = (model_id, scorer, load_options)
        self.local: LocalExecutor | None = None

    def executor(self) -> LocalExecutor:
        if self.local is None:
            from core.vlm.loading import load_vlm, quiet_transformers

            quiet_transformers()
            model_id, scorer, load_options = self.arguments
            self.local = LocalExecutor(load_vlm(model_id, **load_options), scorer)
        return self.local

    def describe(self) -> tuple[ModelSpec, str]:
        return self.executor().spec, self.executor().hardware

    def score(self, plans: Sequence[PruningPlan], samples: Sequence[Sample], options: Mapping[str, Any]) -> Any:
        return self.executor().score(self.executor().vlm, plans, samples, **options)


def device_name(device: str) -> str:
    """What torch calls a device, or the devices that share a model: "cpu", "NVIDIA H200", "NVIDIA H200+cpu"."""
    names = dict.fromkeys(device.split("+"))
    for name in names:
        if name.startswith("cuda"):
            import torch

            names[name] = torch.cuda.get_device_name(name)
    return "+".join(dict.fromkeys(given or name for name, given in names.items()))


def _forest() -> Scorer:
    from core.vlm.free_form import score_samples

    return score_samples


def _connected_ray(address: str, workers: int | None) -> Any:
    # Ray reads these when it is imported: report nothing to anyone, and hide no GPU from those who asked for none.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    if address.startswith(("local", "127.")):
        # Listen and look on 127.0.0.1 only: Ray's own option takes the machine's address instead.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        import ray
        from ray._private.services import canonicalize_bootstrap_address

        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address == "local":
            options |= {"address": "local", "num_cpus": workers, "include_dashboard": False}
        else:
            found = canonicalize_bootstrap_address(address)
            host, _, port = str(found).rpartition(":")
            socket.create_connection((host, int(port)), timeout=5).close()  # Ray would ask a dead cluster for ever
            options["address"] = found
        ray.init(**options)
    except ImportError:
        raise ExecutorError("Ray is not installed: run pip install -r requirements-ray.txt") from None
    except (OSError, ValueError, RuntimeError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ExecutorError(f"no Ray cluster at '{address}': {why}; give --ray-address local to start one") from error
    return ray
