"""The command line: one JSON document on stdout, one line and exit code 2 for anything wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from core import settings
from core.cli import main as cli
from core.cli.shared import print_json
from core.library import finding
from core.pruning.atlas import SimilarityAtlas
from core.scenes.samples import draw_samples
from core.vlm import forest
from core.vlm.similarity import compute_atlas
from tests.models import random_vlm


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a command, run in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["strata", *args])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
    done = capsys.readouterr()
    return int(stopped.value.code or 0), done.out, done.err


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    """A run in a domain that the atlas lacks printed NaN, which no other reader of JSON takes."""
    print_json({"similarity_dropped": float("nan"), "rows": [float("inf"), 0.5, "NaN"]})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "similarity_dropped": None,
        "rows": [None, 0.5, "NaN"],
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = draw_samples("test", 0, 1)[0].image
    assert image is not None
    image.save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.fixture(scope="module")
def atlas_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("atlas") / "random.npz"
    samples = draw_samples("calibration", 0, 8)
    by_domain = {d: [s for s in samples if s.domain == d] for d in ("math", "general")}
    compute_atlas(random_vlm(), by_domain).save(path)
    return path


def test_plan_prints_the_contract(capsys: pytest.CaptureFixture[str], atlas_file: Path) -> None:
    args = ("plan", "--criterion", "deepest", "--budget", "50%", "--atlas", str(atlas_file), "--json")
    code, stdout, _ = run(capsys, *args)
    assert code == 0
    document = json.loads(stdout)
    assert document["dropped"] == [2, 3, 4] and document["n_drop"] == 3 and document["n_layers"] == 6
    assert document["criterion"] == "deepest" and document["model_id"] == "random"


def test_ask_full_and_pruned(capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path, home: Path) -> None:
    code, stdout, _ = run(capsys, "ask", "--image", str(picture), "--question", "How many shapes are there?", "--json")
    full = json.loads(stdout)
    assert code == 0 and full["plan"] is None and full["model"] == "tiny"
    assert {"question", "answer", "tokens", "ttft_s", "tokens_per_s"} <= set(full)
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"model_id": "tiny", "n_layers": 16, "dropped": [3, 9]}))
    args = ("ask", "--image", str(picture), "--question", "How many?", "--plan", str(plan), "--json")
    code, stdout, _ = run(capsys, *args)
    assert code == 0 and json.loads(stdout)["plan"]["dropped"] == [3, 9]


def test_ask_takes_generation_settings(capsys: pytest.CaptureFixture[str], picture: Path) -> None:
    args = ("ask", "--image", str(picture), "--question", "How many shapes are there?", "--json")
    code, stdout, _ = run(capsys, *args, "--max-new-tokens", "1", "--top", "3")
    document = json.loads(stdout)
    assert code == 0 and (document["tokens"], document["stopped"]) == (1, "length")
    (step,) = document["steps"]
    assert set(step) == {"token_id", "text", "top"} and len(step["top"]) == 3 and step["top"][0][0] == step["text"]
    hot = (*args, "--temperature", "50", "--top-p", "0.9", "--max-new-tokens", "8")
    answers = [json.loads(run(capsys, *hot, "--seed", str(seed))[1])["answer"] for seed in (1, 1, 2)]
    assert answers[0] == answers[1] != answers[2]


def test_calibrate_saves_an_atlas_that_plan_then_finds(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    code, stdout, _ = run(capsys, "calibrate", "--samples", "4", "--json")
    document = json.loads(stdout)
    assert code == 0 and len(document["similarity"]["math"]) == 16
    assert SimilarityAtlas.load(finding.user_atlas_path("tiny")).domains == ("math", "general")
    code, stdout, _ = run(capsys, "plan", "--criterion", "math_aware", "--budget", "3", "--json")
    assert code == 0 and len(json.loads(stdout)["dropped"]) == 3
    code, stdout, _ = run(capsys, "calibrate", "--domains", "math", "--samples", "6", "--json")
    assert list(json.loads(stdout)["similarity"]) == ["math"]
    kept = SimilarityAtlas.load(finding.user_atlas_path("tiny"))  # general was calibrated before, and stays
    assert (len(kept.rows("math")), len(kept.rows("general"))) == (6, 4)


@pytest.mark.slow
def test_calibrate_greedy_is_kept_and_continued(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "RECORDED_DIR", home / "none")  # the recorded atlas has an order already
    args = ("calibrate", "--samples", "2", "--greedy", "--json")
    real, rounds = forest.score_plans, []

    def stopped(vlm: Any, plans: Any, *rest: Any, **named: Any) -> Any:
        rounds.append(len(plans))
        if len(rounds) == 4:
            raise KeyboardInterrupt
        return real(vlm, plans, *rest, **named)

    monkeypatch.setattr(forest, "score_plans", stopped)
    code, _, stderr = run(capsys, *args)
    assert code == 2 and "finished items are kept" in stderr and rounds == [1, 14, 13, 12]
    code, _, stderr = run(capsys, "plan", "--criterion", "greedy", "--budget", "3")
    assert code == 2 and "stopped after 2 layers: run python -m core calibrate --model tiny --greedy" in stderr
    document = json.loads(run(capsys, *args)[1])["greedy"]
    assert rounds[4:] == list(range(12, 0, -1)) and sorted(document["layers"]) == list(range(1, 15))
    run(capsys, "calibrate", "--samples", "3", "--json")  # new similarities, the same weights
    chosen = json.loads(run(capsys, "plan", "--criterion", "greedy", "--budget", "3", "--json")[1])
    assert chosen["dropped"] == sorted(document["layers"][:3])


@pytest.mark.slow
def test_search_writes_a_plan_that_ask_takes(
    capsys: pytest.CaptureFixture[str], home: Path, picture: Path, tmp_path: Path
) -> None:
    few = ("--budget", "2", "--plans", "20", "--validation", "8", "--limit", "8", "--out", str(tmp_path / "plan.json"))
    code, stdout, stderr = run(capsys, "search", "--domain", "general", *few, "--json")
    document = json.loads(stdout)
    assert code == 0, stderr
    assert document["criterion"] == "search:general" and document["plans_tried"] == 20
    assert [rival["chosen_on"] for rival in document["against"]] == ["validation", "test"]
    assert {"value", "low", "high"} == set(document["against"][0]["difference"])
    assert document["validation"]["data_hash"] != document["test"]["data_hash"]
    code, stdout, _ = run(capsys, "search", "--domain", "general", *few)  # from what the first one kept
    assert code == 0 and "Exact match on 8 test items" in stdout and "test: optimistic" in stdout
    args = ("ask", "--image", str(picture), "--question", "How many?", "--plan", str(tmp_path / "plan.json"), "--json")
    code, stdout, _ = run(capsys, *args)
    assert code == 0 and json.loads(stdout)["plan"]["dropped"] == document["dropped"]
    listed = json.loads(run(capsys, "runs", "list", "--json")[1])
    assert [r["n"] for r in listed if (r["criterion"], r["n_drop"]) == ("search:general", 2)] == [8]


def test_sweep_then_runs_then_resume(capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path) -> None:
    run(capsys, "calibrate", "--samples", "4", "--json")
    args = ("sweep", "--criteria", "math_aware,uniform", "--budgets", "2,4", "--random", "2", "--limit", "9", "--json")
    code, stdout, _ = run(capsys, *args)
    first = json.loads(stdout)
    assert code == 0 and first["plans"] == 1 + 2 * (2 + 2)
    assert first["outcomes_scored"] > 0 and first["outcomes_reused"] == 0
    assert len(first["scores"]) == 2 * first["plans"]
    again = json.loads(run(capsys, *args)[1])
    assert again["outcomes_scored"] == 0 and again["outcomes_reused"] == first["outcomes_scored"]
    assert [s["score"] for s in again["scores"]] == [s["score"] for s in first["scores"]]
    run_id = first["scores"][0]["run_id"]
    code, stdout, _ = run(capsys, "runs", "show", run_id, "--json")
    assert code == 0 and json.loads(stdout)["run_id"] == run_id
    assert run(capsys, "runs", "export", str(tmp_path / "runs.parquet"))[0] == 0
    assert run(capsys, "runs", "import", str(tmp_path / "runs.parquet"))[0] == 0
    listed: list[dict[str, Any]] = json.loads(run(capsys, "runs", "list", "--json")[1])
    assert {s["run_id"] for s in first["scores"]} <= {row["run_id"] for row in listed}


def test_regimes_begin_with_the_summary(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    """Of the recorded runs."""
    code, stdout, _ = run(capsys, "regimes", "--domain", "general", "--json")
    document = json.loads(stdout)
    assert code == 0 and document["domain"] == "general"
    assert [b["n_drop"] for b in document["budgets"]] == list(range(1, 15))
    assert document["summary"].startswith("On general (tiny-general), by the number of dropped layers, ")
    assert set(document["budgets"][0]) == {"n_drop", "label", "evidence"}
    code, stdout, _ = run(capsys, "regimes", "--domain", "general", "--benchmark", "tiny-general")
    said = " ".join(stdout.split())
    assert code == 0 and said.startswith(f"{document['summary']} At 1 dropped layer the regime is ")
    code, _, stderr = run(capsys, "regimes", "--benchmark", "mathvista")
    assert (code, stderr.strip()) == (2, "no runs of tiny on 'mathvista': choose one of tiny-math")


def test_tiny_samples_writes_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, _ = run(capsys, "tiny", "samples", "--out", str(tmp_path), "--n", "3")
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert code == 0 and len(rows) == 3
    assert all(Image.open(tmp_path / row["image"]).size == (80, 80) for row in rows)


BAD = {
    "unknown command": ("prun",),
    "unknown option": ("plan", "--criterium", "x"),
    "missing option": ("plan", "--criterion", "uniform"),
    "unknown model": ("ask", "--model", "tinny", "--image", "PICTURE", "--question", "hi"),
    "unknown criterion": ("plan", "--criterion", "mth_aware", "--budget", "2", "--atlas", "ATLAS"),
    "budget 0": ("plan", "--criterion", "uniform", "--budget", "0", "--atlas", "ATLAS"),
    "budget of all layers": ("plan", "--criterion", "uniform", "--budget", "6", "--atlas", "ATLAS"),
    "budget beyond the protected": ("plan", "--criterion", "uniform", "--budget", "5", "--atlas", "ATLAS"),
    "budget no number": ("plan", "--criterion", "uniform", "--budget", "many", "--atlas", "ATLAS"),
    "no such atlas": ("plan", "--criterion", "uniform", "--budget", "2", "--atlas", "/nowhere/a.npz"),
    "text as image": ("ask", "--image", "TEXT", "--question", "hi"),
    "no such image": ("ask", "--image", "/nowhere/x.png", "--question", "hi"),
    "no nucleus": ("ask", "--image", "PICTURE", "--question", "hi", "--temperature", "1", "--top-p", "0"),
    "no such temperature": ("ask", "--image", "PICTURE", "--question", "hi", "--temperature", "nan"),
    "empty question": ("ask", "--image", "PICTURE", "--question", "  "),
    "text as plan": ("ask", "--image", "PICTURE", "--question", "hi", "--plan", "TEXT"),
    "criterion without budget": ("ask", "--image", "PICTURE", "--question", "hi", "--criterion", "uniform"),
    "bad budgets": ("sweep", "--budgets", "one,two"),
    "bad benchmark": ("sweep", "--benchmarks", "tiny-maths", "--budgets", "1"),
    "no such run": ("runs", "show", "zzzzzzzz"),
    "text as runs": ("runs", "import", "TEXT"),
    "bad split": ("tiny", "evaluate", "--split", "tset"),
    "bad domain": ("calibrate", "--domains", "maths"),
    "search of an unknown domain": ("search", "--domain", "maths", "--budget", "2"),
    "search of too few plans": ("search", "--domain", "math", "--budget", "2", "--plans", "2", "--limit", "2"),
    "a searched plan from an atlas": ("plan", "--criterion", "search", "--budget", "2", "--atlas", "ATLAS"),
    "no greedy order": ("plan", "--criterion", "greedy", "--budget", "2", "--atlas", "ATLAS"),
    "bad device": ("ask", "--image", "PICTURE", "--question", "hi", "--device", "gpu9x"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(
    case: str, capsys: pytest.CaptureFixture[str], picture: Path, atlas_file: Path, tmp_path: Path, home: Path
) -> None:
    text = tmp_path / "text.png"
    text.write_text("not a picture, not a plan")
    names = {"PICTURE": str(picture), "TEXT": str(text), "ATLAS": str(atlas_file)}
    code, stdout, stderr = run(capsys, *(names.get(a, a) for a in BAD[case]))
    assert code == 2
    assert stdout == ""
    assert len(stderr.strip().splitlines()) == 1 and "Traceback" not in stderr
    assert len(stderr) > 20


def test_a_decompression_bomb_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from tests.unit.test_images import declared_png

    (tmp_path / "bomb.png").write_bytes(declared_png(20_000, 20_000))
    code, _, stderr = run(capsys, "ask", "--image", str(tmp_path / "bomb.png"), "--question", "hi")
    assert code == 2 and "megapixels" in stderr and len(stderr.strip().splitlines()) == 1


def test_the_module_runs_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "core", "plan", "--criterion", "nope", "--budget", "1"],
        capture_output=True,
        text=True,
        cwd=settings.ROOT,
        check=False,
    )
    assert done.returncode == 2 and "unknown criterion 'nope'" in done.stderr and done.stdout == ""
