"""A rerun looks at the run store once, whatever it shows."""

import pytest

import cache.run_store
from cache import RunStore
from core.library import sources
from core.library.finding import user_runs_path
from dashboard import services

PAGES = ("overview", "similarity", "prune", "compare", "benchmarks", "runs")
MOST = 2


@pytest.mark.parametrize("page", PAGES)
def test_a_rerun_opens_the_store_twice_at_most(page, recorded, engine, open_page, monkeypatch) -> None:
    """A rerun of Benchmarks opened SQLite 41 times."""
    with RunStore(user_runs_path()) as store:
        store.put(services.scores.view("tiny").setting[0])
    at = open_page(page)
    opened: list[str] = []
    whole, state = RunStore.__init__, cache.run_store.store_state

    def opening(self, *args, **named) -> None:
        opened.append("store")
        whole(self, *args, **named)

    def looking(*args):
        opened.append("state")
        return state(*args)

    monkeypatch.setattr(RunStore, "__init__", opening)
    monkeypatch.setattr(cache.run_store, "store_state", looking)
    at.run()
    assert not at.exception
    assert 1 <= len(opened) <= MOST, opened
    with RunStore(user_runs_path()) as store:
        store.put(services.scores.view("tiny").setting[1])
    opened.clear()
    at.run()
    assert not at.exception
    assert "store" in opened and len(opened) <= MOST, "other runs are read at the next rerun"


def test_sources_are_read_again_only_when_something_changed(recorded) -> None:
    assert sources.load_sources() is sources.load_sources()
    with RunStore(user_runs_path()) as store:
        store.put(services.scores.view("tiny").setting[0])
    held = sources.load_sources()
    assert held.own and sources.load_sources() is held
