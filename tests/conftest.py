"""What every test stands on: one thread per process, no network, and a user folder of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

# Before numpy and torch are imported: the tests' matrices are small, and threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"  # a test that asks the Hub for something fails at once

import pytest
from hypothesis import settings

settings.register_profile("strata", deadline=None, max_examples=60, derandomize=bool(os.environ.get("CI")))
settings.load_profile("strata")


@pytest.fixture(scope="session", autouse=True)
def _session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers that live for the whole session must not see the user's own runs either."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRATA_HOME", str(tmp_path_factory.mktemp("strata-home")))
        yield


@pytest.fixture(autouse=True)
def strata_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user folder (core.settings.data_dir) for each test."""
    home = tmp_path / "strata-home"
    monkeypatch.setenv("STRATA_HOME", str(home))
    return home


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by folder: `unit` is what `make check` runs, and what `make test` does not run a second time."""
    for item in items:
        folder = item.path.relative_to(item.config.rootpath).parts[1]
        if folder == "unit":
            item.add_marker(pytest.mark.unit)
        elif folder == "browser":
            item.add_marker(pytest.mark.browser)
