"""The engine: one model and one worker thread that many sessions share, with fair turns of one token each.

Locking rule: only the worker thread touches the model; sessions reach it through tickets, whose queues are large enough
for a whole answer, so that a session that went away can never block the worker.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from core.data.samples import Sample
from core.errors import StrataError
from core.pruning.plan import ModelSpec, PruningPlan
from core.runs.records import Answer, GenerationConfig, TokenEvent
from core.vlm.divergence import Divergence, compare_on_answer
from core.vlm.generation import prepare_prompt, stream_answer
from core.vlm.loading import VLM

MAX_ACTIVE = 8  # requests that take turns at the same time; later ones wait


@dataclass(frozen=True)
class PaneDone:
    """The finished answer of one pane."""

    pane: int
    answer: Answer


@dataclass(frozen=True)
class PaneCompared:
    """How far the plan of one pane moves the model on an answer."""

    pane: int
    divergence: Divergence


Event = TokenEvent | PaneDone | PaneCompared
Stream = Iterator[Event]  # ends with its first event that is no token


@dataclass(eq=False)
class Ticket:
    """A request under way. Iterate `events()`; leaving the loop early, or `cancel()`, stops it within one token."""

    model_id: str
    _start: Callable[[VLM], Iterable[Stream]] = field(repr=False)
    _engine: "Engine" = field(repr=False)
    _queue: "queue.Queue[Event | Exception | None]" = field(repr=False)
    _cancelled: threading.Event = field(default_factory=threading.Event, repr=False)
    _streams: deque[Stream] = field(default_factory=deque, repr=False)

    def events(self, timeout: float = 120.0) -> Iterator[Event]:
        """Token events of all panes in turn, and each pane's result; raises what went wrong in the worker."""
        return (event for event in self.beats(timeout, timeout) if event is not None)

    def beats(self, every: float, timeout: float = 120.0) -> Iterator[Event | None]:
        """The same events, and None whenever `every` seconds went by without one, so that a listener can look up.

        Waiting in the queue does not count towards the timeout.
        """
        silent = 0.0
        try:
            while True:
                try:
                    event = self._queue.get(timeout=every)
                except queue.Empty:
                    silent = 0.0 if self.position else silent + every
                    if silent >= timeout:
                        raise StrataError(f"no token for {timeout:.0f} s: the machine is busy, try again") from None
                    yield None
                    continue
                silent = 0.0
                if event is None:
                    return
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.cancel()

    def cancel(self) -> None:
        self._cancelled.set()

    @property
    def position(self) -> int:
        """Requests that are before this one in the queue; 0 once it takes turns."""
        return self._engine.position(self)


class Engine:
    """Loads models on demand (one at a time) and answers tickets in one worker thread."""

    def __init__(self, load: Callable[[str], VLM]):
        self._load = load
        self._vlm: VLM | None = None
        self._loaded = ""
        self._waiting: deque[Ticket] = deque()
        self._active: deque[Ticket] = deque()
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None

    def submit(
        self,
        model_id: str,
        plans: Sequence[PruningPlan | None],
        image: Image.Image | None,
        question: str,
        config: GenerationConfig | None = None,
    ) -> Ticket:
        """Queue a question for several plans (None is the full model); they stream side by side."""
        settings = config or GenerationConfig()

        def start(vlm: VLM) -> Iterable[Stream]:
            prompt = prepare_prompt(vlm, image, question)
            return [_answering(stream_answer(vlm, plan, prompt, settings, i), i) for i, plan in enumerate(plans)]

        return self._queue_up(model_id, start, len(plans) * (settings.max_new_tokens + 1))

    def compare(self, model_id: str, plans: Sequence[PruningPlan], sample: Sample) -> Ticket:
        """Queue a teacher-forced comparison of plans with the full model on the sample's answer, a plan a turn."""

        def start(vlm: VLM) -> Iterable[Stream]:
            return [_comparing(vlm, plan, sample, pane) for pane, plan in enumerate(plans)]

        return self._queue_up(model_id, start, len(plans))

    def _queue_up(self, model_id: str, start: Callable[[VLM], Iterable[Stream]], events: int) -> Ticket:
        ticket = Ticket(model_id, start, self, queue.Queue(events + 2))
        with self._changed:
            self._waiting.append(ticket)
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="strata-engine", daemon=True)
                self._worker.start()
            self._changed.notify()
        return ticket

    def position(self, ticket: Ticket) -> int:
        with self._changed:
            waiting = [t for t in self._waiting if not t._cancelled.is_set()]
        return waiting.index(ticket) + 1 if ticket in waiting else 0

    @property
    def spec(self) -> ModelSpec | None:
        """What the loaded model is; None before the first request."""
        vlm = self._vlm
        return vlm.spec if vlm else None

    @property
    def idle(self) -> bool:
        with self._changed:
            return not self._waiting and not self._active

    def status(self) -> dict[str, Any]:
        """What the engine is doing, without content: the model that is loaded, requests taking turns and waiting."""
        with self._changed:
            return {"model": self._loaded, "active": len(self._active), "waiting": len(self._waiting)}

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._active:
                    self._changed.wait()
                while self._waiting and len(self._active) < MAX_ACTIVE:
                    self._active.append(self._waiting.popleft())
                ticket = self._active[0]
            finished = self._turn(ticket)
            with self._changed:
                self._active.popleft()
                if not finished:
                    self._active.append(ticket)

    def _turn(self, ticket: Ticket) -> bool:
        """One token for one pane of a ticket; True when nothing is left to do for it."""
        try:
            if ticket._cancelled.is_set():
                ticket._streams.clear()
                ticket._queue.put_nowait(None)
                return True
            if not ticket._streams:
                ticket._streams.extend(ticket._start(self._model(ticket.model_id)))
            stream = ticket._streams.popleft()
            event = next(stream)
            ticket._queue.put_nowait(event)
            if isinstance(event, TokenEvent):
                ticket._streams.append(stream)
            if not ticket._streams:
                ticket._queue.put_nowait(None)
                return True
            return False
        except Exception as error:
            ticket._streams.clear()
            ticket._queue.put_nowait(error)
            return True

    def _model(self, model_id: str) -> VLM:
        if self._vlm is None or self._loaded != model_id:
            self._vlm = None  # free the old one before the new one needs the room
            self._vlm, self._loaded = self._load(model_id), model_id
        return self._vlm


def _answering(events: Iterator[TokenEvent | Answer], pane: int) -> Stream:
    for event in events:
        yield PaneDone(pane, event) if isinstance(event, Answer) else event


def _comparing(vlm: VLM, plan: PruningPlan, sample: Sample, pane: int) -> Stream:
    yield PaneCompared(pane, compare_on_answer(vlm, plan, sample))
