"""The engine's queue: comparisons in the worker's turn, places in the queue, and listening without being stuck."""

import itertools
import json
import threading
import time
import weakref
from dataclasses import replace

import pytest
import torch

from core.errors import BusyError, LimitError, MemoryLimitError, ModelError
from core.limits import Limits
from core.log import _Lines
from core.records.answers import GenerationConfig, PaneDone
from core.records.plan import PruningPlan
from core.vlm import engine as engines
from core.vlm import generation
from core.vlm.divergence import compare_on_answer
from core.vlm.engine import Engine, PaneCompared
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


# ------------------------------------------------------------------------------------------------ faults and bounds


def ask(engine: Engine, tokens: int = 2):
    return engine.submit("random", [None], SAMPLE.image, SAMPLE.question, GenerationConfig(max_new_tokens=tokens))


def answered(ticket) -> list[str]:
    return [event.answer.text for event in ticket.events() if isinstance(event, PaneDone)]


def fails_once(monkeypatch, owner, name: str, nth: int = 1) -> None:
    """Memory runs out at the nth call, and at no other."""
    real, calls = getattr(owner, name), []

    def once(*args, **kwargs):
        calls.append(1)
        if len(calls) == nth:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, once)


@pytest.mark.parametrize("wrapped", [False, True])
def test_memory_that_runs_out_while_loading_ends_one_request(wrapped: bool) -> None:
    loads = []

    def load(_model: str):
        loads.append(1)
        if len(loads) > 1:
            return random_vlm()
        error = torch.OutOfMemoryError("CUDA out of memory")
        if wrapped:  # as `load_vlm` does
            raise ModelError("cannot load random") from error
        raise error

    engine = Engine(load)
    with pytest.raises(MemoryLimitError, match=r"while loading random.*billion parameters"):
        answered(ask(engine))
    assert engine.status()["last_failure"] == "out of memory at load" and engine.status()["state"] == "empty"
    assert len(answered(ask(engine))) == 1 and len(loads) == 2


def test_memory_that_runs_out_in_prefill_ends_one_request(monkeypatch) -> None:
    expected = answered(ask(Engine(lambda _m: random_vlm())))
    engine = Engine(lambda _m: random_vlm())
    fails_once(monkeypatch, engines, "stream_answers")
    with pytest.raises(MemoryLimitError, match=r"ran out at prefill.*takes \d+ tokens.*would fit"):
        answered(ask(engine))
    assert answered(ask(engine)) == expected


def test_memory_that_runs_out_in_decoding_ends_one_request_and_not_its_neighbour(monkeypatch) -> None:
    monkeypatch.setattr(generation, "end_token_ids", lambda _model: set())
    expected = answered(ask(Engine(lambda _m: random_vlm()), 4))
    both = threading.Event()
    engine = Engine(lambda _m: both.wait(60) and random_vlm())  # type: ignore[arg-type,return-value]
    fails_once(monkeypatch, generation, "_choose", nth=4)  # a later token of one of them, whoever was first
    first, second = ask(engine, 4), ask(engine, 4)
    both.set()
    results = []
    for ticket in (first, second):
        try:
            results.append(answered(ticket))
        except MemoryLimitError as error:
            assert "ran out at decoding" in str(error)
            results.append(None)
    assert None in results and expected in results
    assert answered(ask(engine, 4)) == expected
    assert engine.idle


def test_what_a_failed_attempt_held_is_given_back(monkeypatch) -> None:
    held = []

    def fail(*_args, **_kwargs):
        tensor = torch.zeros(10)
        held.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("out of memory")

    engine = Engine(lambda _m: random_vlm())
    monkeypatch.setattr(engines, "stream_answers", fail)
    with pytest.raises(MemoryLimitError):
        answered(ask(engine))
    assert held[0]() is None


def test_a_full_queue_says_so_and_who_left_makes_room(monkeypatch) -> None:
    monkeypatch.setattr(engines, "MAX_ACTIVE", 1)
    loading = threading.Event()
    engine = Engine(lambda _m: loading.wait(60) and random_vlm(), Limits(queue=1))  # type: ignore[arg-type,return-value]
    first = ask(engine)
    while engine.status()["active"] == 0:
        time.sleep(0.01)
    second = ask(engine)
    with pytest.raises(BusyError, match="busy: 1 questions wait"):
        ask(engine)
    second.cancel()
    third = ask(engine)
    loading.set()
    assert len(answered(first)) == len(answered(third)) == 1


def test_an_answer_that_takes_too_long_is_stopped() -> None:
    engine = Engine(lambda _m: random_vlm(), Limits(answer_s=0.0))
    with pytest.raises(LimitError, match="stopped after 0 s"):
        answered(ask(engine))


def test_an_idle_model_is_unloaded_and_comes_back() -> None:
    loads = []
    engine = Engine(lambda _m: loads.append(1) or random_vlm(), Limits(idle_s=0.1))  # type: ignore[func-returns-value]
    assert len(answered(ask(engine))) == 1
    until = time.monotonic() + 30
    while engine.status()["state"] != "empty" and time.monotonic() < until:
        time.sleep(0.02)
    assert engine.status()["state"] == "empty" and engine.spec is None
    assert len(answered(ask(engine))) == 1 and len(loads) == 2


def test_a_stop_costs_one_more_token_at_most(monkeypatch) -> None:
    chosen = []
    real = generation._choose
    monkeypatch.setattr(generation, "_choose", lambda *a: chosen.append(1) or real(*a))  # type: ignore[func-returns-value]
    monkeypatch.setattr(generation, "end_token_ids", lambda _model: set())
    engine = Engine(lambda _m: random_vlm())
    ticket = ask(engine, 400)
    events = ticket.events()
    next(events)
    events.close()  # what a stop, a rerun, another page and a closed tab come to
    at_stop = len(chosen)
    while not engine.idle:
        time.sleep(0.01)
    assert len(chosen) <= at_stop + 1


def test_logs_are_json_lines_without_what_was_said(caplog) -> None:
    engine = Engine(lambda _m: random_vlm())
    with caplog.at_level("INFO", logger="strata"):
        text = answered(ask(engine))[0]
        while not engine.idle:  # the line is written after the last event
            time.sleep(0.01)
    lines = [json.loads(_Lines().format(r)) for r in caplog.records if r.name == "strata"]
    assert {"loaded", "request"} <= {line["event"] for line in lines}
    request = next(line for line in lines if line["event"] == "request")
    assert request["how"] == "answered" and request["events"] >= 1 and request["prompt"] > 1
    for line in lines:
        assert SAMPLE.question not in json.dumps(line) and (not text or text not in line.values())


def test_no_session_waits_for_more_than_one_token_of_each_other_one(monkeypatch) -> None:
    """Eight sessions of one to three panes, all queued before the first token: turns go round."""
    monkeypatch.setattr(generation, "end_token_ids", lambda _model: set())
    turns: list[object] = []
    queued = threading.Event()
    take = Engine._turn

    def turn(engine: Engine, ticket: object) -> bool:
        queued.wait(20)
        turns.append(ticket)
        return take(engine, ticket)  # type: ignore[arg-type]

    monkeypatch.setattr(Engine, "_turn", turn)
    engine = Engine(lambda _m: random_vlm())
    config = GenerationConfig(max_new_tokens=12)
    tickets = [
        engine.submit("random", [None, plan(1), plan(2)][: 1 + n % 3], SAMPLE.image, SAMPLE.question, config)
        for n in range(8)
    ]
    queued.set()
    for ticket in tickets:
        assert sum(isinstance(e, PaneDone) for e in ticket.events()) == 1 + tickets.index(ticket) % 3
    for ticket in tickets:
        mine = [i for i, t in enumerate(turns) if t is ticket]
        between = [turns[a + 1 : b] for a, b in itertools.pairwise(mine)]
        assert len(between) >= 12
        assert all(len(others) == len(set(map(id, others))) <= 7 for others in between)
