"""A question under way: tokens into their panes, waiting, stopping, and replay of recorded answers."""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamlit.delta_generator import DeltaGenerator

from core.library.recordings import RecordedAnswer, in_turn
from core.records.answers import PaneDone, TokenEvent
from core.records.samples import Sample
from dashboard import services
from dashboard.views.compare.answers import Pane

if TYPE_CHECKING:
    from core.vlm.engine import Event, Ticket

BEAT = 0.1  # seconds after which a silent stream lets the page look up (a stop, another page, a closed tab)


@dataclass
class Asked:
    """A question that was put to the panes of this session, in the order in which they are shown."""

    request: tuple[Any, ...]
    panes: list[Pane]
    order: list[int]
    hidden: bool  # a blind vote is to come
    recorded: tuple[RecordedAnswer, ...] = ()

    def title(self, place: int) -> str:
        return f"Answer {place + 1}" if self.hidden else self.panes[self.order[place]].name


def stream(
    model_id: str, asked: Asked, sample: Sample, slots: Sequence[DeltaGenerator], status: DeltaGenerator
) -> None:
    """Stream all panes, then compare the plans on the full model's answer.

    Leaving early (a stop, another page, a closed tab) cancels the work within one token.

    Args:
        slots: where the answers' texts go, in the order in which they are shown.
        status: where a line says what is waited for.
    """
    panes = asked.panes
    pruned = [p for p in panes if p.plan]
    with closing(listen(services.answers.ask(model_id, [p.plan for p in panes], sample), status)) as events:
        for event in events:
            pane = panes[event.pane]
            if isinstance(event, TokenEvent):
                pane.events.append(event)
            elif isinstance(event, PaneDone):
                pane.answer = event.answer
            slots[asked.order.index(event.pane)].text(pane.text or " ")
    if not panes[0].answer or not pruned:
        return
    status.caption("comparing token by token …")
    plans = [p.plan for p in pruned if p.plan]
    with closing(listen(services.answers.compare_on(model_id, plans, sample, panes[0].answer.text), status)) as events:
        for event in events:
            if not isinstance(event, TokenEvent | PaneDone):
                pruned[event.pane].divergence = event.divergence


def listen(ticket: "Ticket", status: DeltaGenerator) -> Generator["Event"]:
    """A ticket's events; while there are none, its place in the queue. Closing this cancels the ticket."""
    try:
        for event in ticket.beats(BEAT):
            if event is None:
                status.caption(waiting(ticket.position))
            else:
                status.empty()
                yield event
    finally:
        ticket.cancel()


def waiting(position: int) -> str:
    if position:
        return f":material/hourglass: number {position} in the queue"
    others = services.models.engine().status()["active"] - 1
    return f"taking turns with {others} more" if others > 0 else "thinking …"


def replay(asked: Asked, slots: Sequence[DeltaGenerator]) -> None:
    """Show recorded answers again, each token after the time that it took."""
    answers = [r.answer for r in asked.recorded]
    for delay, number, event in in_turn(answers):
        time.sleep(min(delay, 1.0))
        asked.panes[number].events.append(event)
        slots[asked.order.index(number)].text(asked.panes[number].text or " ")
    for pane, answer in zip(asked.panes, answers, strict=True):
        pane.answer = answer
