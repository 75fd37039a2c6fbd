"""Configurations cut to the kept layers say of each of them what they said before, in every family of transformers."""

import random
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, Gemma4Config, Llama4Config, PreTrainedModel

from core.errors import ModelError, PlanError
from core.vlm.depth import check_separable
from core.vlm.loading import decoder_layers, structural_layers, text_decoder
from core.vlm.view import pruned_config, pruned_view
from tests.conformance.families import MROPE, QWEN_VISION, TEXT

# ------------------------------------------------------------------------------------------------ rules, by hand


def text_of(config: Any, kept: list[int]) -> Any:
    return pruned_config(config, kept).get_text_config(decoder=True)


def test_lists_by_layer_and_lists_of_layers_are_told_apart() -> None:
    text = {"num_hidden_layers": 6, "no_rope_layers": [1, 1, 0, 1, 1, 0], "moe_layers": [1, 3, 5]}
    cut = text_of(Llama4Config(text_config=text), [0, 2, 3, 5])
    assert cut.num_hidden_layers == 4
    assert cut.no_rope_layers == [1, 0, 1, 0]  # a value for each layer: those of 0, 2, 3, 5
    assert cut.moe_layers == [2, 3]  # indices: 3 and 5 moved, 1 is gone
    assert cut.layer_types == ["chunked_attention", "full_attention", "chunked_attention", "full_attention"]


def test_a_list_of_every_layer_stays_one() -> None:
    """As long as the decoder, but it lists indices: cut like values, it would name layers that are not there."""
    config = AutoConfig.for_model("molmo2", text_config={"num_hidden_layers": 6})
    assert config.text_config.rope_scaling_layers == [0, 1, 2, 3, 4, 5]
    assert text_of(config, [1, 3, 4]).rope_scaling_layers == [0, 1, 2]


def test_every_second_layer_becomes_a_list_of_the_others() -> None:
    """Experts are in layers 1, 5 and 7: every second one, less one that has been named."""
    text = {"num_hidden_layers": 8, "decoder_sparse_step": 2, "mlp_only_layers": [3]}
    cut = text_of(AutoConfig.for_model("qwen3_vl_moe", text_config=text), [1, 2, 3, 5, 6])
    assert (cut.decoder_sparse_step, cut.mlp_only_layers) == (1, [1, 2, 4])


def test_layers_counted_from_the_first_are_counted_again() -> None:
    config = AutoConfig.for_model("glm4v_moe", text_config={"num_hidden_layers": 6, "first_k_dense_replace": 3})
    cuts = {(0, 2, 4): 2, (3, 4, 5): 0, (0, 1, 2): 3}
    assert {kept: text_of(config, list(kept)).first_k_dense_replace for kept in cuts} == cuts


def test_overrides_by_layer_move_with_their_layers() -> None:
    text = {"num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2}
    config = Gemma4Config(text_config={**text, "hidden_size_per_layer_input": 0, "head_dim": 8, "global_head_dim": 16})
    assert [c.head_dim for c in config.text_config.per_layer_config] == [8, 16, 8, 16]
    assert [c.head_dim for c in text_of(config, [1, 2, 3]).per_layer_config] == [16, 8, 16]
    assert [c.head_dim for c in config.text_config.per_layer_config] == [8, 16, 8, 16]


def test_a_configuration_that_would_correct_itself_is_refused() -> None:
    """Gemma 4 makes the last layer one of full attention, whatever is written: weights would not fit on reload."""
    text = {"num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2}
    config = Gemma4Config(text_config={**text, "hidden_size_per_layer_input": 0})
    with pytest.raises(PlanError, match=r"gemma4_text cannot keep these layers only: .* layer_types"):
        pruned_config(config, [0, 1, 2])


@pytest.mark.parametrize("kept", [[0, 2], [2]])
def test_layers_that_count_no_tokens_cannot_be_alone(kept: list[int]) -> None:
    text = {"num_hidden_layers": 3, "layer_types": ["conv", "full_attention", "conv"]}
    with pytest.raises(PlanError, match="at least one attention layer"):
        pruned_config(AutoConfig.for_model("lfm2_vl", text_config=text), kept)


def test_a_list_of_layers_of_unknown_meaning_is_refused() -> None:
    config = AutoConfig.for_model("llava", text_config={"model_type": "llama", "num_hidden_layers": 6})
    config.text_config.looped_layers = [2, 3]
    with pytest.raises(ModelError, match=r"llama lists layers in a way that is not known here \(looped_layers in"):
        check_separable(config)
    config.text_config.looped_layers = []
    check_separable(config)


# ------------------------------------------------------------------------------------------------ real models

NO_DEEPSTACK = {
    **QWEN_VISION,
    "intermediate_size": 48,
    "out_hidden_size": 32,
    "num_position_embeddings": 64,
    "deepstack_visual_indexes": [],
}
HEADS = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 8, "intermediate_size": 48}
SMALL: dict[str, dict[str, Any]] = {
    "qwen3_vl_moe": {  # every second layer has experts, save one
        "text_config": {
            **TEXT,
            "moe_intermediate_size": 16,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "decoder_sparse_step": 2,
            "mlp_only_layers": [3],
            "rope_parameters": {**MROPE, "mrope_interleaved": True},
        },
        "vision_config": NO_DEEPSTACK,
    },
    "gemma4": {  # heads of other sizes in every second layer
        "text_config": {
            **TEXT,
            "hidden_size_per_layer_input": 0,
            "global_head_dim": 16,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention"] * 3,
        },
        "vision_config": {**HEADS, "num_hidden_layers": 1},
        "audio_config": None,
    },
    "molmo2": {  # the decoder lists rotary embeddings by layer, the configuration the layers of one kind
        "text_config": {
            **TEXT,
            "additional_vocab_size": 8,
            "rope_scaling_layers": [0, 1, 3],
            "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0},
        },
        "vision_config": {**HEADS, "num_hidden_layers": 2, "image_size": [16, 16], "patch_size": 8},
        "adapter_config": {**HEADS, "text_hidden_size": 32, "vision_feature_layer": [-1]},
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("family", SMALL)
def test_every_view_equals_its_reloaded_checkpoint(family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(AutoConfig.for_model(family, **SMALL[family])).eval().float()
    for p in model.parameters():
        if p.ndim >= 2:
            nn.init.normal_(p, std=0.15)
    ids = torch.randint(5, 90, (1, 9))
    refused = 0
    with torch.inference_mode():
        full = model(input_ids=ids).logits
        for dropped in (d for n in range(6) for d in combinations(range(6), n)):
            try:
                view = pruned_view(model, dropped)
            except PlanError:  # Gemma 4 ends with full attention
                refused += 1
                continue
            ours = view(input_ids=ids).logits
            view.save_pretrained(tmp_path)
            again = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
            # the kernels of experts round by memory alignment
            torch.testing.assert_close(again(input_ids=ids).logits, ours, atol=1e-5, rtol=0)
            assert torch.equal(ours, full) == (not dropped), dropped
        assert torch.equal(model(input_ids=ids).logits, full)
    assert refused == (21 if family == "gemma4" else 0)


# ------------------------------------------------------------------------------------------------ every family

TIMM = {"fast_vlm", "gemma3n", "perception_lm"}  # their towers come from timm, which is not among the requirements
NOT_PRUNABLE = {"blip", "diffusion_gemma", "git", "idefics", "inkling2", "mllama", "pi0"}
INCOMPLETE = {"evolla", "qwen4_exp"}  # transformers cannot build these from defaults
NEEDED: dict[str, dict[str, Any]] = {  # what the defaults leave out
    "aya_vision": {"vision_config": {"model_type": "siglip_vision_model"}},
    "chameleon": {"vocabulary_map": {"<image>": 4, "IMGIMGA": 5}},
    "cohere_compass": {
        "text_config": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}}}
    },
    "deepseek_ocr2": {"text_config": {"mlp_layer_types": ["dense"] * 2 + ["sparse"] * 30}},
    "emu3": {"vocabulary_map": {"<image>": 4, "<|visual token 000001|>": 5}},
    "gemma4": {"text_config": {"hidden_size_per_layer_input": 0}},
    "granite4_vision": {
        "deepstack_layer_map": [[-19, 3], [-1, 0]],
        "spatial_target_layers": [0, 1, 2, 3],
        "downsample_rate": "1/4",
    },
    "hunyuan_vl": {"text_config": {"head_dim": 128}},
}
DEEPSTACK = {"cohere_compass", "cosmos3_omni", "granite_docling", "qwen3_omni_moe_thinker", "qwen3_vl", "qwen3_vl_moe"}
PLAIN = (bool, int, float, str, type(None), tuple, list)
ENDS_WITH_FULL_ATTENTION = {"gemma4", "gemma4_unified"}


# the configuration of every decoder-only family that transformers calls image-text-to-text
CONFIGS = {c.model_type: c for c in AutoModelForImageTextToText._model_mapping if not c.is_encoder_decoder}
FAMILIES = sorted(set(CONFIGS) - TIMM - NOT_PRUNABLE - INCOMPLETE)


def traits(layer: nn.Module) -> dict[str, Any]:
    """What sets a layer apart, its place aside: types, shapes, and plain attributes of it and of all its parts."""
    return {
        name: (
            type(part),
            {k: p.shape for k, p in part._parameters.items() if p is not None},
            {k: v for k, v in vars(part).items() if isinstance(v, PLAIN) and k not in ("layer_idx", "training")},
        )
        for name, part in layer.named_modules()
    }


def outline(config: Any) -> PreTrainedModel:
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_cut_configuration_describes_the_kept_layers(family: str, tmp_path: Path) -> None:
    """A model built from it has, layer by layer, what the view has, and no more of the full model is left in the view.

    The configurations are the families' own defaults at full width, cut to eight layers.
    """
    config = CONFIGS[family](**NEEDED.get(family, {}))
    depth = config.get_text_config(decoder=True).num_hidden_layers
    if family not in ENDS_WITH_FULL_ATTENTION:
        config = pruned_config(config, list(range(min(8, depth))))
    model = outline(config)
    n_layers = len(decoder_layers(model))
    fixed = structural_layers(model)
    assert fixed == (tuple(range(4)) if family == "granite4_vision" else (0, 1, 2) if family in DEEPSTACK else ())
    rng = random.Random(0)
    for _ in range(2):
        kept = {n_layers - 1, *rng.sample(range(n_layers), rng.randint(2, n_layers - 1))}
        try:
            view = pruned_view(model, set(range(n_layers)) - kept)
        except PlanError as error:
            assert "at least one attention layer" in str(error)
            continue
        view.config.save_pretrained(tmp_path)
        again = outline(AutoConfig.from_pretrained(tmp_path))
        ours, theirs = decoder_layers(view, least=1), decoder_layers(again, least=1)
        assert [traits(layer) for layer in ours] == [traits(layer) for layer in theirs]
        lists = {k: v for k, v in vars(text_decoder(view)).items() if isinstance(v, list) and k[0] != "_"}
        assert lists == {k: vars(text_decoder(again))[k] for k in lists}
        assert not {text_decoder(model), *decoder_layers(model)} & set(view.modules())
        places = [{m.layer_idx for m in layer.modules() if hasattr(m, "layer_idx")} for layer in ours]
        assert all(found <= {place} for place, found in enumerate(places))


@pytest.mark.parametrize("family", sorted(NOT_PRUNABLE - {"diffusion_gemma", "pi0"}))
def test_families_that_cannot_be_pruned_say_so(family: str) -> None:
    with pytest.raises(ModelError, match=r"one by one|no decoder layer list"):
        decoder_layers(outline(CONFIGS[family]()))


# ------------------------------------------------------------------------------------------------ as others name it


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ({"layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"]}, [0, 1, 3]),
        ({"layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"]}, [0]),
        ({"hybrid_override_pattern": "M-M*"}, [0, 2]),
        ({"hybrid_override_pattern": "M*M*EE"}, [0, 2, 4, 5]),
    ],
)
def test_a_hybrid_that_lists_its_layers_otherwise_keeps_an_attention_layer(text: Any, kept: list[int]) -> None:
    """Its list is called layers_block_type: a plan without attention was taken, and the view failed in its cache."""
    config = AutoConfig.for_model("nemotron_h_omni", text_config={"model_type": "nemotron_h", **text})
    with pytest.raises(PlanError, match="at least one attention layer"):
        pruned_config(config, kept)
    n_layers = config.get_text_config(decoder=True).num_hidden_layers
    with_attention = sorted({*kept, config.get_text_config(decoder=True).layers_block_type.index("full_attention")})
    cut = text_of(config, with_attention)
    assert len(cut.layers_block_type) == cut.num_hidden_layers == len(with_attention) <= n_layers
    assert cut.mtp_layers_block_type == ["full_attention", "moe"]  # of layers beside the decoder


@pytest.mark.parametrize(
    ("stated", "cut"),
    [
        (["model.layers.3.mlp", "lm_head", "model.layers.1"], ["model.layers.2.mlp", "lm_head"]),
        (["model.language_model.layers.0.self_attn.q_proj"], ["model.language_model.layers.0.self_attn.q_proj"]),
        (["language_model.model.layers.13.mlp.experts.5"], []),
        (["model.visual.blocks.3.attn", "vision_tower.encoder.layers.1"],) * 2,
        ({"model.layers.3.mlp": {"bits": 8}, "model.layers.1.mlp": {"bits": 8}}, {"model.layers.2.mlp": {"bits": 8}}),
        ({"a": {"b": ("layers.2.mlp",)}, "c": 4, "d": None}, {"a": {"b": ("layers.1.mlp",)}, "c": 4, "d": None}),
        (["re:.*lm_head", "re:.*self_attn.*"],) * 2,
    ],
)
def test_names_with_layer_numbers_outside_the_text_are_renumbered(stated: Any, cut: Any) -> None:
    """A quantised checkpoint's list of what it left alone named layers that had moved; so did 4 of these 7."""
    config = AutoConfig.for_model("llava", text_config={"model_type": "llama", "num_hidden_layers": 4})
    config.quantization_config = {"quant_method": "awq", "modules_to_not_convert": stated}
    assert pruned_config(config, [0, 2, 3]).quantization_config["modules_to_not_convert"] == cut
    assert config.quantization_config["modules_to_not_convert"] == stated


@pytest.mark.parametrize(
    "name", [r"re:.*layers\.\d+\.mlp.*", "re:model.layers.[0-3].mlp", "re:.*layers.(0|1).mlp", r"-:model\.layers\.3\."]
)
def test_layers_named_by_a_pattern_are_refused(name: str) -> None:
    config = AutoConfig.for_model("llava", text_config={"model_type": "llama", "num_hidden_layers": 4})
    config.quantization_config = {"quant_method": "gptq", "dynamic": {name: {}}}
    with pytest.raises(PlanError, match="names layers by a pattern"):
        pruned_config(config, [0, 2, 3])
