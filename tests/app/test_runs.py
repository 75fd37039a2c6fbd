"""Runs: what is listed, what a sweep is asked to do, and import of good and of damaged files."""

from types import SimpleNamespace

from cache import load_recorded
from core.errors import StoreError
from dashboard import services
from tests.app.conftest import texts


def test_lists_the_recorded_set(recorded, engine, open_page):
    at = open_page("runs")
    assert not at.exception
    table = at.dataframe[0].value
    assert set(table["benchmark"]) == {"drawn-math", "drawn-general"}
    assert set(table["n"]) == {40}
    assert "Nothing yet" in texts(at)


def test_a_sweep_gets_what_was_chosen(recorded, engine, open_page, monkeypatch):
    asked = []

    def sweep(model_id, criteria, budgets, n_random, limit, progress):
        asked.append((model_id, criteria, budgets, n_random, limit))
        progress(1, 4, "2 plans on tiny-math")
        return SimpleNamespace(scored=128, reused=16, seconds=3.2, records=(1, 2))

    monkeypatch.setattr(services, "run_sweep", sweep)
    at = open_page("runs")
    at.slider(key="sweep_budgets").set_range(2, 3)
    at.slider(key="sweep_limit").set_value(16)
    at.button(key="start_sweep").click().run()
    assert not at.exception
    assert asked == [("tiny", ["math_aware", "non_math_aware", "mixed", "uniform"], [2, 3], 4, 16)]
    assert "128 outcomes scored and 16 reused" in at.success[0].value


def test_a_sweep_that_cannot_run_gives_one_line(recorded, engine, open_page, monkeypatch):
    def sweep(*_args):
        raise StoreError("the run store is busy: try again")

    monkeypatch.setattr(services, "run_sweep", sweep)
    at = open_page("runs")
    at.button(key="start_sweep").click().run()
    assert at.error[0].value == "the run store is busy: try again"


def test_import_of_runs_and_of_rubbish(recorded, engine, open_page):
    at = open_page("runs")
    at.file_uploader(key="import_file").upload("runs.parquet", (recorded / "tiny.runs.parquet").read_bytes()).run()
    at.button(key="import_runs").click().run()
    assert not at.exception
    n = len(load_recorded(recorded / "tiny.runs.parquet")[0])
    assert n > 100 and f"{n} runs imported" in at.success[0].value
    at.run()
    assert "Nothing yet" not in texts(at)
    at = open_page("runs")
    at.file_uploader(key="import_file").upload("runs.parquet", b"PAR1 rubbish PAR1").run()
    at.button(key="import_runs").click().run()
    assert not at.exception
    assert at.error


def test_without_a_model_the_page_says_how_to_get_one(nothing, open_page):
    at = open_page("runs")
    assert not at.exception
    assert "install requirements.txt" in texts(at)
