"""Streams equal greedy `generate`, take turns fairly, and stop within a token."""

import copy
import threading
import time
from dataclasses import replace

import pytest
import torch

from core.errors import ModelError, PlanError, SampleError
from core.records.answers import Answer, GenerationConfig, PaneDone, TokenEvent, first_divergence
from core.records.plan import PruningPlan
from core.vlm import generation
from core.vlm import in_step as steps
from core.vlm.encoding import encode_prompts
from core.vlm.engine import Engine
from core.vlm.generation import _choose, answer, stream_answer
from core.vlm.loading import VLM, describe, load_vlm
from core.vlm.prompt import Prompt, prepare_prompt
from core.vlm.tiny.model import build_model, build_processor, build_tokenizer
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


def test_text_comes_in_whole_characters_and_with_its_spaces() -> None:
    """Text is decoded from the last tokens on: characters of several tokens, special tokens and spaces survive that."""
    vlm = random_vlm()
    tokenizer = vlm.processor.tokenizer
    ids = tokenizer("Ωhm is 3 ½ of  it, né? 12 birds", add_special_tokens=False)["input_ids"]
    ids.insert(len(ids) // 2, tokenizer.eos_token_id)
    ids.insert(0, tokenizer.eos_token_id)
    prompt = prepare_prompt(vlm, None, "?")
    pane = generation._Pane(vlm, 0, None, prompt, GenerationConfig(len(ids)), generation._Weights(vlm.model))
    pane._ends = set()
    texts = [pane.take(torch.eye(len(tokenizer))[token], None).text for token in ids]
    assert "".join(texts) == tokenizer.decode(ids, skip_special_tokens=True)
    assert pane.stopped == "length" and len(texts) > 10


def test_the_likeliest_tokens_come_on_request() -> None:
    asked = answer(random_vlm(), None, SAMPLE.image, SAMPLE.question, replace(LONG, top=5))
    for step, event in enumerate(asked.events):
        probabilities = [p for _, p in asked.top(step)]
        assert probabilities == sorted(probabilities, reverse=True)
        assert len(event.top) == 5 and 0 < sum(probabilities) <= 1.0001
        assert random_vlm().processor.tokenizer.decode([event.token_id]) == event.top[0][0]
    assert asked.top(len(asked.events)) == ()
    plain = answer(random_vlm(), None, SAMPLE.image, SAMPLE.question, LONG)
    assert all(event.top == () for event in plain.events)
    assert [e.token_id for e in plain.events] == [e.token_id for e in asked.events]
    assert "steps" not in plain.to_dict() and len(asked.to_dict()["steps"]) == asked.tokens


def sampled(**settings: float) -> list[int]:
    config = GenerationConfig(**{"max_new_tokens": 12, "temperature": 1.5, **settings})  # type: ignore[arg-type]
    return [e.token_id for e in answer(random_vlm(), None, SAMPLE.image, SAMPLE.question, config).events]


def test_sampling_is_reproducible_from_its_seed() -> None:
    assert sampled(seed=1, top_p=0.95) == sampled(seed=1, top_p=0.95)
    assert len({tuple(sampled(seed=seed, top_p=0.95)) for seed in range(4)}) > 1


def test_the_smallest_nucleus_and_the_lowest_temperature_are_greedy() -> None:
    greedy = sampled(temperature=0, seed=3)
    assert sampled(top_p=1e-6, seed=3) == greedy == sampled(temperature=1e-4, seed=3)


def test_the_nucleus_holds_the_fewest_tokens_that_reach_its_probability() -> None:
    """Probabilities 0.5, 0.3, 0.15, 0.05: top-p 0.6 takes two tokens, at their own odds; hotter is flatter."""
    logits = torch.tensor([0.05, 0.5, 0.15, 0.3]).log()
    generator = torch.Generator().manual_seed(0)

    def share(token: int, **settings: float) -> float:
        config = GenerationConfig(**settings)  # type: ignore[arg-type]
        return sum(_choose(logits, config, generator) == token for _ in range(2000)) / 2000

    assert share(1, temperature=1.0, top_p=0.6) == pytest.approx(0.5 / 0.8, abs=0.04)
    assert share(2, temperature=1.0, top_p=0.6) == 0
    assert share(0, temperature=1.0) == pytest.approx(0.05, abs=0.02)
    root = [p**0.5 for p in (0.5, 0.3, 0.15, 0.05)]
    assert share(1, temperature=2.0) == pytest.approx(root[0] / sum(root), abs=0.04)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_new_tokens": 0}, "give 1 or more"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0.0}, "top-p"),
        ({"top_p": 1.5}, "top-p"),
        ({"top": -1}, "likeliest"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(SampleError, match=message):
        GenerationConfig(**settings)  # type: ignore[arg-type]


def test_memory_is_counted_exactly() -> None:
    """Weights and cache shrink by what the dropped layers held; the peak is CUDA's to tell."""
    vlm = random_vlm()
    full, pruned = (answer(vlm, p, SAMPLE.image, SAMPLE.question, LONG) for p in (None, plan(1, 4)))
    assert full.weights_bytes - pruned.weights_bytes == 4 * sum(vlm.spec.layer_parameters[i] for i in (1, 4))
    for found, layers in ((full, 6), (pruned, 4)):
        text = vlm.model.config.text_config
        prompt = encode_prompts(vlm, [SAMPLE.question], [SAMPLE.image])["input_ids"].shape[1]
        seen = prompt + found.tokens - 1  # the last token is not fed back
        assert found.kv_bytes == layers * seen * 2 * text.num_key_value_heads * text.head_dim * 4
        assert found.peak_memory_bytes is None and found.to_dict()["peak_memory_bytes"] is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: PyTorch counts memory there only")
def test_peak_memory_on_a_gpu_is_that_of_the_answer_s_own_steps() -> None:
    vlm = load_vlm("tiny", device="cuda")
    found = answer(vlm, None, SAMPLE.image, SAMPLE.question, LONG)
    assert found.peak_memory_bytes is not None and found.peak_memory_bytes > found.weights_bytes + found.kv_bytes
    before = torch.empty(2**28, dtype=torch.uint8, device="cuda")
    del before  # what came and went earlier does not count
    again = answer(vlm, None, SAMPLE.image, SAMPLE.question, LONG)
    assert again.peak_memory_bytes is not None and again.peak_memory_bytes < found.peak_memory_bytes + 2**27


def test_the_first_answer_of_a_model_is_told_apart() -> None:
    tokenizer = build_tokenizer()
    model = build_model(tokenizer, 2, 0).eval()
    vlm = VLM(model, build_processor(tokenizer), describe(model, "new", "test"))
    short = GenerationConfig(max_new_tokens=2)
    engine = Engine(lambda _model: vlm)
    plans = [None, PruningPlan("new", 2, (1,))]

    def ask() -> list[bool]:
        events = engine.submit("new", plans, SAMPLE.image, "How many?", short).events()
        return [e.answer.warm for e in events if isinstance(e, PaneDone)]

    assert ask() == [False, False]  # they share the first request's preparation
    assert ask() == [True, True]


def said(*tokens: int) -> Answer:
    events = tuple(TokenEvent(0, t, "", 0.0, ((str(t), 1.0),)) for t in tokens)
    return Answer("m", None, "?", "", len(tokens), 0.0, 0.0, "end", events)


def test_first_divergence() -> None:
    a, b = said(1, 2, 3), said(1, 9, 3)
    assert first_divergence(a, a) is None and first_divergence(said(), said()) is None
    assert first_divergence(a, b) == first_divergence(b, a) == 1
    assert (a.top(1), b.top(1)) == ((("2", 1.0),), (("9", 1.0),))
    short = said(1, 2)
    assert first_divergence(short, a) == 2 and short.top(2) == () and a.top(2) == (("3", 1.0),)


def test_an_empty_question_and_a_foreign_plan_are_refused() -> None:
    with pytest.raises(SampleError, match="empty"):
        answer(random_vlm(), None, SAMPLE.image, "   ")
    with pytest.raises(PlanError, match="16 layers"):
        answer(random_vlm(), PruningPlan("tiny", 16, (3,)), SAMPLE.image, "How many?")


@pytest.mark.parametrize("in_step", [True, False], ids=["in step", "by turns"])
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.3, "seed": 3}], ids=["greedy", "sampled"])
def test_panes_equal_single_answers(monkeypatch: pytest.MonkeyPatch, in_step: bool, settings: dict[str, float]) -> None:
    """Answers that end early, one that takes no step at all, and two panes of one plan are among them."""
    monkeypatch.setattr(steps, "LARGE_LAYER", 16_000_000 if in_step else 0)
    vlm, config = random_vlm(), replace(LONG, top=3, **settings)  # type: ignore[arg-type]
    plans = [None, plan(2), plan(1, 3), plan(2), plan(0, 5)]
    alone = [answer(vlm, p, SAMPLE.image, SAMPLE.question, config) for p in plans]
    ends = {alone[1].events[0].token_id, alone[2].events[7].token_id}
    monkeypatch.setattr(generation, "end_token_ids", lambda _model: ends)
    alone = [answer(vlm, p, SAMPLE.image, SAMPLE.question, config) for p in plans]
    assert len({a.tokens for a in alone}) > 2 and alone[1].tokens == 1
    rows: list[int] = []
    handle = vlm.model.lm_head.register_forward_hook(lambda _m, _args, logits: rows.append(len(logits)))
    try:
        events = list(
            Engine(lambda _model: vlm).submit("random", plans, SAMPLE.image, SAMPLE.question, config).events()
        )
    finally:
        handle.remove()
    panes = [e.pane for e in events if isinstance(e, TokenEvent)]
    going = [i for i, a in enumerate(alone) if a.tokens > 1]
    assert sorted(panes[:5]) == [0, 1, 2, 3, 4] and panes[5 : 5 + len(going)] == going  # first tokens as they come
    prompts = 1 + len({p.kept if p else () for p in plans})  # and one for what the layers are handed
    assert rows[:prompts] == [1] * prompts
    if in_step:
        by_step = [sum(a.tokens > n for a in alone) for n in range(1, max(a.tokens for a in alone))]
        assert rows[prompts:] == by_step
    else:
        assert rows[prompts:] == [1] * sum(a.tokens - 1 for a in alone)
    for event in events:
        if isinstance(event, PaneDone):
            expected, found = alone[event.pane], event.answer
            assert [e.token_id for e in found.events] == [e.token_id for e in expected.events]
            for ours, theirs in zip(found.events, expected.events, strict=True):
                assert [p for _, p in ours.top] == pytest.approx([p for _, p in theirs.top], rel=1e-4)
            same = ("plan", "text", "stopped", "kv_bytes", "weights_bytes")
            assert [getattr(found, n) for n in same] == [getattr(expected, n) for n in same]


def test_large_layers_take_turns_on_a_cpu_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    vlm = random_vlm()
    assert steps.pays(vlm.model, 3)
    monkeypatch.setattr(steps, "LARGE_LAYER", vlm.spec.layer_parameters[0] - 1)
    assert not steps.pays(vlm.model, 3) and steps.pays(vlm.model, steps.MANY_ROWS)
    assert steps.pays(copy.deepcopy(vlm.model).to(torch.bfloat16), 3)


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


def test_a_cancelled_request_computes_no_further_token() -> None:
    """Cancelled from inside the first step after both prefills: its first token is the last, in all panes together."""
    vlm = random_vlm()
    engine = Engine(lambda _model: vlm)
    calls: list[int] = []

    def cancel(*_: object) -> None:
        calls.append(1)
        if len(calls) == 4:  # one for what the layers are handed, and one for each prefill, went before
            ticket.cancel()

    handle = vlm.model.lm_head.register_forward_hook(cancel)
    try:
        ticket = engine.submit("random", [None, plan(2)], SAMPLE.image, "How many?", LONG)
        events = list(ticket.events())
    finally:
        handle.remove()
    assert len(calls) == 4 and len(events) == 3 and [e.pane for e in events][2] == 0


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
