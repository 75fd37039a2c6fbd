"""Where benchmarks come from: mirrors, the Hub's cache, the Hub (one on this machine), and what is said if not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import huggingface_hub.constants as hub
import pytest

from core.benchmarks import load_benchmark
from core.errors import SampleError
from tests.benchmark_fixtures import write_fixture
from tests.fake_hub import COMMIT, fake_hub

PINNED = "9e63b7df1592a1c2158e735cc1725454aef0d6d9"  # ChartQA


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the Hub, without network."""
    monkeypatch.delenv("STRATA_DATASETS", raising=False)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "tables"))
    assert hub.HF_HUB_OFFLINE
    return tmp_path / "hub"


def put(cache: Path, key: str, dataset: str, commit: str, name: str = "data/test-00000-of-00001.parquet") -> None:
    """A fixture into the Hub's cache, as `hf download` leaves it there."""
    repository = cache / f"datasets--{dataset.replace('/', '--')}"
    path = repository / "snapshots" / commit / name
    path.parent.mkdir(parents=True)
    shutil.copy(write_fixture(key, cache.parent / "made"), path)
    (repository / "refs").mkdir(exist_ok=True)
    (repository / "refs" / "main").write_text(commit)


def test_a_cached_dataset_is_read_without_network(cache: Path) -> None:
    put(cache, "chartqa", "lmms-lab-encoder/ChartQA", PINNED)
    items, samples = load_benchmark("chartqa")
    assert items.dataset == f"lmms-lab-encoder/ChartQA@{PINNED}:default/test"
    assert len(samples) == 6 and samples[0].image is not None


def test_a_branch_is_recorded_as_the_commit_it_is_at(cache: Path) -> None:
    put(cache, "chartqa", "lmms-lab-encoder/ChartQA", "ab" * 20)
    assert load_benchmark("chartqa@main")[0].dataset == f"lmms-lab-encoder/ChartQA@{'ab' * 20}:default/test"
    with pytest.raises(SampleError, match=f"--revision {PINNED}"):
        load_benchmark("chartqa")  # pinned to another commit than the cached one


def test_the_other_id_is_tried_next(cache: Path) -> None:
    put(cache, "chartqa", "lmms-lab/ChartQA", PINNED)
    assert load_benchmark("chartqa")[0].dataset == f"lmms-lab/ChartQA@{PINNED}:default/test"


def test_a_stream_without_network_reads_the_cache(cache: Path) -> None:
    name = "aokvqa(cauldron,llava_format)/train-00000-of-00001.parquet"
    put(cache, "llava_onevision", "lmms-lab/LLaVA-OneVision-Data", COMMIT, name)
    items, samples = load_benchmark(f"llava_onevision@{COMMIT}", limit=3)
    assert len(samples) == 3 and samples[2].image is not None and COMMIT in items.dataset


def test_a_mirror_goes_before_the_cache(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(cache, "chartqa", "lmms-lab-encoder/ChartQA", PINNED)
    path = write_fixture("chartqa", tmp_path / "mirrors")
    path.rename(path.with_name("testmini.parquet"))  # another split, whose name begins the same
    monkeypatch.setenv("STRATA_DATASETS", str(tmp_path / "mirrors"))
    assert PINNED in load_benchmark("chartqa")[0].dataset
    path.with_name("testmini.parquet").rename(path)
    assert load_benchmark("chartqa")[0].dataset == "lmms-lab-encoder/ChartQA@mirror:default/test"


def test_nothing_cached_and_no_network_is_one_line_with_the_command() -> None:
    with pytest.raises(SampleError) as raised:
        load_benchmark("chartqa")
    assert str(raised.value) == (
        "chartqa needs lmms-lab-encoder/ChartQA (or its other id lmms-lab/ChartQA), configuration default, split test, "
        "but HF_HUB_OFFLINE is set and its cache lacks the files: run hf download lmms-lab-encoder/ChartQA --repo-type "
        f"dataset --revision {PINNED} --include 'data/test-*.parquet' with HF_HUB_OFFLINE unset, and copy its cache "
        "here if this machine has no network; or put a mirror into STRATA_DATASETS"
    )


def test_half_a_dataset_is_not_taken_for_the_whole(cache: Path) -> None:
    put(cache, "chartqa", "lmms-lab-encoder/ChartQA", PINNED, "data/test-00000-of-00003.parquet")
    with pytest.raises(SampleError, match="its cache lacks 2 of the files"):
        load_benchmark("chartqa")


def test_without_datasets_the_requirements_are_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(cache, "chartqa", "lmms-lab-encoder/ChartQA", PINNED)
    monkeypatch.setitem(sys.modules, "datasets", None)  # import datasets raises ImportError
    with pytest.raises(SampleError, match=r"need the package datasets: .* -r requirements\.txt"):
        load_benchmark("chartqa")


LOAD = """
import sys
from core.benchmarks import load_benchmark
from core.errors import SampleError
for name in sys.argv[1:]:
    try:
        items, samples = load_benchmark(name, limit=2)
        print(items.dataset, len(samples), samples[1].image.size)
    except SampleError as error:
        print(error)
"""


def online(address: str, home: Path, *names: str) -> list[str]:
    """What loading says, line by line, in a process whose Hub is at the address."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "0",
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, "-c", LOAD, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_hub_is_asked_over_its_own_protocol(tmp_path: Path) -> None:
    served = tmp_path / "served"
    for key, dataset, name in [
        ("chartqa", "lmms-lab-encoder/ChartQA", "data/test-00000-of-00001.parquet"),
        ("ai2d", "lmms-lab/ai2d", "data/test-00000-of-00001.parquet"),  # moved nowhere yet: the older id only
        (
            "llava_onevision",
            "lmms-lab/LLaVA-OneVision-Data",
            "aokvqa(cauldron,llava_format)/train-00000-of-00001.parquet",
        ),
        ("vstar", "lmms-lab-encoder/vstar-bench", "elsewhere/part.parquet"),
    ]:
        path = served / dataset / name
        path.parent.mkdir(parents=True)
        shutil.copy(write_fixture(key, tmp_path / "made"), path)
    with fake_hub(served) as (address, log):
        names = ("chartqa@main", "ai2d@main", "llava_onevision@main", "chartqa", "pope", "vstar")
        said = online(address, tmp_path / "home", *names)
        asked = len(log)
        assert any("llava_format)/train-00000-of-00001.parquet" in path for path in log)
        assert online(address, tmp_path / "home", "chartqa@main") == said[:1]
        assert not any("resolve" in path for path in log[asked:])  # cached: nothing is fetched again
    assert said[0] == f"lmms-lab-encoder/ChartQA@{COMMIT}:default/test 2 (48, 32)"
    assert said[1] == f"lmms-lab/ai2d@{COMMIT}:default/test 2 (48, 32)"
    assert said[2].startswith(f"lmms-lab/LLaVA-OneVision-Data@{COMMIT}:aokvqa(cauldron,llava_format)/train 2")
    assert said[3].endswith(f"but it has no revision {PINNED}: chartqa@main follows its branch")
    assert said[4].endswith("the Hub has no such data set, or it is private: check the name, or run hf auth login")
    assert said[5].endswith("but it has no files data/test-*.parquet: name another revision, vstar@REVISION")
    # the Hub is gone now: what is cached still loads, the rest says that the network is missing
    first, second = online(address, tmp_path / "home", "chartqa@main", "scienceqa")
    assert first == said[0]
    assert "but the Hub cannot be reached (" in second and "run hf download lmms-lab-encoder/ScienceQA" in second
