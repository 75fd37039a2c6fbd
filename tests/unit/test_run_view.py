"""One reading of the runs: what counts, and the score of a domain as the mean over its benchmarks."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cache import RunStore
from core import settings
from core.analysis.statistics import (
    disagreements,
    effective_n,
    mcnemar_exact,
    paired_bootstrap,
    paired_test,
    stratified_wilson,
    wilson_interval,
)
from core.cli.main import main
from core.errors import StoreError
from core.library.finding import user_runs_path
from core.library.run_view import RunView
from core.library.sources import Sources, load_sources
from core.records.plan import PruningPlan
from tests import two_benchmarks

RECORDS, ITEMS = tuple(two_benchmarks.records()), two_benchmarks.item_sets()


@pytest.fixture(scope="module")
def view() -> RunView:
    return RunView(Sources(own=RECORDS, items=ITEMS), "two")


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(settings, "RECORDED_DIR", tmp_path / "recorded")
    monkeypatch.setenv("STRATA_HOME", str(tmp_path / "home"))
    with RunStore(user_runs_path()) as runs:
        runs.put_many(RECORDS)
        for items in ITEMS.values():
            runs.put_items(items)
    yield tmp_path


def command(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["strata", *args])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert not stopped.value.code
    return capsys.readouterr().out


def by_hand(criterion: str, n_drop: int) -> tuple[float, int]:
    runs = [r for r in RECORDS if (r.plan.criterion, r.plan.n_drop) == (criterion, n_drop)]
    return sum(r.score for r in runs) / len(runs), sum(r.n_scored for r in runs)


# ------------------------------------------------------------------------------------------------ the rule


def test_a_domains_score_is_the_mean_over_its_benchmarks(view: RunView) -> None:
    """A page showed the larger benchmark alone (49.0 % of `uniform` at 6), the report all items pooled (69.4 %)."""
    table = view.scores().set_index(["criterion", "n_drop"])
    for criterion in ("math_aware", "uniform", "deepest"):
        for n_drop in two_benchmarks.BUDGETS:
            row = table.loc[(criterion, n_drop)]
            assert (row.score, row.n) == (pytest.approx(by_hand(criterion, n_drop)[0]), 500)
            assert row.low < row.score < row.high
    assert max(abs(r.n_correct / r.n - r.score) for r in table.itertuples()) > 0.02, "pooling would differ"
    assert view.floor("math") == pytest.approx((0.25 + 0.5) / 2)


def test_one_benchmark_may_be_chosen(view: RunView) -> None:
    one = RunView(view.sources, "two", benchmark="deep-math")
    assert one.benchmarks("math") == ["deep-math"] and set(one.scores().n) == {200}
    by_data = RunView(view.sources, "two", data="deep-math")
    pd.testing.assert_frame_equal(by_data.scores(), one.scores())
    labels = [RunView(view.sources, "two", benchmark=b).regime_labels("math") for b in two_benchmarks.SIZES]
    assert labels[0] != labels[1], "the two benchmarks differ in regime"
    with pytest.raises(StoreError, match="no runs of two on 'dep-math': did you mean"):
        view.need("math", "dep-math")
    with pytest.raises(StoreError, match="no runs of two on general"):
        view.need("general")


def test_a_plan_that_lacks_a_benchmark_has_no_score_of_the_domain(view: RunView) -> None:
    lost = next(r for r in RECORDS if r.plan.criterion == "uniform" and r.benchmark == "deep-math")
    short = RunView(Sources(own=tuple(r for r in RECORDS if r is not lost), items=ITEMS), "two")
    assert len(short.scores()) == len(view.scores()) - 1
    assert lost.plan.plan_id not in set(short.outcomes.plan_id)
    table = short.scores("benchmark")
    assert (table.plan_id == lost.plan.plan_id).sum() == 1, "by itself the other benchmark is still there"


def test_a_benchmark_that_was_just_begun_takes_nothing_away(view: RunView) -> None:
    begun = replace(RECORDS[0], benchmark="new-math", data_hash="new")
    found = RunView(Sources(own=(*RECORDS, begun), items=ITEMS), "two")
    pd.testing.assert_frame_equal(found.scores(), view.scores())
    assert found.left_out("math") == "new-math: measured under too few plans to count for math"
    assert view.left_out("math") == ""


def test_everything_is_computed_once(view: RunView, stored: Path) -> None:
    assert view.scores() is view.scores() and view.regimes("math") is view.regimes("math")
    assert view.pairs(["uniform", "deepest"], 6, "math") is view.pairs(["uniform", "deepest"], 6, "math")
    assert RunView.of("two") is RunView.of("two")
    before = RunView.of("two")
    with RunStore(user_runs_path()) as runs:
        runs.put(replace(RECORDS[0], benchmark="new-math", data_hash="new"))
    assert RunView.of("two") is not before, "other runs, another view"


def test_a_store_that_cannot_be_read_leaves_what_ships(stored: Path) -> None:
    (user_runs_path() / "cache.db").write_bytes(b"no database " * 1000)
    sources = load_sources(busy_s=0.1)
    assert sources.problem and not sources.own
    with pytest.raises(StoreError):
        RunView.of("two")


# ------------------------------------------------------------------------------------------------ one number everywhere


def test_shell_report_and_passport_state_one_number(
    stored: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 12 layers the page said converged and the shell ranking-sensitive, of the same runs."""
    from core import report

    view = RunView.of("two")
    said = json.loads(command(capsys, "regimes", "--model", "two", "--json"))
    shell = {(r["criterion"], r["n_drop"]): r for r in said["scores"]}
    labels = {b["n_drop"]: b["label"] for b in said["budgets"]}
    assert said["benchmarks"] == ["deep-math", "wide-math"] and labels == view.regime_labels("math")
    drawn: list[pd.DataFrame] = []
    monkeypatch.setattr(report, "_section", lambda h, n, chart, table, *more: drawn.append(table) or str(more))
    told = report._scores(view, "math", "score-0")
    in_report = drawn[0].set_index(["criterion", "n_drop"])
    assert view.regimes("math").summary() in told
    for n_drop in two_benchmarks.BUDGETS:
        for criterion in ("math_aware", "uniform", "deepest"):
            row, there = shell[criterion, n_drop], in_report.loc[(criterion, n_drop)]
            plan = view.measured_as(criterion, n_drop)
            passport = view.passport(plan)["math"]
            mean, n = by_hand(criterion, n_drop)
            assert row["score"] == there.value == passport["score"] == pytest.approx(mean)
            assert row["n"] == there.n == passport["n"] == n
            assert (row["low"], row["high"]) == (there.low, there.high) == (passport["low"], passport["high"])
            assert passport["regime"] == labels[n_drop]
    one = json.loads(command(capsys, "regimes", "--model", "two", "--benchmark", "deep-math", "--json"))
    assert {r["n"] for r in one["scores"]} == {200}


def test_a_run_says_whether_it_counts(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = next(r for r in RECORDS if r.plan.criterion == "uniform" and r.plan.n_drop == 6)
    shown = json.loads(command(capsys, "runs", "show", run.run_id, "--json"))
    assert shown["counts"] is True
    assert shown["math"]["score"] == pytest.approx(by_hand("uniform", 6)[0]) and shown["math"]["n"] == 500


# ------------------------------------------------------------------------------------------------ its statistics


def test_the_stratified_interval_is_wilsons_for_one_stratum_and_covers_for_several() -> None:
    low, high = stratified_wilson(np.array([0.3, 0.9]), np.array([50.0, 200.0]), np.array([0, 1]))
    assert (low[0], high[0]) == pytest.approx(wilson_interval(15, 50))
    assert (low[1], high[1]) == pytest.approx(wilson_interval(180, 200))
    rng, true, n = np.random.default_rng(0), np.array([0.9, 0.4, 0.65]), np.array([300, 60, 150])
    shares = rng.binomial(n, true, (2000, 3)) / n
    group = np.repeat(np.arange(2000), 3)
    low, high = stratified_wilson(shares.ravel(), np.tile(n, 2000).astype(float), group)
    covered = ((low <= true.mean()) & (true.mean() <= high)).mean()
    assert 0.93 <= covered <= 0.975


def test_a_paired_test_over_strata_weighs_each_the_same() -> None:
    a, b = np.zeros(500, bool), np.zeros(500, bool)
    strata = np.array(["wide"] * 300 + ["deep"] * 200)
    a[:30] = True  # 30 of 300 of one
    b[300:340] = True  # 40 of 200 of the other
    cells = disagreements(a, b, strata)
    assert cells == [(0, 40, 200), (30, 0, 300)]
    found = paired_bootstrap(a, b, strata)
    assert found.value == pytest.approx((30 / 300 - 40 / 200) / 2) and found.high < 0
    assert paired_test(cells) < 0.01
    assert paired_test([(7, 2, 40)]) == mcnemar_exact(7, 2) and paired_test([]) == 1.0
    assert effective_n([300]) == 300 and effective_n([200, 200]) == 400 and effective_n([20, 2000]) < 80


def test_a_paired_test_over_strata_holds_its_level() -> None:
    rng = np.random.default_rng(1)
    p = [
        paired_test([(*rng.multinomial(n, [0.1, 0.1, 0.8])[:2].tolist(), n) for n in (120, 60)], n_draws=2000)
        for _ in range(1000)
    ]
    assert np.mean(np.array(p) <= 0.05) <= 0.065


def test_a_plan_is_found_by_its_criterion_and_budget(view: RunView) -> None:
    plan = view.measured_as("deepest", 2)
    assert isinstance(plan, PruningPlan) and plan.dropped == (13, 14)
    assert view.measured_as("deepest", 3) is None
