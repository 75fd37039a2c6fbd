"""The engine's queue: comparisons in the worker's turn, places in the queue, and listening without being stuck."""

import threading
from dataclasses import replace

from core.pruning.plan import PruningPlan
from core.runs.records import GenerationConfig
from core.vlm import engine as engines
from core.vlm.divergence import compare_on_answer
from core.vlm.engine import Engine, PaneCompared, PaneDone
from tests.models import random_vlm, some_samples

SAMPLE = replace(some_samples()[0], answer="7 or 8")
SHORT = GenerationConfig(max_new_tokens=2)


def plan(*dropped: int) -> PruningPlan:
    return PruningPlan("random", 6, dropped)


def test_plans_are_compared_in_the_workers_turn(monkeypatch) -> None:
    workers = set()

    def compare(*args):
        workers.add(threading.current_thread().name)
        return compare_on_answer(*args)

    monkeypatch.setattr(engines, "compare_on_answer", compare)
    plans = [plan(2), plan(1, 3)]
    events = list(Engine(lambda _model: random_vlm()).compare("random", plans, SAMPLE).events())
    assert events == [PaneCompared(i, compare_on_answer(random_vlm(), p, SAMPLE)) for i, p in enumerate(plans)]
    assert workers == {"strata-engine"}


def test_a_listener_looks_up_while_it_waits_and_sees_its_place(monkeypatch) -> None:
    monkeypatch.setattr(engines, "MAX_ACTIVE", 1)
    loading = threading.Event()

    def load(_model: str):
        loading.wait(60)
        return random_vlm()

    engine = Engine(load)
    first = engine.submit("random", [None], SAMPLE.image, SAMPLE.question, SHORT)
    heard = first.beats(0.02)
    assert next(heard) is None  # the model is still loading
    second, third = (engine.submit("random", [None], SAMPLE.image, SAMPLE.question, SHORT) for _ in range(2))
    assert [first.position, second.position, third.position] == [0, 1, 2]
    second.cancel()
    assert third.position == 1  # who has left is not before anyone
    loading.set()
    for ticket in (heard, third.beats(0.02)):
        done = [event for event in ticket if isinstance(event, PaneDone)]
        assert len(done) == 1 and done[0].answer.tokens <= 2
    assert engine.spec == random_vlm().spec


def test_waiting_in_the_queue_is_not_silence(monkeypatch) -> None:
    monkeypatch.setattr(engines, "MAX_ACTIVE", 1)
    loading = threading.Event()
    engine = Engine(lambda _model: loading.wait(60) and random_vlm())  # type: ignore[arg-type,return-value]
    engine.submit("random", [None], SAMPLE.image, SAMPLE.question, SHORT)
    heard = engine.submit("random", [None], SAMPLE.image, SAMPLE.question, SHORT).beats(0.02, timeout=0.1)
    assert [next(heard) for _ in range(20)] == [None] * 20  # four times the timeout
    loading.set()
    heard.close()
