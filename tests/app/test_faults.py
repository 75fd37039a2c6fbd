"""A run store that cannot be used: a badge says so, and every page still shows what is recorded."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import cache.run_store
from cache import RunStore
from core.library.finding import user_runs_path
from dashboard import services
from tests.app.conftest import texts

PAGES = ("overview", "similarity", "prune", "compare", "benchmarks", "runs")


@contextmanager
def locked(path: Path, _patch: pytest.MonkeyPatch) -> Iterator[None]:
    with closing(sqlite3.connect(path / "cache.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def damaged(path: Path, _patch: pytest.MonkeyPatch) -> Iterator[None]:
    (path / "cache.db").write_bytes(b"no database " * 1000)
    yield


def saying(message: str) -> Any:
    @contextmanager
    def refused(_path: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
        def fail(*_args: object, **_options: object) -> None:
            raise sqlite3.OperationalError(message)

        patch.setattr(cache.run_store, "Cache", fail)
        yield

    return refused


FAULTS = {
    "locked": locked,
    "damaged": damaged,
    "read only": saying("attempt to write a readonly database"),
    "disk full": saying("database or disk is full"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_badge_says_so_and_pages_stay_usable(fault, recorded, engine, open_page, monkeypatch) -> None:
    with RunStore(user_runs_path()):
        pass
    monkeypatch.setattr(services.scores, "BUSY_S", 0.1)
    with fault(user_runs_path(), monkeypatch):
        for name in PAGES:
            at = open_page(name)
            assert not at.exception, name
            assert "your runs cannot be read" in texts(at), name
        at = open_page("compare", budget="3", a="deepest")
        at.button(key="ask").click().run()
        assert not at.exception and "decoded together" in texts(at)
        assert "run store" in services.scores.sources().problem and "\n" not in services.scores.sources().problem
