"""A real family on real benchmarks, by the commands that a user types: a tiny random Qwen and small tables stand in."""

import json
from pathlib import Path
from typing import Any

import pytest

from cache import RunStore
from core.library import finding
from core.measure.recipes import get_recipe
from core.scenes.samples import draw_samples
from core.scoring.judging import failure_kind, score_answer
from core.vlm.loading import load_vlm
from core.vlm.similarity import compute_atlas
from tests.benchmark_fixtures import write_fixture
from tests.checkpoints import write_qwen
from tests.unit.test_cli import home, run

__all__ = ["home"]  # a fixture

THREE = ("scienceqa", "chartqa", "realworldqa")


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_qwen(tmp_path_factory.mktemp("models") / "tiny-qwen3-vl"))


@pytest.fixture(scope="module")
def atlas(qwen: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("atlas") / "qwen.npz"
    compute_atlas(load_vlm(qwen), {d: draw_samples("calibration", 0, 2) for d in ("math", "general")}).save(path)
    return str(path)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRATA_DATASETS", str(tmp_path / "mirror"))
    return tmp_path / "mirror"


def document(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    code, stdout, stderr = run(capsys, *args, "--json")
    assert code == 0, stderr
    found: dict[str, Any] = json.loads(stdout)
    return found


def test_three_benchmarks_by_the_commands_of_the_readme(
    capsys: pytest.CaptureFixture[str], qwen: str, mirror: Path, home: Path, tmp_path: Path
) -> None:
    for key in (*THREE, "numinamath", "llava_onevision"):
        write_fixture(key, mirror)
    args = ("calibrate", "--model", qwen, "--benchmarks", "numinamath,llava_onevision", "--samples", "4")
    atlas = document(capsys, *args)
    assert set(atlas["similarity"]) == {"math", "general"} and len(atlas["similarity"]["math"]) == 6

    sweep = ("sweep", "--model", qwen, "--benchmarks", ",".join(THREE), "--limit", "3", "--budgets", "1")
    sweep = (*sweep, "--criteria", "math_aware,deepest", "--random", "2")
    first = document(capsys, *sweep)
    assert {s["benchmark"] for s in first["scores"]} == set(THREE) and first["outcomes_reused"] == 0
    assert all(s["n"] == 3 for s in first["scores"])
    again = document(capsys, *sweep)
    assert again["outcomes_scored"] == 0 and again["outcomes_reused"] == first["outcomes_scored"]

    with RunStore(finding.user_runs_path()) as store:
        sets = {s.benchmark: s for s in store.item_sets()}
        records = store.records(qwen, answers=True)
    assert len(records) == len(first["scores"])
    for r in records:
        items = sets[r.benchmark]
        assert (r.metric, r.max_new_tokens) == (items.metric, items.max_new_tokens) and r.max_new_tokens > 0
        for item, said, right in zip(items.items, r.answers, r.correct, strict=True):
            assert said is not None and right == (said.failure == "")
            score = score_answer(said.text, item.gold, r.metric)
            assert (said.rule, said.value) == (score.rule, score.value)
    assert {"lmms-lab-encoder/ChartQA"} <= {sets["chartqa"].dataset.split("@")[0]}

    shown = document(capsys, "runs", "show", records[0].run_id)
    assert len(shown["answers"]) == 3 and sum(shown["failures"].values()) == shown["correct"].count("0")

    code, _, stderr = run(capsys, "runs", "export", str(tmp_path / "results"), "--format", "lmms-eval")
    assert code == 0, stderr
    found = document(capsys, "runs", "import", str(tmp_path / "results"), "--model", qwen)
    assert found["format"] == "lmms-eval" and found["runs"] > 0
    with RunStore(finding.user_runs_path()) as store:
        assert {r.origin for r in store.records()} == {"measured", "imported"}


def test_a_recipe_fills_in_what_is_not_said(
    capsys: pytest.CaptureFixture[str], qwen: str, mirror: Path, home: Path
) -> None:
    recipe = get_recipe("quick")
    for key, _ in (*recipe.benchmarks, *recipe.calibration):
        write_fixture(key, mirror)
    calibration = ",".join(key for key, _ in recipe.calibration)
    document(capsys, "calibrate", "--model", qwen, "--benchmarks", calibration, "--samples", "4")
    found = document(capsys, "sweep", "--model", qwen, "--recipe", "quick", "--limit", "2")
    assert {s["benchmark"] for s in found["scores"]} == {key for key, _ in recipe.benchmarks}
    protected = 3  # layers 0 and 1 take pictures in, the last is an end
    assert sorted({s["n_drop"] for s in found["scores"]} - {0}) == recipe.budgets(6, protected)
    code, _, stderr = run(capsys, "sweep", "--model", qwen, "--recipe", "papre")
    assert code == 2 and "did you mean 'paper'" in stderr and len(stderr.strip().splitlines()) == 1


def test_a_table_of_ones_own(
    capsys: pytest.CaptureFixture[str], qwen: str, atlas: str, mirror: Path, home: Path
) -> None:
    mirror.mkdir()
    rows = [{"question": f"What is {i} and 1?", "answer": str(i + 1), "domain": "math"} for i in range(3)]
    (mirror / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    args = (
        "sweep",
        "--model",
        qwen,
        "--atlas",
        atlas,
        "--benchmarks",
        f"local:{mirror / 'sums.jsonl'}",
        "--budgets",
        "1",
    )
    found = document(capsys, *args, "--criteria", "deepest", "--random", "0")
    assert found["records"] == 2 and found["outcomes_scored"] == 6
    assert str(mirror) not in json.dumps([s["benchmark"] for s in found["scores"]]), "no path in what is kept"


@pytest.mark.parametrize(
    ("benchmarks", "said"),
    [
        ("chartkqa", "did you mean 'chartqa'"),
        ("local", "local:PATH"),
        ("chartqa", "hf download"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    capsys: pytest.CaptureFixture[str],
    qwen: str,
    atlas: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    benchmarks: str,
    said: str,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, stdout, stderr = run(capsys, "sweep", "--model", qwen, "--atlas", atlas, "--benchmarks", benchmarks)
    assert code == 2 and not stdout and said in stderr and len(stderr.strip().splitlines()) == 1


def test_a_model_that_is_not_here_and_an_atlas_that_is_missing_say_what_to_type(
    capsys: pytest.CaptureFixture[str], qwen: str, mirror: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    code, _, stderr = run(capsys, "calibrate", "--model", "org/absent@main")
    assert code == 2 and "lacks 'org/absent@main': run hf download org/absent with it unset" in stderr
    code, _, stderr = run(capsys, "sweep", "--model", qwen, "--recipe", "quick")
    assert code == 2 and stderr.strip().endswith(f"calibrate --model {qwen} --recipe quick"), "not on drawn questions"


def test_failure_kinds_of_free_answers_follow_the_metric() -> None:
    class Cut:
        text, stopped = "B", "length"

    assert failure_kind(Cut(), "B", "multiple_choice") == "", "a letter counts even if more would have followed"
    assert failure_kind(Cut(), "C", "multiple_choice") == "truncated"
