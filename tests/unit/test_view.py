"""A pruned view is a physically pruned model that costs nothing and touches nothing."""

from itertools import combinations

import pytest
import torch
from transformers import LlavaForConditionalGeneration

from core.errors import PlanError
from core.vlm.encoding import encode_prompts, encode_samples
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


def test_a_saved_view_is_a_checkpoint_of_its_own(tmp_path: object) -> None:
    vlm = random_vlm()
    batch = encode_samples(vlm, some_samples(2))
    view = pruned_view(vlm.model, (1, 4))
    view.save_pretrained(str(tmp_path))
    again = LlavaForConditionalGeneration.from_pretrained(str(tmp_path)).eval()
    assert again.config.text_config.num_hidden_layers == 4
    with torch.inference_mode():
        assert torch.equal(view(**batch.inputs).logits, again(**batch.inputs).logits)


@pytest.mark.parametrize("dropped", [(6,), (-1,), (0, 1, 2, 3, 4, 5)])
def test_impossible_plans_are_refused(dropped: tuple[int, ...]) -> None:
    with pytest.raises(PlanError):
        pruned_view(random_vlm().model, dropped)
