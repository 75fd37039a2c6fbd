"""Models that cannot be used are refused with one line that says why."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    Florence2Config,
    Gemma3nConfig,
    Gemma4Config,
    GitConfig,
    GitForCausalLM,
    Glm5NextConfig,
    IdeficsConfig,
    Inkling2Config,
    LlamaConfig,
    MllamaConfig,
    PI0Config,
    Qwen3Config,
)

from core import settings
from core.cli import main as cli
from core.errors import ModelError
from core.vlm import loading, placement
from core.vlm.encoding import encode_samples
from core.vlm.loading import decoder_layers, folder_revision, load_vlm, read_spec
from core.vlm.placement import checkpoint_bytes, choose_place, loaded_bytes, roomy_place
from tests.models import some_samples


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


def test_the_revision_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"a")
    first = folder_revision(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"b")
    assert folder_revision(tmp_path) != first


def test_a_local_folder_never_stands_in_for_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """from_pretrained("org/name") prefers ./org/name; asked for a Hub id, we never look there."""
    (tmp_path / "org" / "name").mkdir(parents=True)
    for file in settings.TINY_DIR.glob("*.*"):
        (tmp_path / "org" / "name" / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="the Hub's cache on this machine lacks 'org/name'"):
        load_vlm("org/name")
    assert load_vlm("./org/name").spec.n_layers == 16


def test_known_models_are_those_of_the_local_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is fetched: a model that was cached in part used to be downloaded whole."""

    def cached(name: str, text: str, revision: str) -> SimpleNamespace:
        folder = tmp_path / revision
        folder.mkdir()
        (folder / "config.json").write_text(text)
        versions = [SimpleNamespace(snapshot_path=folder, commit_hash=revision, last_modified=2.0)]
        if name == "org/vlm":
            versions.append(SimpleNamespace(snapshot_path=tmp_path, commit_hash="old", last_modified=1.0))
        return SimpleNamespace(repo_id=name, repo_type="model", revisions=versions)

    repos = [cached("org/vlm", TINY_CONFIG, "abc"), cached("org/text", '{"model_type": "qwen3"}', "def")]
    monkeypatch.setattr(loading, "scan_cache_dir", lambda: SimpleNamespace(repos=repos))
    monkeypatch.setattr(loading, "snapshot_download", lambda *_args, **_options: pytest.fail("it went to the Hub"))
    monkeypatch.setattr(sys, "argv", ["strata", "models", "--json"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    found = json.loads(capsys.readouterr().out)
    tiny, vlm = found["models"]
    assert (vlm["model_id"], vlm["revision"], vlm["n_layers"]) == ("org/vlm", "abc", 16)
    assert (tiny["attention"], tiny["fits"], tiny["runs_on"]) == ("sdpa", True, "cpu")
    assert tiny["weights_bytes"] == 4 * tiny["n_parameters"] == 14_897_152  # float32 on the CPU
    assert list(found["unsupported"]) == ["org/text"] and "does not take images" in found["unsupported"]["org/text"]


# ------------------------------------------------------------------------------------------------ refusals


def _saved(config: Any) -> Callable[[Path], str]:
    """A folder with this configuration, and something that looks like weights."""

    def make(folder: Path) -> str:
        config().save_pretrained(folder)
        (folder / "model.safetensors").write_bytes(b"")
        return str(folder)

    return make


def _written(text: str) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        (folder / "config.json").write_text(text)
        (folder / "configuration.py").write_text("raise SystemExit('remote code ran')")
        return str(folder)

    return make


def _gemma4(**text: Any) -> Callable[[], Gemma4Config]:
    return lambda: Gemma4Config(text_config={"hidden_size_per_layer_input": 0, **text})


def _git(folder: Path) -> str:
    size = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    vision = {**size, "image_size": 8, "patch_size": 4}
    GitForCausalLM(GitConfig(vocab_size=8, vision_config=vision, **size)).save_pretrained(folder)
    return str(folder)


TINY_CONFIG = (settings.TINY_DIR / "config.json").read_text()
REFUSED: dict[str, tuple[str | Callable[[Path], str], str]] = {
    "a misspelt name": ("tinny", "unknown model 'tinny'"),
    "no name": ("", "unknown model"),
    "a traversal": ("../../etc", "no model in"),
    "too many parts": ("a/b/c", "unknown model"),
    "a space": ("org/na me", "unknown model"),
    "an address": ("http://x/y", "unknown model"),
    "a traversal in a Hub id": ("org/..", "unknown model"),
    "an empty folder": (str, r"must hold a config\.json"),
    "no safetensors": (_written(TINY_CONFIG), "no safetensors weights"),
    "code of its own": (
        _written('{"model_type": "brand_new_vlm", "auto_map": {"AutoConfig": "configuration.NewConfig"}}'),
        "needs code from its own repository, which is never run",
    ),
    "an unknown family": (_written('{"model_type": "brand_new_vlm"}'), "not a model that transformers knows"),
    "no JSON": (_written("{"), "not a model that transformers knows"),
    "a number for a text model": (_written('{"model_type": "llava", "text_config": 5}'), "transformers knows"),
    "text only": (_saved(Qwen3Config), "does not take images"),
    "an encoder-decoder": (_saved(Florence2Config), "encoder-decoder"),
    "cross-attention layers": (_saved(MllamaConfig), "cross-attention .cross_attention_layers in its config"),
    "cross-attention between layers": (_saved(IdeficsConfig), "cross-attention .cross_layer_interval in its config"),
    "shared keys and values": (_saved(_gemma4(num_kv_shared_layers=10)), "num_kv_shared_layers in its config"),
    "shared keys and values, Gemma 3n": (_saved(Gemma3nConfig), "num_kv_shared_layers in its config"),
    "embeddings by layer": (_saved(_gemma4(hidden_size_per_layer_input=64)), "hidden_size_per_layer_input in its conf"),
    "a shared token selection": (
        _saved(lambda: Glm5NextConfig(text_config={"indexer_types": ["full", "shared"] * 22 + ["full"]})),
        "indexer_types in its config",
    ),
    "residuals over blocks": (_saved(Inkling2Config), "n_layers_per_attn_res_block in its config"),
    "not token by token": (_saved(PI0Config), "does not answer token by token"),
    "no layer list": (_git, "no decoder layer list"),
    "damaged weights": (_saved(lambda: AutoConfig.from_pretrained(settings.TINY_DIR)), "cannot load"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the library and on the command line."""
    model, says = REFUSED[case]
    name = model if isinstance(model, str) else model(tmp_path)
    with pytest.raises(ModelError, match=says) as caught:
        load_vlm(name)
    assert "\n" not in str(caught.value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["strata", "calibrate", "--model", name])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    shown = capsys.readouterr()
    assert stopped.value.code == 2
    assert (shown.out, shown.err.count("\n")) == ("", 1) and " ".join(str(caught.value).split()) in shown.err


def test_cross_attention_is_found_in_the_layers_too() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cross_attn = nn.Linear(2, 2)

    class Decoder(nn.Module):
        layers = nn.ModuleList([Layer(), Layer()])

    class Model(nn.Module):
        config = LlamaConfig()

        def get_decoder(self) -> Decoder:
            return Decoder()

    with pytest.raises(ModelError, match="cross-attention"):
        decoder_layers(Model())  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ where it goes


def with_gpus(monkeypatch: pytest.MonkeyPatch, *free: int, ram: int = 0) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(free))
    monkeypatch.setattr(placement, "_gpu_bytes", lambda: list(free))
    monkeypatch.setattr(placement, "_ram_bytes", lambda: ram)


def test_auto_takes_one_gpu_if_that_holds_the_model_else_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded model's weights are 7,448,576 bytes in bfloat16; activations get a fifth on top: 8,938,291."""
    folder = settings.TINY_DIR
    assert checkpoint_bytes(folder, "auto") == 7_448_576 and checkpoint_bytes(folder, torch.float32) == 14_897_152
    with_gpus(monkeypatch, ram=10)
    assert choose_place("auto", folder, "auto") == "cpu"
    with_gpus(monkeypatch, 10_000_000, 20_000_000)
    assert choose_place("auto", folder, "auto") == "cuda:0"
    assert choose_place("auto", folder, "float32") == "cuda:1"
    with_gpus(monkeypatch, 8_000_000, 9_000_000)
    assert choose_place("auto", folder, "auto") == "cuda:1"
    with_gpus(monkeypatch, 8_000_000, 5_000_000)
    assert choose_place("auto", folder, "auto") == "balanced"
    with_gpus(monkeypatch, 5_000_000, ram=4_000_000)
    assert choose_place("auto", folder, "auto") == "balanced"
    with_gpus(monkeypatch, 5_000_000, ram=3_000_000)
    with pytest.raises(ModelError, match=r"the weights take 0\.0 GiB, GPUs and CPU have"):
        choose_place("auto", folder, "auto")


def test_what_fits_is_counted_as_it_would_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = read_spec("tiny")
    with_gpus(monkeypatch, ram=18_000_000)
    assert loaded_bytes(spec) == 4 * 3_724_288 and roomy_place(loaded_bytes(spec)) == "cpu"
    with_gpus(monkeypatch, ram=17_000_000)
    assert roomy_place(loaded_bytes(spec)) is None
    with_gpus(monkeypatch, 9_000_000)
    assert loaded_bytes(spec) == 2 * 3_724_288 and roomy_place(loaded_bytes(spec)) == "cuda:0"


def test_without_accelerate_a_model_is_not_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ModelError, match=r"pip install -r requirements-gpu\.txt"):
        load_vlm("tiny", device="balanced")
    with_gpus(monkeypatch, 8_000_000, 5_000_000)
    with pytest.raises(ModelError, match=r"pip install -r requirements-gpu\.txt"):
        choose_place("auto", settings.TINY_DIR, "auto")


def test_balanced_goes_through_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here there is one place to go; tests/unit/test_view.py has models that are spread."""
    maps: list[Any] = []
    load = AutoModelForImageTextToText.from_pretrained

    def spy(*args: Any, **options: Any) -> Any:
        maps.append(options.get("device_map"))
        return load(*args, **options)

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", spy)
    spread, plain = load_vlm("tiny", device="balanced"), load_vlm("tiny", device="cpu")
    assert maps == ["balanced", None]
    assert spread.spec == plain.spec and spread.device == plain.device == torch.device("cpu")
    batch = encode_samples(plain, some_samples(2))
    with torch.inference_mode():
        assert torch.equal(spread.model(**batch.inputs).logits, plain.model(**batch.inputs).logits)


@pytest.mark.parametrize(("device", "says"), [("gpu9x", "unknown device"), ("cuda:7", "no device"), ("meta", "no dev")])
def test_absent_devices_are_refused(device: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        load_vlm("tiny", device=device)


def test_unknown_dtypes_are_refused() -> None:
    with pytest.raises(ModelError, match="unknown dtype 'int3': give auto, float32"):
        load_vlm("tiny", dtype="int3")


def test_the_attention_implementation_is_the_fused_one_where_the_model_has_it() -> None:
    assert read_spec("tiny").attention == load_vlm("tiny").spec.attention == "sdpa"
