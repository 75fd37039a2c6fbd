"""Free-form answers from a shared prefill are the ones that each plan gives alone."""

import copy
import functools
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.errors import MemoryLimitError, PlanError
from core.pruning.trie import trie_layers
from core.records.answers import GenerationConfig
from core.records.gold import Gold
from core.records.plan import PruningPlan
from core.records.samples import Sample
from core.scoring.judging import METRICS, Metric, Score
from core.vlm import in_step, prompt
from core.vlm.forest import score_plans
from core.vlm.free_form import PlanAnswer, answer_plans, score_samples
from core.vlm.generation import answer
from core.vlm.loading import load_vlm
from tests.checkpoints import write_qwen
from tests.models import random_vlm, some_samples

DROPS = ((), (1,), (1, 2), (2, 3, 4), (5,), (0, 5))
GREEDY, SAMPLED = GenerationConfig(max_new_tokens=6), GenerationConfig(max_new_tokens=6, temperature=1.5, seed=3)


def plans_of(drops: tuple[tuple[int, ...], ...] = DROPS) -> list[PruningPlan]:
    return [PruningPlan("random", 6, d) for d in drops]


def alone(plan: PruningPlan, sample: Sample, config: GenerationConfig) -> PlanAnswer:
    result = answer(random_vlm(), plan, sample.image, sample.question, config)
    return PlanAnswer(tuple(e.token_id for e in result.events), result.text, result.stopped)


@pytest.mark.parametrize("config", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_answers_equal_those_of_each_plan_alone(config: GenerationConfig) -> None:
    plans, samples = plans_of(), some_samples(3)
    said = answer_plans(random_vlm(), plans, samples, config)
    assert [list(row) for row in said.answers] == [[alone(p, s, config) for s in samples] for p in plans]
    assert said.layer_passes == 3 * len(trie_layers(plans)) < 3 * sum(len(p.kept) for p in plans)


def test_a_family_without_a_cache_in_its_layers_is_answered_view_by_view(monkeypatch: pytest.MonkeyPatch) -> None:
    taped = prompt.tape_forward

    def without_cache(*args: object) -> object:
        tape = taped(*args)
        for _, kwargs in tape.arguments:
            kwargs["past_key_values"] = None
        return tape

    monkeypatch.setattr(prompt, "tape_forward", without_cache)
    plans, samples = plans_of(), some_samples(1)
    said = answer_plans(random_vlm(), plans, samples, GREEDY)
    assert [row[0] for row in said.answers] == [alone(p, samples[0], GREEDY) for p in plans]
    assert said.layer_passes >= sum(len(p.kept) for p in plans)


def test_a_sample_that_a_stop_interrupts_is_left_out() -> None:
    asked: list[int] = []
    said = answer_plans(
        random_vlm(), plans_of(), some_samples(3), GREEDY, should_stop=lambda: len(asked) > 60 or bool(asked.append(1))
    )
    assert [[a is None for a in row] for row in said.answers] == [[False, True, True]] * len(DROPS)


def test_the_metric_decides_and_the_gold_nll_is_teacher_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    def even(text: str, gold: Gold) -> Score:
        right = len(text) % 2 == 0
        return Score(right, f"{len(text)} characters, gold {gold.answer}", "correct" if right else "wrong", right / 2)

    monkeypatch.setitem(METRICS, "even", Metric("even", "Even", even, whole=True))
    plans, samples = plans_of(), some_samples(3)
    free = functools.partial(
        score_samples, random_vlm(), plans, samples, metric="even", max_new_tokens=GREEDY.max_new_tokens
    )
    scores = free()
    texts = [[alone(p, s, GREEDY).text for s in samples] for p in plans]
    assert scores.answers is not None
    assert [[a and a.text for a in row] for row in scores.answers] == texts
    for row, hits in zip(scores.answers, scores.correct, strict=True):
        for said, hit, sample in zip(row, hits, samples, strict=True):
            assert said is not None and said.rule == f"{len(said.text)} characters, gold {sample.answer}"
            assert said.value == (len(said.text) % 2 == 0) / 2
            assert hit == (said.failure == "") and (hit or said.failure in ("wrong", "truncated", "repeating"))
    forced = score_plans(random_vlm(), plans, samples)
    np.testing.assert_allclose(scores.gold_nll, forced.gold_nll)
    stopped = free(should_stop=lambda: True)
    assert np.isnan(stopped.gold_nll).all() and not stopped.correct.any()
    assert score_samples(random_vlm(), plans, samples).answers is None
    assert (score_samples(random_vlm(), plans, samples).correct == forced.correct).all()


def test_a_plan_of_another_depth_is_refused() -> None:
    with pytest.raises(PlanError, match="16 layers"):
        answer_plans(random_vlm(), [PruningPlan("tiny", 16, (3,))], some_samples())


@pytest.mark.slow
def test_the_embedded_model_answers_as_before() -> None:
    vlm, samples = load_vlm(), some_samples(4)
    plans = [PruningPlan("tiny", 16, d) for d in ((), (3,), (3, 4), (14,), (4, 8, 10, 12), (1, 2, 3, 4, 5, 6))]
    said = answer_plans(vlm, plans, samples)
    for plan, row in zip(plans, said.answers, strict=True):
        for sample, found in zip(samples, row, strict=True):
            expected = answer(vlm, plan, sample.image, sample.question)
            tokens = tuple(e.token_id for e in expected.events)
            assert found == PlanAnswer(tokens, expected.text, expected.stopped)
    assert sum(a is not None and a.text == s.answer for a, s in zip(said.answers[0], samples, strict=True)) >= 3


# ------------------------------------------------------------------------------------------------ several at once


@pytest.mark.parametrize("config", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_answers_in_step_are_those_of_one_at_a_time(config: GenerationConfig) -> None:
    plans, samples = plans_of(), some_samples(4)
    one_by_one = answer_plans(random_vlm(), plans, samples, config)
    for size in (2, 4, 13, 99):
        in_step = answer_plans(random_vlm(), plans, samples, config, at_once=size)
        assert in_step.answers == one_by_one.answers
        batches = -(-len(samples) // max(1, size // len(plans)))
        assert in_step.layer_passes == batches * one_by_one.layer_passes // len(samples)


def test_settings_of_a_checkpoint_do_not_reach_answers() -> None:
    """Some checkpoints state a penalty on repeats, or sampling, for `generate`."""
    vlm, plans, samples = random_vlm(), plans_of(), some_samples(2)
    model = copy.copy(vlm.model)
    model.generation_config = copy.deepcopy(vlm.model.generation_config)
    model.generation_config.update(repetition_penalty=9.0, do_sample=True, temperature=3.0, no_repeat_ngram_size=1)
    for at_once in (1, 3):
        found = answer_plans(replace(vlm, model=model), plans, samples, GREEDY, at_once=at_once)
        assert found.answers == answer_plans(vlm, plans, samples, GREEDY).answers


def test_a_stop_between_tokens_leaves_out_the_sample_at_hand() -> None:
    plans, samples, asked = plans_of(), some_samples(4), []
    events = len(plans) * (GREEDY.max_new_tokens + 2)  # of a sample: prompts, tokens, and what is made of them
    scores = score_samples(
        random_vlm(),
        plans,
        samples,
        metric="exact_match",
        max_new_tokens=GREEDY.max_new_tokens,
        answer_batch=4,
        should_stop=lambda: bool(asked.append(1)) or len(asked) > 2 * events + 5,
    )
    assert scores.answers is not None
    assert [[a is None for a in row] for row in scores.answers] == [[False, False, True, True]] * len(plans)
    assert np.isnan(scores.gold_nll).tolist() == [[False, False, True, True]] * len(plans)


def test_fewer_plans_go_in_step_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    plans, samples, sizes = plans_of(), some_samples(3), []
    begin = in_step.InStep.__init__

    def with_room_for(most: int) -> Any:
        def start(self: Any, model: Any, prompt: Any, kept: Any, caches: Any) -> None:
            sizes.append(len(kept))
            if len(kept) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            begin(self, model, prompt, kept, caches)

        return start

    expected = answer_plans(random_vlm(), plans, samples, GREEDY)
    monkeypatch.setattr(in_step.InStep, "__init__", with_room_for(2))
    found = answer_plans(random_vlm(), plans, samples, GREEDY, at_once=6)
    assert found == expected
    assert sizes == [6, 3, *[1, 1, 1, 1, 1, 1] * 3]
    monkeypatch.setattr(in_step.InStep, "__init__", with_room_for(0))
    with pytest.raises(MemoryLimitError, match="not even one answer"):
        answer_plans(random_vlm(), plans, samples, GREEDY, at_once=2)
    sizes.clear()
    monkeypatch.setattr(in_step.InStep, "__init__", with_room_for(5))
    assert (
        answer_plans(random_vlm(), plans, samples[:1], GREEDY, at_once=4096).answers
        == answer_plans(random_vlm(), plans, samples[:1], GREEDY).answers
    )
    assert sizes[:3] == [6, 3, 3], "no attempt is made twice"


def test_no_cache_is_held_twice_while_plans_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Any] = []
    logits = in_step.InStep.logits

    def look(self: Any, tokens: Any) -> Any:
        held.append(sum(any(layer() is not None for layer in prompt_layers) for prompt_layers in made))
        return logits(self, tokens)

    made: list[list[Any]] = []
    prefill = prompt.Prefill

    def watched(logits: Any, layers: Any, passes: int) -> Any:
        made.append([weakref.ref(layer) for layer in layers])
        return prefill(logits, layers, passes)

    monkeypatch.setattr(in_step.InStep, "logits", look)
    monkeypatch.setattr(prompt, "Prefill", watched)
    answer_plans(random_vlm(), plans_of(), some_samples(1), GREEDY, at_once=99)
    assert held and not any(held)


def test_no_plans_and_no_samples_have_no_answers() -> None:
    assert answer_plans(random_vlm(), [], some_samples(2), at_once=3).answers == ()
    assert answer_plans(random_vlm(), plans_of(), [], at_once=0).answers == ((),) * len(DROPS)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_real_families_answer_at_once_as_one_at_a_time(family: str, tmp_path: Path) -> None:
    """Prompts of different lengths with pictures of different sizes: positions in space must survive the padding."""
    vlm = load_vlm(str(write_qwen(tmp_path / family, family)))
    pictures = [Image.new("RGB", size, "tan") for size in ((64, 64), (160, 40), (48, 90))]
    asked = [("How many?", pictures[0]), ("How many of them are left?", pictures[1]), ("So?", pictures[2])]
    asked += [("What is left of 3 and 4?", None), ("Why?", None)]
    samples = [Sample(f"s{i}", "math", "t", question, "7", image) for i, (question, image) in enumerate(asked)]
    plans = [PruningPlan(vlm.spec.model_id, 6, d) for d in ((), (3,), (2, 4))]
    config = GenerationConfig(max_new_tokens=8)
    expected = answer_plans(vlm, plans, samples, config).answers
    for size in (2, 3, 6, 99):
        assert answer_plans(vlm, plans, samples, config, at_once=size).answers == expected
