"""What others import: the names of `core`, their one-line descriptions, and the package that pip installs."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import core
from cache import RunStore
from core import settings
from core.errors import CalibrationError, PlanError, SampleError
from core.measure.sweep import EMBEDDED, FULL, SweepReport
from core.measure.whole_sweep import MOST_DROPPED, plan_sweep
from core.pruning.criteria import list_criteria
from core.records.items import BenchmarkItem, ItemSet
from core.scenes.samples import draw_samples
from tests.models import random_vlm

ROOT = settings.ROOT


# ------------------------------------------------------------------------------------------------ the names


@pytest.mark.parametrize("name", core.__all__)
def test_each_public_name_is_there_and_described(name: str) -> None:
    assert callable(getattr(core, name))
    assert f"\n## {name}" in (ROOT / "docs" / "api.md").read_text()


def test_type_checkers_see_the_same_names_from_the_same_files() -> None:
    module = ast.parse((ROOT / "core" / "__init__.py").read_text())
    [block] = [n for n in module.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    seen = {a.name: n.module for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert seen == core.PLACES
    assert sorted(seen) == sorted(core.__all__)


def test_unknown_names_are_refused_and_known_ones_listed() -> None:
    with pytest.raises(AttributeError, match="module 'core' has no attribute 'load_llm'"):
        core.load_llm  # noqa: B018
    assert set(core.__all__) <= set(dir(core))


def test_nothing_heavy_is_loaded_before_a_name_is_used() -> None:
    code = """
import sys, core
sys.stdout.write(" ".join(sys.modules))
core.list_criteria()
sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pandas", "typer", "core.pruning"} & set(done.stdout.split())


# ------------------------------------------------------------------------------------------------ in one call


def test_calibrate_takes_names_or_samples() -> None:
    vlm = random_vlm()
    drawn = core.calibrate(vlm, ["math"], n_samples=3, seed=1)
    assert drawn.domains == ("math",) and len(drawn.samples) == 3
    assert {s.source.split("/")[0] for s in drawn.samples} == {"drawn:calibration"}
    own = core.calibrate(vlm, {"mine": draw_samples("test", 0, 2)})
    assert own.domains == ("mine",) and own.mean("mine").shape == (vlm.spec.n_layers,)
    for names in (["maths"], []):
        with pytest.raises(CalibrationError, match="unknown domain"):
            core.calibrate(vlm, names)


def test_sweep_goes_to_the_users_store_and_scores_nothing_twice(strata_home: Path) -> None:
    vlm = random_vlm()
    atlas = core.calibrate(vlm, n_samples=2)
    seen: list[tuple[int, int]] = []

    def again() -> SweepReport:
        def progress(done: int, total: int, _: str) -> None:
            seen.append((done, total))

        return core.sweep(vlm, atlas, ["uniform"], [2], 2, ["tiny-math"], limit=3, progress=progress)

    first, second = again(), again()
    assert (first.scored, first.reused, second.scored) == (12, 0, 0)
    assert second.reused == 12 and seen[-1] == (12, 12)
    assert [s.benchmark for s in first.items] == ["tiny-math"]
    with core.open_runs() as store:
        assert store.path == strata_home / "runs"
        assert {r.run_id for r in store.records()} == {r.run_id for r in first.records}


def test_what_a_sweep_leaves_open_is_as_stated() -> None:
    atlas = core.calibrate(random_vlm(), n_samples=2)
    work = plan_sweep(atlas, n_random=1, limit=2)
    assert [items.benchmark for items, _ in work.benchmarks] == list(EMBEDDED)
    assert {p.n_drop for p in work.plans} == set(range(min(MOST_DROPPED, atlas.n_layers - 2) + 1))
    skipped = {name for name, _, _ in work.skipped}
    assert "greedy" in skipped  # no order was calibrated
    assert {p.criterion for p in work.plans} | skipped == {FULL, *(c.name for c in list_criteria())}


def test_a_sweep_is_checked_before_the_model_is_loaded() -> None:
    """Without the check an hour of loading ends in a misspelt name."""
    atlas = core.calibrate(random_vlm(), n_samples=2)
    missing = "/no/such/model"
    with pytest.raises(PlanError, match="unknown criterion"):
        core.sweep(missing, atlas, ["mth_aware"])
    with pytest.raises(SampleError, match="unknown benchmark"):
        core.sweep(missing, atlas, ["uniform"], [1], benchmarks=["tiny-maths"])


# ------------------------------------------------------------------------------------------------ one line each


def test_what_a_notebook_shows_of_an_object_is_one_line(tmp_path: Path) -> None:
    """A VLM printed its whole module tree, an atlas and an item set every sample."""
    vlm = random_vlm()
    atlas = core.calibrate(vlm, n_samples=2)
    store = RunStore(tmp_path / "runs")
    report = core.sweep(vlm, atlas, ["uniform"], [2], 1, ["tiny-math"], limit=2, store=store)
    shown = [repr(o) for o in (vlm, atlas, report, *report.records, *report.items, store)]
    store.close()
    assert all("\n" not in s and len(s) < 250 for s in shown), shown
    assert f"{vlm.spec.n_layers} decoder layers" in shown[0] and "math n=2, general n=2" in shown[1]
    assert "uniform, 2 of" in shown[4] and "2/2 items" in shown[4] and "seed" not in shown[4]
    assert repr(ItemSet("b", "math", "test", "0123456789", (BenchmarkItem("i", "t", "q", "a"),))) == (
        "ItemSet('b': math, test, 1 items, exact_match, data 01234567)"
    )


# ------------------------------------------------------------------------------------------------ the package


def test_the_package_reads_the_one_list_of_requirements() -> None:
    """setuptools follows no `-r`: a file that has one would end the installation, or lose what it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    files = project["tool"]["setuptools"]["dynamic"]["dependencies"]["file"]
    assert [
        line.split()[1] for line in (ROOT / "requirements.txt").read_text().splitlines() if line[:2] == "-r"
    ] == files
    text = "".join((ROOT / name).read_text() for name in files)
    assert "\n-" not in text and "\ntorch==2.13.0\n" in text and "\nstreamlit~=" in text
    assert project["project"]["version"] == core.__version__
    assert project["project"]["scripts"] == {"strata": "core.cli.main:main"}
