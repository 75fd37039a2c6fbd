"""Streams equal greedy `generate`, take turns fairly, and stop within a token."""

import threading
import time

import pytest
import torch

from core.errors import ModelError, PlanError, SampleError
from core.pruning.plan import PruningPlan
from core.runs.records import Answer, GenerationConfig, TokenEvent
from core.vlm.encoding import encode_prompts
from core.vlm.engine import Engine, PaneDone
from core.vlm.generation import Prompt, answer, prepare_prompt, stream_answer
from core.vlm.view import pruned_view
from tests.models import random_vlm, some_samples

SAMPLE = some_samples()[0]
LONG = GenerationConfig(max_new_tokens=24)


def plan(*dropped: int) -> PruningPlan:
    return PruningPlan("random", 6, dropped)


@pytest.mark.parametrize("dropped", [(), (2,), (1, 3, 4)])
def test_greedy_tokens_equal_generate(dropped: tuple[int, ...]) -> None:
    vlm = random_vlm()
    inputs = encode_prompts(vlm, [SAMPLE.question], [SAMPLE.image])
    theirs = pruned_view(vlm.model, dropped).generate(**inputs, max_new_tokens=24, do_sample=False)
    ours = answer(vlm, plan(*dropped), SAMPLE.image, SAMPLE.question, LONG)
    assert [e.token_id for e in ours.events] == theirs[0, inputs["input_ids"].shape[1] :].tolist()
    assert "".join(e.text for e in ours.events).strip() == ours.text
    assert ours.tokens == len(ours.events)


def test_top5_are_the_probabilities_of_the_chosen_token() -> None:
    for event in answer(random_vlm(), None, SAMPLE.image, SAMPLE.question, LONG).events:
        probabilities = [p for _, p in event.top5]
        assert probabilities == sorted(probabilities, reverse=True)
        assert len(event.top5) == 5 and 0 < sum(probabilities) <= 1.0001
        assert random_vlm().processor.tokenizer.decode([event.token_id]) == event.top5[0][0]


def test_sampling_is_reproducible_from_its_seed() -> None:
    def tokens(seed: int) -> list[int]:
        config = GenerationConfig(max_new_tokens=12, temperature=1.5, top_p=0.95, seed=seed)
        return [e.token_id for e in answer(random_vlm(), None, SAMPLE.image, SAMPLE.question, config).events]

    assert tokens(1) == tokens(1)
    assert len({tuple(tokens(seed)) for seed in range(4)}) > 1


def test_an_empty_question_and_a_foreign_plan_are_refused() -> None:
    with pytest.raises(SampleError, match="empty"):
        answer(random_vlm(), None, SAMPLE.image, "   ")
    with pytest.raises(PlanError, match="16 layers"):
        answer(random_vlm(), PruningPlan("tiny", 16, (3,)), SAMPLE.image, "How many?")


def test_panes_take_turns_and_equal_single_answers() -> None:
    engine = Engine(lambda _model: random_vlm())
    plans = [None, plan(2), plan(1, 3)]
    events = list(engine.submit("random", plans, SAMPLE.image, SAMPLE.question, LONG).events())
    panes = [e.pane for e in events if isinstance(e, TokenEvent)]
    assert panes[:9] == [0, 1, 2] * 3
    answers = {e.pane: e.answer for e in events if isinstance(e, PaneDone)}
    for pane, p in enumerate(plans):
        assert answers[pane].text == answer(random_vlm(), p, SAMPLE.image, SAMPLE.question, LONG).text


def test_leaving_the_loop_stops_the_work_within_a_token() -> None:
    engine = Engine(lambda _model: random_vlm())
    ticket = engine.submit("random", [None], SAMPLE.image, SAMPLE.question, GenerationConfig(max_new_tokens=900))
    for n, _event in enumerate(ticket.events()):
        if n == 2:
            break
    deadline = time.monotonic() + 20
    while not engine.idle and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.idle
    assert ticket._queue.qsize() < 100  # far from the 900 tokens that were asked for


def test_sessions_share_one_model_and_get_their_own_answers() -> None:
    loads: list[str] = []

    def load(model: str) -> object:
        loads.append(model)
        return random_vlm()

    engine = Engine(load)  # type: ignore[arg-type]
    samples = some_samples()[:6]
    got: dict[int, str] = {}

    def ask(i: int) -> None:
        for event in engine.submit("random", [plan(2)], samples[i].image, samples[i].question, LONG).events():
            if isinstance(event, PaneDone):
                got[i] = event.answer.text

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert loads == ["random"]
    assert got == {i: answer(random_vlm(), plan(2), s.image, s.question, LONG).text for i, s in enumerate(samples)}


def test_an_error_reaches_its_session_and_the_next_request_works() -> None:
    def load(model: str) -> object:
        if model == "bad":
            raise ModelError("no such model")
        return random_vlm()

    engine = Engine(load)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="no such model"):
        list(engine.submit("bad", [None], SAMPLE.image, SAMPLE.question).events())
    events = list(engine.submit("random", [None], SAMPLE.image, SAMPLE.question, LONG).events())
    assert isinstance(events[-1], PaneDone)


def test_closing_a_stream_early_leaves_the_model_as_it_was() -> None:
    vlm = random_vlm()
    prompt = prepare_prompt(vlm, SAMPLE.image, SAMPLE.question)
    stream = stream_answer(vlm, plan(2), prompt, LONG)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    last = list(stream_answer(vlm, None, prompt, LONG))[-1]
    assert isinstance(last, Answer)
    with torch.inference_mode():
        inputs = encode_prompts(vlm, [SAMPLE.question], [SAMPLE.image])
        theirs = vlm.model.generate(**inputs, max_new_tokens=24, do_sample=False)
    assert [e.token_id for e in last.events] == theirs[0, inputs["input_ids"].shape[1] :].tolist()


def test_one_set_of_vision_features_serves_every_pane() -> None:
    vlm = random_vlm()
    calls: list[int] = []
    handle = vlm.model.model.vision_tower.register_forward_hook(lambda *_: calls.append(1))
    try:
        list(Engine(lambda _model: vlm).submit("random", [None, plan(2), plan(4)], SAMPLE.image, "How many?").events())
    finally:
        handle.remove()
    assert calls == [1]


@pytest.mark.slow
def test_eight_threads_interleaving_full_a_and_b_equal_the_serial_answers() -> None:
    """Views share weights and nothing else: no cache, numbering or position state leaks between threads."""
    vlm = random_vlm()
    short = GenerationConfig(max_new_tokens=3)
    plans = [None, plan(2), plan(1, 4)]
    prompts = [prepare_prompt(vlm, s.image, s.question) for s in some_samples()[:4]]

    def tokens(p: PruningPlan | None, prompt: Prompt) -> list[int]:
        return [e.token_id for e in stream_answer(vlm, p, prompt, short) if isinstance(e, TokenEvent)]

    serial = {(i, j): tokens(p, q) for i, p in enumerate(plans) for j, q in enumerate(prompts)}
    wrong: list[tuple[int, int]] = []

    def work(thread: int) -> None:
        for n in range(100):
            for i, p in enumerate(plans):
                j = (n + thread) % len(prompts)
                if tokens(p, prompts[j]) != serial[i, j]:
                    wrong.append((i, j))

    threads = [threading.Thread(target=work, args=(t,)) for t in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
