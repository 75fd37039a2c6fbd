"""The engine: one model and one worker thread that many sessions share, with fair turns of one token each.

Locking rule: only the worker thread touches the model; sessions reach it through tickets, whose queues are large enough
for a whole answer, so that a session that went away can never block the worker.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from PIL import Image

from core.errors import StrataError
from core.pruning.plan import PruningPlan
from core.runs.records import Answer, GenerationConfig, TokenEvent
from core.vlm.generation import prepare_prompt, stream_answer
from core.vlm.loading import VLM

MAX_ACTIVE = 8  # requests that take turns at the same time; later ones wait


@dataclass(frozen=True)
class PaneDone:
    """The finished answer of one pane."""

    pane: int
    answer: Answer


Event = TokenEvent | PaneDone


@dataclass
class Ticket:
    """A request under way. Iterate `events()`; leaving the loop early, or `cancel()`, stops it within one token."""

    model_id: str
    plans: tuple[PruningPlan | None, ...]
    image: Image.Image | None
    question: str
    config: GenerationConfig
    _engine: "Engine" = field(repr=False)
    _queue: "queue.Queue[Event | Exception | None]" = field(repr=False)
    _cancelled: threading.Event = field(default_factory=threading.Event, repr=False)
    _streams: "deque[tuple[int, Iterator[TokenEvent | Answer]]]" = field(default_factory=deque, repr=False)

    def events(self, timeout: float = 120.0) -> Iterator[Event]:
        """Token events of all panes in turn, a PaneDone for each; raises what went wrong in the worker."""
        try:
            while True:
                try:
                    event = self._queue.get(timeout=timeout)
                except queue.Empty:
                    raise StrataError(f"no token for {timeout:.0f} s: the machine is busy, try again") from None
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
        config = config or GenerationConfig()
        size = len(plans) * (config.max_new_tokens + 1) + 2
        ticket = Ticket(model_id, tuple(plans), image, question, config, self, queue.Queue(size))
        with self._changed:
            self._waiting.append(ticket)
            if self._worker is None or not self._worker.is_alive():
                self._worker = threading.Thread(target=self._work, name="strata-engine", daemon=True)
                self._worker.start()
            self._changed.notify()
        return ticket

    def position(self, ticket: Ticket) -> int:
        with self._changed:
            waiting = list(self._waiting)
        return waiting.index(ticket) + 1 if ticket in waiting else 0

    @property
    def idle(self) -> bool:
        with self._changed:
            return not self._waiting and not self._active

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
                vlm = self._model(ticket.model_id)
                prompt = prepare_prompt(vlm, ticket.image, ticket.question)
                ticket._streams.extend(
                    (pane, stream_answer(vlm, plan, prompt, ticket.config, pane))
                    for pane, plan in enumerate(ticket.plans)
                )
            pane, stream = ticket._streams.popleft()
            event = next(stream)
            if isinstance(event, Answer):
                ticket._queue.put_nowait(PaneDone(pane, event))
            else:
                ticket._queue.put_nowait(event)
                ticket._streams.append((pane, stream))
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
