"""Whose a plan is: refused for another model or depth, folders and Hub ids apart, baselines without similarities."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import settings
from core.cli import main as cli
from core.errors import CalibrationError, PlanError
from core.library import finding
from core.pruning import SimilarityAtlas, build_plan
from core.records.plan import ModelSpec, PruningPlan, model_name
from core.vlm.card import passport

Run = Callable[..., tuple[int, str, str]]
OTHER = PruningPlan("org/other", 16, (5, 10), "uniform")
OURS = PruningPlan("tiny", 16, (5, 10), "uniform")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """A command in this process, with a user's folder of its own: (exit code, stdout, stderr)."""
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))

    def command(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["strata", *args])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        done = capsys.readouterr()
        return int(stopped.value.code or 0), done.out, done.err

    return command


def written(plan: PruningPlan, folder: Path) -> str:
    path = folder / "plan.json"
    path.write_text(json.dumps(plan.to_dict()))
    return str(path)


def refused(done: tuple[int, str, str], said: str) -> None:
    code, out, err = done
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1) and said in err, err


# ------------------------------------------------------------------------------------------------ another model's plan


@pytest.mark.parametrize("form", ["folder", "mergekit", "snippet", "plan"])
def test_an_export_of_another_model_s_plan_is_refused(form: str, run: Run, tmp_path: Path) -> None:
    """Texts named the embedded model, and a folder held its weights, with a passport of somebody else's plan."""
    plan, out = written(OTHER, tmp_path), tmp_path / "out"
    refused(
        run("export", "--model", "tiny", "--plan", plan, "--format", form, "--out", str(out)), "of org/other, not of"
    )
    assert not out.exists()


def test_a_question_to_another_model_s_plan_is_refused(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    asked = ("ask", "--image", str(tmp_path / "a.png"), "--question", "?", "--plan")
    refused(run(*asked, written(OTHER, tmp_path), "--model", "tiny"), "the plan is of org/other, not of tiny")
    refused(run(*asked, written(replace(OURS, n_layers=20), tmp_path)), "for 20 layers, tiny has 16: plan it again")


@pytest.mark.parametrize("form", ["mergekit", "snippet"])
def test_a_plan_names_its_model_itself(form: str, run: Run, tmp_path: Path) -> None:
    """Without --model, the texts named the embedded model, whatever the plan was of."""
    code, text, _ = run("export", "--plan", written(OTHER, tmp_path), "--format", form)
    assert code == 0 and "org/other" in text and "tiny" not in text


@pytest.mark.parametrize("model", ["", "Qwen/Qwen3-VL-8B-Instruct", "Qwen/Qwen3-VL-8B-Instruct@main"])
def test_a_plan_of_another_depth_is_refused_where_the_depth_is_known(model: str, run: Run, tmp_path: Path) -> None:
    plan = written(PruningPlan("Qwen/Qwen3-VL-8B-Instruct", 16, (5,)), tmp_path)
    named = ("--model", model) if model else ()
    refused(
        run("export", *named, "--plan", plan, "--format", "mergekit"), "is for 16 layers, Qwen/Qwen3-VL-8B-Instruct"
    )


def test_the_depth_of_a_folder_is_read_in_its_configuration(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    shutil.copy(settings.TINY_DIR / "config.json", folder)
    assert finding.known_depth(str(folder)) == 16
    plan = written(PruningPlan(str(folder), 12, (5,)), tmp_path)
    refused(run("export", "--plan", plan, "--format", "snippet"), "is for 12 layers")


@pytest.mark.parametrize("command", ["plan", "sweep"])
def test_an_atlas_of_another_model_is_refused(command: str, run: Run, tmp_path: Path) -> None:
    """Its layers were planned for the model that it was given with."""
    spec = ModelSpec("org/other", "r", "f", 16, (), 0, (), "", "")
    SimilarityAtlas.without_samples(spec).save(tmp_path / "a.npz")
    which = ("--criterion", "deepest", "--budget", "2") if command == "plan" else ("--criteria", "deepest")
    refused(
        run(command, *which, "--model", "tiny", "--atlas", str(tmp_path / "a.npz")), "is an atlas of org/other, not of"
    )


def test_results_of_another_model_s_plan_are_refused(run: Run, tmp_path: Path) -> None:
    results = tmp_path / "20260218_234435_results.json"
    results.write_text(json.dumps({"results": {"ai2d": {"exact_match,none": 0.5}}, "model_name": "m"}))
    named = ("--plan", written(OTHER, tmp_path), "--model", "org/third")
    refused(run("runs", "import", str(results), *named), "the plan is of org/other, not of org/third")


def test_a_passport_s_plan_is_its_own(tmp_path: Path) -> None:
    """A folder's plan was filed under its whole path, and its passport names the folder: another plan's id."""
    spec = ModelSpec("/home/me/own", "r", "qwen3_vl", 4, (), 400, (50,) * 4, "float32", "cpu")
    document = passport(spec, PruningPlan("/home/me/own", 4, (1,)), {}, "")
    found = PruningPlan.from_dict(document)
    assert document["plan_id"] == found.plan_id and found.model_id == "own"
    assert found.of("/home/me/own", 4) == PruningPlan("/home/me/own", 4, (1,))  # and may be used again for that folder


@pytest.mark.parametrize("model", ["/home/me/other", "org/own", "own2", "/own/x"])
def test_a_bare_name_stands_for_a_folder_of_that_name_only(model: str) -> None:
    with pytest.raises(PlanError, match="the plan is of own, not of"):
        PruningPlan("own", 4, (1,)).of(model)


# ------------------------------------------------------------------------------------------------ folders and Hub ids

APART = [
    ("/x/y", "x/y"),
    ("./x/y", "x/y"),
    ("/x y/z", "/x-y/z"),
    ("/a--b/c", "/a/b/c"),
    ("/x/tiny", "tiny"),
    ("~/x/y", "x/y"),
]


@pytest.mark.parametrize(("a", "b"), APART)
def test_a_folder_and_a_hub_id_never_share_a_file(
    a: str, b: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder /x/y and the Hub's x/y had one atlas, and ./x/y one run store entry with it too.

    Of the six pairs, three met in one file before, and a fourth under one id.
    """
    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    assert model_name(a) != model_name(b) and finding.user_atlas_path(a) != finding.user_atlas_path(b)
    for model in (a, b):
        spec = ModelSpec(model_name(model), "r", "f", 5 if model == a else 7, (), 0, (), "", "")
        atlas = SimilarityAtlas.without_samples(spec)
        atlas.save(finding.user_atlas_path(model))
    assert (finding.load_atlas(a).n_layers, finding.load_atlas(b).n_layers) == (5, 7)


def test_one_model_has_one_name() -> None:
    here = str(Path.cwd() / "own")
    assert {model_name(m) for m in ("./own", "./own/", here, f"{here}/../own", "./x/../own")} == {here}
    assert model_name("org/name@0123abc") == "org/name" and model_name("tiny") == "tiny"


def test_an_atlas_of_a_folder_from_before_is_found_and_not_given_to_the_hub_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRATA_HOME", str(tmp_path))
    spec = ModelSpec("/x/y", "r", "f", 5, (), 0, (), "", "")
    SimilarityAtlas.without_samples(spec).save(tmp_path / "atlases" / "x--y.npz")
    assert finding.load_atlas("/x/y").n_layers == 5
    with pytest.raises(CalibrationError, match="no similarity atlas of x/y"):
        finding.load_atlas("x/y")


# ------------------------------------------------------------------------------------------------ without an atlas


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model as a folder of somebody's own, which nobody calibrated."""
    return Path(shutil.copytree(settings.TINY_DIR, tmp_path_factory.mktemp("models") / "own"))


@pytest.mark.parametrize(
    ("criterion", "budget", "dropped"),
    [
        ("deepest", "2", [13, 14]),
        ("uniform", "2", [4, 11]),
        ("random", "14", list(range(1, 15))),
        ("block", "14", list(range(1, 15))),  # there is one block only
    ],
)
def test_baselines_need_no_similarities(criterion: str, budget: str, dropped: list[int], run: Run, own: Path) -> None:
    """Every criterion asked for an atlas, those as well that never look into one."""
    code, out, err = run("plan", "--model", str(own), "--criterion", criterion, "--budget", budget, "--json")
    assert code == 0, err
    assert (json.loads(out)["dropped"], json.loads(out)["model_id"]) == (dropped, str(own))


@pytest.mark.parametrize("criterion", ["block", "math_aware", "shortgpt", "interlace", "greedy", "spaced:mixed"])
def test_what_reads_similarities_still_asks_for_them(criterion: str, run: Run, own: Path) -> None:
    refused(
        run("plan", "--model", str(own), "--criterion", criterion, "--budget", "2"), f"no similarity atlas of {own}"
    )


def test_baselines_are_measured_and_exported_without_similarities(run: Run, own: Path, tmp_path: Path) -> None:
    swept = ("--criteria", "deepest,uniform", "--budgets", "2", "--random", "1", "--limit", "2", "--json")
    code, out, err = run("sweep", "--model", str(own), "--benchmarks", "tiny-math", *swept)
    assert code == 0, err
    found = json.loads(out)
    assert {s["criterion"] for s in found["scores"]} == {"full", "deepest", "uniform", "random"}
    assert found["model"] == str(own) and found["skipped"] == []
    chosen = ("--criterion", "deepest", "--budget", "2")
    code, out, err = run("export", "--model", str(own), *chosen, "--no-verify", "--out", str(tmp_path / "e"), "--json")
    assert code == 0, err
    held = json.loads((tmp_path / "e" / "strata_plan.json").read_text())
    assert (held["model_id"], held["dropped"], held["calibration_data_hash"]) == ("own", [13, 14], "")


def test_an_atlas_without_similarities_says_so_where_they_are_read() -> None:
    spec = ModelSpec("org/m", "r", "f", 6, (0, 1), 0, (), "", "")
    atlas = SimilarityAtlas.without_samples(spec)
    assert build_plan(atlas, "uniform", 2).dropped == (2, 4)
    assert atlas.domains == () and np.size(atlas.values) == 0
    with pytest.raises(CalibrationError):
        build_plan(atlas, "math_aware", 2)
