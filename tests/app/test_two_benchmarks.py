"""Two benchmarks of one domain: the page states what the shell, the report and a passport state."""

import json
import sys

import pandas as pd
import pytest

from cache import RunStore
from core.cli.main import main
from core.library.finding import user_runs_path
from core.library.run_view import RunView
from dashboard import widgets
from tests import two_benchmarks
from tests.app.conftest import texts


@pytest.fixture
def stored(nothing) -> None:
    with RunStore(user_runs_path()) as runs:
        runs.put_many(two_benchmarks.records())
        for items in two_benchmarks.item_sets().values():
            runs.put_items(items)


@pytest.fixture
def numbers(stored, open_page, monkeypatch):
    """Opens Benchmarks and returns the page, the twin of the score chart and that of the regimes."""
    kept: dict[str, pd.DataFrame] = {}
    monkeypatch.setattr(widgets, "twin", lambda table, name, **_: kept.update({name: table}))

    def read(**query):
        at = open_page("benchmarks", domain="math", budget="6", **query)
        at.selectbox(key="model").select("two").run()
        assert not at.exception and not at.error
        scores, regimes = kept["scores"], kept["regimes-math"]
        measured = scores[scores.series == "measured plan"].set_index(["criterion", "n_drop"])
        return at, measured, regimes.set_index("n_drop").label.to_dict()

    return read


def test_page_and_shell_state_one_number(numbers, capsys, monkeypatch) -> None:
    """At 12 layers the page said converged and the shell ranking-sensitive; `uniform` at 6 had 49.0 % and 69.4 %."""
    monkeypatch.setattr(sys, "argv", ["strata", "regimes", "--model", "two", "--json"])
    with pytest.raises(SystemExit):
        main()
    said = json.loads(capsys.readouterr().out)
    at, scores, regimes = numbers(curves=["math_aware", "uniform", "deepest"])
    assert regimes == {b["n_drop"]: b["label"] for b in said["budgets"]}
    view = RunView.of("two")
    for row in said["scores"]:
        if row["criterion"] in ("math_aware", "uniform", "deepest"):
            shown = scores.loc[(row["criterion"], row["n_drop"])]
            assert (shown.value, shown.low, shown.high, shown.n) == (row["score"], row["low"], row["high"], row["n"])
            passport = view.passport(view.measured_as(row["criterion"], row["n_drop"]))["math"]
            assert (passport["score"], passport["n"]) == (row["score"], row["n"])
    assert {*scores.n} == {500} and "deep-math" in texts(at) and "wide-math" in texts(at)


def test_one_benchmark_can_be_chosen_on_the_page(numbers) -> None:
    label = next(d.label for d in RunView.of("two").data_sets("math") if d.benchmark == "deep-math")
    _, scores, regimes = numbers(curves=["uniform"], data=label)
    one = RunView.of("two", benchmark="deep-math")
    assert {*scores.n} == {200} and regimes == one.regime_labels("math")
    assert scores.loc[("uniform", 6)].value == one.scores().set_index(["criterion", "n_drop"]).loc[("uniform", 6)].score
