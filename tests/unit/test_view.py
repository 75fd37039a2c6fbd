"""A pruned view is a physically pruned model that costs nothing and touches nothing."""

import copy
from itertools import combinations
from pathlib import Path

import pytest
import torch
from accelerate import cpu_offload, dispatch_model
from transformers import LlavaForConditionalGeneration

from core.errors import PlanError
from core.records.plan import PruningPlan
from core.vlm.encoding import encode_prompts, encode_samples
from core.vlm.forest import score_plans
from core.vlm.loading import VLM, describe
from core.vlm.view import pruned_config, pruned_view
from tests.models import random_vlm, some_samples

ALL_PLANS = [dropped for n in range(6) for dropped in combinations(range(6), n)]


def rebuilt(model: LlavaForConditionalGeneration, dropped: tuple[int, ...]) -> LlavaForConditionalGeneration:
    """A model of its own, built at the smaller depth, the kept layers' weights copied into it."""
    kept = [i for i in range(6) if i not in dropped]
    other = LlavaForConditionalGeneration(pruned_config(model.config, kept)).eval()
    state = {}
    for name, value in model.state_dict().items():
        head, found, tail = name.partition("language_model.layers.")
        if found:
            layer, rest = tail.split(".", 1)
            if int(layer) not in kept:
                continue
            state[f"{head}{found}{kept.index(int(layer))}.{rest}"] = value.clone()
        else:
            state[name] = value.clone()
    other.load_state_dict(state)
    return other


def test_every_plan_equals_a_physically_rebuilt_model() -> None:
    vlm = random_vlm()
    batch = encode_samples(vlm, some_samples(3))
    assert len(ALL_PLANS) == 63
    with torch.inference_mode():
        for dropped in ALL_PLANS:
            ours = pruned_view(vlm.model, dropped)(**batch.inputs).logits
            theirs = rebuilt(vlm.model, dropped)(**batch.inputs).logits
            assert torch.equal(ours, theirs), dropped


def test_the_full_model_is_untouched_and_no_parameter_is_copied() -> None:
    vlm = random_vlm()
    batch = encode_samples(vlm, some_samples(3))
    pointers = {p.data_ptr() for p in vlm.model.parameters()}
    config = vlm.model.config.to_dict()
    with torch.inference_mode():
        before = vlm.model(**batch.inputs).logits
        views = [pruned_view(vlm.model, dropped) for dropped in ALL_PLANS]
        for view in views:
            view(**batch.inputs)
        after = vlm.model(**batch.inputs).logits
    assert torch.equal(before, after)
    assert all(p.data_ptr() in pointers for view in views for p in view.parameters())
    assert vlm.model.config.to_dict() == config
    assert [layer.self_attn.layer_idx for layer in vlm.model.get_decoder().layers] == list(range(6))


def test_cached_decoding_equals_uncached() -> None:
    """Without renumbering, the cache of a pruned model is indexed past its end (or read from the wrong layer)."""
    vlm = random_vlm()
    sample = some_samples(3)[0]
    inputs = encode_prompts(vlm, [sample.question], [sample.image])
    for dropped in [(), (0,), (2, 3), (1, 4), (0, 1, 2, 3, 4)]:
        view = pruned_view(vlm.model, dropped)
        cached, uncached = (
            view.generate(**inputs, max_new_tokens=8, do_sample=False, use_cache=use_cache)
            for use_cache in (True, False)
        )
        assert torch.equal(cached, uncached), dropped


def test_hooks_on_a_view_do_not_reach_the_model() -> None:
    vlm = random_vlm()
    view = pruned_view(vlm.model, (1,))
    calls: list[int] = []
    for i, layer in enumerate(view.get_decoder().layers):
        layer.register_forward_hook(lambda *_args, i=i: calls.append(i))
    batch = encode_samples(vlm, some_samples(2))
    with torch.inference_mode():
        vlm.model(**batch.inputs)
        assert calls == []
        view(**batch.inputs)
    assert calls == [0, 1, 2, 3, 4]


def test_a_saved_view_is_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    vlm = random_vlm()
    batch = encode_samples(vlm, some_samples(2))
    view = pruned_view(vlm.model, (1, 4))
    view.save_pretrained(tmp_path)
    again = LlavaForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert again.config.text_config.num_hidden_layers == 4
    with torch.inference_mode():
        assert torch.equal(view(**batch.inputs).logits, again(**batch.inputs).logits)


@pytest.mark.parametrize("dropped", [(6,), (-1,), (0, 1, 2, 3, 4, 5)])
def test_impossible_plans_are_refused(dropped: tuple[int, ...]) -> None:
    with pytest.raises(PlanError):
        pruned_view(random_vlm().model, dropped)


# ------------------------------------------------------------------------------------------------ dispatched models


def spread(how: str, folder: Path) -> VLM:
    """The random model with accelerate's hooks on it: every second layer on disk, or all weights offloaded."""
    vlm = random_vlm()
    model = copy.deepcopy(vlm.model)
    if how == "offloaded":
        cpu_offload(model, execution_device=torch.device("cpu"))
    else:
        places = {"model.vision_tower": "cpu", "model.multi_modal_projector": "cpu", "lm_head": "cpu"}
        places |= {f"model.language_model.{name}": "cpu" for name in ("embed_tokens", "norm", "rotary_emb")}
        places |= {f"model.language_model.layers.{i}": "disk" if i % 2 else "cpu" for i in range(6)}
        dispatch_model(model, places, main_device="cpu", offload_dir=folder, force_hooks=True)
    return VLM(model, vlm.processor, describe(model, "random", "test"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["offloaded", "with layers on disk"])
def test_views_of_a_dispatched_model_equal_those_of_the_plain_one(how: str, tmp_path: Path) -> None:
    """accelerate binds `forward` to each module: a shallow copy of a layer ran the original, in its cache entry."""
    plain, vlm = random_vlm(), spread(how, tmp_path)
    layers = vlm.model.get_decoder().layers
    assert hasattr(layers[1].self_attn.q_proj, "_hf_hook") and layers[1].self_attn.q_proj.weight.device.type == "meta"
    assert vlm.device == torch.device("cpu") and vlm.spec.device == ("cpu" if how == "offloaded" else "cpu+disk")
    batch = encode_samples(plain, some_samples(1))
    prompt = encode_prompts(plain, [some_samples(1)[0].question], [some_samples(1)[0].image])
    options = {"max_new_tokens": 4, "do_sample": False}
    for number, dropped in enumerate(ALL_PLANS):
        views = [pruned_view(model, dropped) for model in (vlm.model, plain.model)]
        with torch.inference_mode():
            ours, theirs = (view(**batch.inputs).logits for view in views)
        assert torch.equal(ours, theirs), dropped
        if number % 6 == 0:
            ours, theirs = (view.generate(**prompt, **options) for view in views)
            assert torch.equal(ours, theirs), dropped
    assert [layer.self_attn.layer_idx for layer in layers] == list(range(6))


def test_copies_of_a_hooked_layer_run_themselves() -> None:
    """The forward that accelerate put on a layer, and the one below it, belong to the copy, not to the original."""
    model = copy.deepcopy(random_vlm().model)
    dispatch_model(model, {"": "cpu"}, main_device="cpu", force_hooks=True)
    layer, copied = model.get_decoder().layers[3], pruned_view(model, (0, 1)).get_decoder().layers[1]
    for ours, theirs in ((copied, layer), (copied.self_attn, layer.self_attn)):
        assert ours is not theirs and ours._hf_hook is theirs._hf_hook
        assert ours.forward.args == (ours,) and ours._old_forward.__self__ is ours
        assert theirs.forward.args == (theirs,) and theirs._old_forward.__self__ is theirs
    assert copied.mlp is layer.mlp  # has no place in the cache, so it is shared
    assert (copied.self_attn.layer_idx, layer.self_attn.layer_idx) == (1, 3)


@pytest.mark.slow
def test_a_dispatched_model_goes_through_the_forest(tmp_path: Path) -> None:
    plain, vlm = random_vlm(), spread("with layers on disk", tmp_path)
    plans = [PruningPlan("random", 6, dropped) for dropped in ALL_PLANS[::4]]
    ours, theirs = (score_plans(v, plans, some_samples(3)) for v in (vlm, plain))
    assert (ours.correct == theirs.correct).all() and (ours.gold_nll == theirs.gold_nll).all()
