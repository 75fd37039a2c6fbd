"""Models that cannot be used are refused with one line that says why."""

from pathlib import Path

import pytest
from transformers import Qwen3Config, Qwen3ForCausalLM

from core import settings
from core.errors import ModelError
from core.vlm.loading import decoder_layers, folder_revision, load_vlm, read_spec


def test_the_spec_is_read_without_weights_and_equals_the_loaded_one() -> None:
    loaded, read = load_vlm("tiny").spec, read_spec("tiny")
    assert loaded.n_layers == len(loaded.layer_parameters) == 16
    assert (read.n_parameters, read.layer_parameters) == (loaded.n_parameters, loaded.layer_parameters)
    assert (read.revision, read.family, read.structural) == (loaded.revision, "llava", ())
    assert loaded.dtype == "float32" and loaded.device == "cpu"


def test_tied_embeddings_are_counted_once() -> None:
    vlm = load_vlm("tiny")
    assert vlm.spec.n_parameters == sum({p.data_ptr(): p.numel() for p in vlm.model.parameters()}.values())
    assert vlm.spec.layer_parameters[0] == sum(p.numel() for p in decoder_layers(vlm.model)[0].parameters())


@pytest.mark.parametrize("name", ["tinny", "../../etc", "a/b/c", "", "org/na me", "http://x/y"])
def test_unknown_names_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_vlm(name)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        load_vlm(str(tmp_path))


def test_a_text_only_model_is_refused(tmp_path: Path) -> None:
    config = Qwen3Config(
        vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2, head_dim=4
    )
    Qwen3ForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="does not take images"):
        load_vlm(str(tmp_path))


def test_a_checkpoint_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((settings.TINY_DIR / "config.json").read_text())
    with pytest.raises(ModelError, match="safetensors"):
        load_vlm(str(tmp_path))


def test_the_revision_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"a")
    first = folder_revision(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"b")
    assert folder_revision(tmp_path) != first


@pytest.mark.parametrize(("option", "value"), [("device", "gpu9x"), ("dtype", "int3")])
def test_unknown_devices_and_dtypes_are_refused(option: str, value: str) -> None:
    with pytest.raises(ModelError, match="unknown"):
        load_vlm("tiny", **{option: value})


def test_a_local_folder_never_stands_in_for_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """from_pretrained("org/name") prefers ./org/name; asked for a Hub id, we never look there."""
    (tmp_path / "org" / "name").mkdir(parents=True)
    for file in settings.TINY_DIR.glob("*.*"):
        (tmp_path / "org" / "name" / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="cannot fetch 'org/name' from the Hub"):
        load_vlm("org/name")
    assert load_vlm("./org/name").spec.n_layers == 16


def test_a_model_that_needs_its_own_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "brand_new_vlm", "auto_map": {"AutoConfig": "configuration.NewConfig"}}'
    )
    (tmp_path / "configuration.py").write_text("raise SystemExit('remote code ran')")
    with pytest.raises(ModelError, match="not a model that transformers knows") as caught:
        load_vlm(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_cross_attention_layers_are_refused() -> None:
    from torch import nn

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cross_attn = nn.Linear(2, 2)

    class Decoder(nn.Module):
        layers = nn.ModuleList([Layer(), Layer()])

    class Model(nn.Module):
        class config:
            model_type = "mllama"

        def get_decoder(self) -> Decoder:
            return Decoder()

    with pytest.raises(ModelError, match="cross-attention"):
        decoder_layers(Model())  # type: ignore[arg-type]
