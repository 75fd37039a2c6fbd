"""Free-form answers from a shared prefill are the ones that each plan gives alone."""

import functools

import numpy as np
import pytest
import torch

from core.data.samples import Sample
from core.data.scoring import METRICS, Gold, Metric, Score
from core.errors import PlanError
from core.pruning.plan import PruningPlan
from core.pruning.trie import trie_layers
from core.runs.records import GenerationConfig
from core.vlm import free_form
from core.vlm.forest import score_plans
from core.vlm.free_form import PlanAnswer, _prefills, answer_plans, score_samples
from core.vlm.generation import _empty_cache, _next_token_logits, _prepared, answer
from core.vlm.loading import load_vlm
from core.vlm.tape import Tail
from core.vlm.view import pruned_view
from tests.conformance.families import FAMILIES, N_LAYERS, build, inputs
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
    taped = free_form.tape_forward

    def without_cache(*args: object) -> object:
        tape = taped(*args)
        for _, kwargs in tape.arguments:
            kwargs["past_key_values"] = None
        return tape

    monkeypatch.setattr(free_form, "tape_forward", without_cache)
    plans, samples = plans_of(), some_samples(1)
    said = answer_plans(random_vlm(), plans, samples, GREEDY)
    assert [row[0] for row in said.answers] == [alone(p, samples[0], GREEDY) for p in plans]
    assert said.layer_passes >= sum(len(p.kept) for p in plans)


def test_a_sample_that_a_stop_interrupts_is_left_out() -> None:
    asked: list[int] = []
    said = answer_plans(
        random_vlm(), plans_of(), some_samples(3), GREEDY, should_stop=lambda: len(asked) > 8 or bool(asked.append(1))
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


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_families_continue_from_the_shared_prefill(family: str) -> None:
    """Sliding windows shorter than the prompt, M-RoPE, DeepStack, linear attention: token by token the same logits."""
    model, batch = build(family), inputs(family)
    prompt, plans = _prepared(model, batch), [PruningPlan(family, N_LAYERS, d) for d in FAMILIES[family].plans()[::9]]
    calls = 0
    for index, prefill, added in _prefills(model, Tail(model), [p.kept for p in plans], prompt):
        assert prefill is not None, "every family here hands a cache to its layers"
        calls += added
        views = [pruned_view(model, plans[index].dropped) for _ in range(2)]
        ids: list[int] = []
        shared = _next_token_logits(views[0], prompt, ids, _empty_cache(views[0]), prefill)
        plain = _next_token_logits(views[1], prompt, ids, _empty_cache(views[1]))
        for _ in range(5):
            logits = next(shared)
            torch.testing.assert_close(logits, next(plain), atol=1e-6, rtol=1e-6)
            ids.append(int(logits.argmax()))
    assert calls == len(trie_layers(plans))
