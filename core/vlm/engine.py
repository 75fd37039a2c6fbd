"""The engine: one model and one worker thread that many sessions share, with fair turns of one token each.

The answers of one request are decoded in step (core/vlm/in_step.py); requests take turns.

Whatever goes wrong with one request ends that request alone: where memory ran out, what it held is dropped and the next
one finds the model as it was. The queue, the time of a request and the time that an idle model stays are bounded
(`core/limits.py`).

Locking rule: only the worker thread touches the model; sessions reach it through tickets, whose queues are large enough
for a whole answer, so that a session that went away can never block the worker.
"""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from core.errors import BusyError, LimitError, StrataError
from core.limits import Limits
from core.log import log
from core.records.answers import GenerationConfig, PaneDone, TokenEvent
from core.records.plan import ModelSpec, PruningPlan
from core.records.samples import Sample
from core.vlm.divergence import Divergence, compare_on_answer
from core.vlm.generation import stream_answers
from core.vlm.loading import VLM
from core.vlm.prompt import prepare_prompt
from core.vlm.shortage import cannot_answer, cannot_load, ran_out, release

MAX_ACTIVE = 8  # requests that take turns at the same time; later ones wait


@dataclass(frozen=True)
class PaneCompared:
    """How far the plan of one pane moves the model on an answer."""

    pane: int
    divergence: Divergence


Event = TokenEvent | PaneDone | PaneCompared
Stream = Iterator[Event]


@dataclass(eq=False)
class Ticket:
    """A request under way. Iterate `events()`; leaving the loop early, or `cancel()`, stops it within one token."""

    model_id: str
    _start: "Callable[[VLM, Ticket], Stream]" = field(repr=False)
    _engine: "Engine" = field(repr=False)
    _queue: "queue.Queue[Event | Exception | None]" = field(repr=False)
    _cancelled: threading.Event = field(default_factory=threading.Event, repr=False)
    _stream: Stream | None = field(default=None, repr=False)  # from its first turn on, until it ends
    _began: float = 0.0  # time of its first turn; 0 before
    _events: int = 0
    _prompt_tokens: int = 0  # once the prompt is prepared
    _panes: int = 1

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

    def __init__(self, load: Callable[[str], VLM], limits: Limits | None = None):
        self._load = load
        self.limits = limits or Limits()
        self._state = "empty"  # empty | loading | loaded
        self._failure = ""  # kind of the last error that was not the user's
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
        """Queue a question for several plans (None is the full model); they stream side by side, in step.

        Raises:
            BusyError: the queue is full.
        """
        settings = config or GenerationConfig()

        def start(vlm: VLM, ticket: Ticket) -> Stream:
            prompt = prepare_prompt(vlm, image, question)
            ticket._prompt_tokens, ticket._panes = prompt.tokens.shape[1], max(1, len(plans))
            return stream_answers(vlm, plans, prompt, settings)

        return self._queue_up(model_id, start, len(plans) * (settings.max_new_tokens + 1))

    def compare(self, model_id: str, plans: Sequence[PruningPlan], sample: Sample) -> Ticket:
        """Queue a teacher-forced comparison of plans with the full model on the sample's answer, a plan a turn."""

        def start(vlm: VLM, _ticket: Ticket) -> Stream:
            return (PaneCompared(pane, compare_on_answer(vlm, plan, sample)) for pane, plan in enumerate(plans))

        return self._queue_up(model_id, start, len(plans))

    def _queue_up(self, model_id: str, start: Callable[[VLM, Ticket], Stream], events: int) -> Ticket:
        ticket = Ticket(model_id, start, self, queue.Queue(events + 2))
        with self._changed:
            for gone in [t for t in self._waiting if t._cancelled.is_set()]:
                self._waiting.remove(gone)
                gone._queue.put_nowait(None)
            if len(self._waiting) >= self.limits.queue:
                log("refused", logging.WARNING, why="queue full", waiting=len(self._waiting))
                raise BusyError(f"busy: {len(self._waiting)} questions wait already; try again in a minute")
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
            return {
                "state": self._state,
                "model": self._loaded,
                "active": len(self._active),
                "waiting": len(self._waiting),
                "queue": self.limits.queue,
                "last_failure": self._failure,
            }

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._active:
                    idle_s = self.limits.idle_s if self._vlm is not None and self.limits.idle_s else None
                    if not self._changed.wait(idle_s) and not self._waiting:
                        self._unload()
                while self._waiting and len(self._active) < MAX_ACTIVE:
                    self._active.append(self._waiting.popleft())
                ticket = self._active[0]
            finished = self._turn(ticket)
            with self._changed:
                self._active.popleft()
                if not finished:
                    self._active.append(ticket)

    def _turn(self, ticket: Ticket) -> bool:
        """The next event of a ticket, mostly a token; True when nothing is left to do for it."""
        try:
            done = self._step(ticket)
        except Exception as error:
            ticket._stream = None
            ticket._queue.put_nowait(self._told(ticket, error))
            self._finished(ticket, type(error).__name__)
            return True
        if done:
            ticket._stream = None
            ticket._queue.put_nowait(None)
            self._finished(ticket, "cancelled" if ticket._cancelled.is_set() else "answered")
        return done

    def _step(self, ticket: Ticket) -> bool:
        if ticket._cancelled.is_set():
            return True
        ticket._began = ticket._began or time.monotonic()
        if ticket._stream is None:
            vlm = self._model(ticket.model_id)
            ticket._began = time.monotonic()  # loading is not the visitor's doing
            ticket._stream = ticket._start(vlm, ticket)
        if time.monotonic() - ticket._began > self.limits.answer_s:
            raise LimitError(
                f"the answer was stopped after {self.limits.answer_s:.0f} s: ask fewer plans, or a smaller picture"
            )
        event = next(ticket._stream, None)
        if event is not None:
            ticket._events += 1
            ticket._queue.put_nowait(event)
        return event is None

    def _told(self, ticket: Ticket, error: Exception) -> Exception:
        """What the listener hears: the error as it is; where memory ran out, a line that says what would fit."""
        if not ran_out(error):
            if not isinstance(error, StrataError):
                self._failure = type(error).__name__
            return error
        # The traceback holds the frames of the failed attempt, and they hold its tensors.
        cause: BaseException | None = error
        while cause is not None:
            cause.__traceback__ = None
            cause = cause.__cause__ or cause.__context__
        free = release()
        if self._vlm is None:
            self._failure = "out of memory at load"
            return cannot_load(ticket.model_id, free)
        written = ticket._events // ticket._panes
        stage = "decoding" if written else "prefill"
        self._failure = f"out of memory at {stage}"
        return cannot_answer(self._vlm.model, max(ticket._prompt_tokens + written, 1), free, stage)

    def _finished(self, ticket: Ticket, how: str) -> None:
        took = time.monotonic() - ticket._began if ticket._began else 0.0
        log("request", how=how, events=ticket._events, prompt=ticket._prompt_tokens, seconds=round(took, 3))

    def _model(self, model_id: str) -> VLM:
        if self._vlm is None or self._loaded != model_id:
            self._unload()  # free the old one before the new one needs the room
            self._state, began = "loading", time.monotonic()
            try:
                self._vlm, self._loaded = self._load(model_id), model_id
            finally:
                self._state = "loaded" if self._vlm is not None else "empty"
            log("loaded", parameters=self._vlm.spec.n_parameters, seconds=round(time.monotonic() - began, 3))
        return self._vlm

    def _unload(self) -> None:
        if self._vlm is not None:
            self._vlm, self._loaded, self._state = None, "", "empty"
            release()
            log("unloaded")
