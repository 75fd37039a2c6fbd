"""The forest gives, for every plan and item, what running each view alone gives."""

import copy
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import dispatch_model
from accelerate.hooks import AlignDevicesHook, add_hook_to_module

from core.errors import PlanError
from core.pruning.trie import trie_layers
from core.records.answers import GenerationConfig
from core.records.plan import PruningPlan
from core.vlm.encoding import encode_samples, sample_batches
from core.vlm.forest import batch_outcomes, score_plans
from core.vlm.free_form import answer_plans
from core.vlm.loading import load_vlm
from core.vlm.tape import Tail
from core.vlm.view import pruned_view
from tests.models import random_vlm, some_samples


def plans_of(drops: list[tuple[int, ...]]) -> list[PruningPlan]:
    return [PruningPlan("random", 6, d) for d in drops]


def one_by_one(dropped: tuple[int, ...], batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Exact match and mean gold NLL of a view from its ordinary logits."""
    vlm, samples = random_vlm(), some_samples()
    view = pruned_view(vlm.model, dropped)
    correct, nll = [], []
    for rows in sample_batches(samples, batch_size):
        batch = encode_samples(vlm, [samples[i] for i in rows])
        with torch.inference_mode():
            logits = view(**batch.inputs).logits
        for b in range(len(rows)):
            at = batch.answer[b].nonzero()[:, 0]
            gold, predicted = batch.inputs["input_ids"][b, at], logits[b, at - 1]
            correct.append(bool((predicted.argmax(-1) == gold).all()))
            nll.append(float(torch.nn.functional.cross_entropy(predicted, gold)))
    return np.array(correct), np.array(nll)


def test_outcomes_equal_views_run_one_by_one() -> None:
    rng = random.Random(3)
    drops = [
        (),
        (0,),
        (5,),
        (1, 2),
        *(tuple(sorted(rng.sample(range(6), k))) for k in (1, 2, 3, 4, 5) for _ in range(2)),
    ]
    scores = score_plans(random_vlm(), plans_of(drops), some_samples(), batch_size=5)
    for row, dropped in enumerate(drops):
        correct, nll = one_by_one(dropped, 5)
        assert scores.correct[row].tolist() == correct.tolist()
        np.testing.assert_allclose(scores.gold_nll[row], nll, atol=2e-6)


def test_each_trie_node_is_computed_once() -> None:
    # kept sequences of 0-5: dropping 1 or 2 shares layer 0; behind it the prefixes are
    # drop 1: 02 023 0234 02345 · drop 2: 01 013 0134 01345 · drop 1 and 2: 03 034 0345  -> 1 + 4 + 4 + 3
    plans = plans_of([(1,), (2,), (1, 2)])
    assert len(trie_layers(plans)) == 12
    scores = score_plans(random_vlm(), plans, some_samples(), batch_size=6)
    assert scores.layer_passes == 2 * 12  # two batches


def test_coinciding_plans_are_computed_once_and_reported_each() -> None:
    plans = [PruningPlan("random", 6, (2,), "a"), PruningPlan("random", 6, (2,), "b")]
    scores = score_plans(random_vlm(), plans, some_samples(), batch_size=64)
    assert scores.layer_passes == len(trie_layers(plans)) == 5
    assert scores.gold_nll[0].tolist() == scores.gold_nll[1].tolist()


def test_stop_leaves_the_rest_unscored() -> None:
    seen: list[int] = []
    scores = score_plans(
        random_vlm(),
        plans_of([(1,)]),
        some_samples(),
        batch_size=4,
        progress=lambda done, _total: seen.append(done),
        should_stop=lambda: len(seen) == 2,
    )
    assert np.isnan(scores.gold_nll[0]).tolist() == [False] * 8 + [True] * 4


def test_a_plan_of_another_depth_is_refused() -> None:
    with pytest.raises(PlanError, match="16 layers"):
        score_plans(random_vlm(), [PruningPlan("tiny", 16, (3,))], some_samples())


def test_a_plan_that_drops_structural_layers_is_refused() -> None:
    vlm = random_vlm()
    deepstack = replace(vlm, spec=replace(vlm.spec, structural=(0, 1)))
    with pytest.raises(PlanError, match="visual features in at layer 1"):
        score_plans(deepstack, plans_of([(1, 3)]), some_samples())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_last_mlp_runs_at_answer_positions_only_if_rounding_allows(dtype: torch.dtype) -> None:
    model, batch, seen = copy.deepcopy(random_vlm().model).to(dtype), encode_samples(random_vlm(), some_samples()), []
    batch.inputs["pixel_values"] = batch.inputs["pixel_values"].to(dtype)
    for layer in model.get_decoder().layers:
        layer.mlp.register_forward_pre_hook(lambda _mlp, args: seen.append(args[0].shape[:-1].numel()))
    drops = [(2,), (2, 3)]
    rows, columns = batch.answer.nonzero(as_tuple=True)
    with torch.inference_mode():
        hits, nll, passes = batch_outcomes(model, Tail(model), [p.kept for p in plans_of(drops)], batch, rows_in_head=5)
        every, answers = batch.answer.numel(), len(rows)
        assert len(seen) == passes == 7  # 0 1 · 3 4 5 · 4 5
        assert sorted(seen) == sorted([every] * 5 + [answers if dtype == torch.float32 else every] * 2)
        for hit, loss, dropped in zip(hits, nll, drops, strict=True):
            logits = pruned_view(model, dropped)(**batch.inputs).logits[rows, columns - 1].float()
            gold = batch.inputs["input_ids"][rows, columns]
            for b in range(len(hit)):
                assert hit[b] == (logits.argmax(-1) == gold)[rows == b].all()
                expected = torch.nn.functional.cross_entropy(logits[rows == b], gold[rows == b])
                assert loss[b] == pytest.approx(float(expected), abs=1e-5)


def test_a_model_may_end_its_turns_with_another_token_than_its_tokenizers() -> None:
    """As Gemma 3 does, and GLM-4V: an answer that ends with any of the model's end tokens is at its end."""
    plain, samples = load_vlm(), some_samples()
    plans = [PruningPlan("tiny", 16, d) for d in ((), (4,), (8, 11, 13), (3, 4, 6, 7, 8))]
    expected = score_plans(plain, plans, samples)
    assert 0 < expected.correct.sum() < expected.correct.size
    model = copy.deepcopy(plain.model)
    end, other = plain.processor.tokenizer.eos_token_id, plain.processor.tokenizer.pad_token_id
    head = model.lm_head.weight
    model.lm_head.weight = torch.nn.Parameter(
        head[[{end: other, other: end}.get(i, i) for i in range(len(head))]], False
    )
    for ends in ([end, other], [other]):
        model.generation_config.eos_token_id = ends
        scores = score_plans(replace(plain, model=model), plans, samples)
        assert scores.correct.tolist() == expected.correct.tolist()
        np.testing.assert_allclose(scores.gold_nll, expected.gold_nll, atol=1e-3)
    model.generation_config.eos_token_id = [end]
    assert not score_plans(replace(plain, model=model), plans, samples).correct.any()


# ------------------------------------------------------------------------------------------------ several devices


@pytest.mark.slow
def test_a_model_with_layers_on_disk_scores_the_same(tmp_path: Path) -> None:
    """accelerate's hooks fetch weights and move inputs, layer by layer."""
    plain, plans, samples = random_vlm(), plans_of([(), (1,), (1, 2), (3, 5), (0,)]), some_samples()[:4]
    model = copy.deepcopy(plain.model)
    places = dict.fromkeys(["model.vision_tower", "model.multi_modal_projector", "lm_head"], "cpu")
    places |= {f"model.language_model.{name}": "cpu" for name in ("embed_tokens", "norm", "rotary_emb")}
    places |= {f"model.language_model.layers.{i}": "disk" if i % 2 else "cpu" for i in range(6)}
    dispatch_model(model, places, main_device="cpu", offload_dir=tmp_path, force_hooks=True)
    vlm = replace(plain, model=model)
    ours, theirs = (score_plans(v, plans, samples) for v in (vlm, plain))
    assert (ours.correct == theirs.correct).all() and ours.layer_passes == theirs.layer_passes
    np.testing.assert_array_equal(ours.gold_nll, theirs.gold_nll)
    said, expected = (answer_plans(v, plans, samples[:1], GenerationConfig(4)).answers for v in (vlm, plain))
    assert said == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU beside the CPU")
def test_layers_on_a_gpu_and_on_the_cpu_score_the_same() -> None:
    plain, plans, samples = random_vlm(), plans_of([(), (1,), (1, 2), (3, 5), (0,)]), some_samples()
    model = copy.deepcopy(plain.model)
    for i, layer in enumerate(model.get_decoder().layers):
        device = "cuda:0" if i % 2 else "cpu"
        add_hook_to_module(layer.to(device), AlignDevicesHook(device))
    add_hook_to_module(model.get_decoder().norm, AlignDevicesHook("cpu"))
    vlm = replace(plain, model=model)
    ours, theirs = (score_plans(v, plans, samples) for v in (vlm, plain))
    assert (ours.correct == theirs.correct).all()
    np.testing.assert_allclose(ours.gold_nll, theirs.gold_nll, atol=1e-4)
    said, expected = (answer_plans(v, plans, samples[:2], GenerationConfig(4)).answers for v in (vlm, plain))
    assert said == expected
