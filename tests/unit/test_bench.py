"""Benches check agreement before they time, and report what the contract names."""

import math
import time

import pytest

from core.bench import BENCHES, growth, run_bench
from core.bench.decode import _same
from core.bench.timing import Case, fitted_exponent, run_case
from core.errors import StrataError
from core.records.answers import TokenEvent
from dashboard.bench import PAGES
from tests.models import random_vlm


def test_the_ratio_is_reference_over_ours_and_agreement_is_checked() -> None:
    calls: list[str] = []

    def ours() -> int:
        calls.append("ours")
        return 7

    def reference() -> int:
        calls.append("reference")
        time.sleep(0.02)
        return 7

    row = run_case(Case("c", ours, reference, lambda a, b: a == b, "slow", lambda a, _b: {"answer": a}), rounds=2)
    assert calls == ["ours", "reference"] * 3  # a first run to compare, then two rounds in turn
    assert row["agree"] is True and row["answer"] == 7
    assert row["ratio"] == pytest.approx(row["reference_s"] / row["ours_s"]) and row["ratio"] > 1
    wrong = run_case(Case("c", lambda: 1, lambda: 2, lambda a, b: a == b, ""), rounds=1)
    assert wrong["agree"] is False


def test_the_view_case_agrees_with_a_reloaded_checkpoint() -> None:
    report = run_bench(random_vlm(), ["view"], rounds=1)
    (row,) = report["cases"]
    assert row["agree"] is True and {"name", "ours_s", "reference_s", "ratio"} <= set(row)
    assert row["copied_weights_bytes"] == 0 and row["plans_open"] == 8
    assert 0 < row["in_step_bytes"] < row["views_bytes"] / 2, "one view for all of them"
    assert report["machine"]["model"] == "random"


@pytest.mark.slow
def test_every_case_agrees() -> None:
    rows = run_bench(random_vlm(), ["similarity", "decode", "forest"], rounds=1)["cases"]
    assert len(rows) == 7
    for row in rows:
        assert row["agree"] is True, row["name"]
        if row["name"] == "forest":
            assert row["layer_passes"] == row["trie_nodes"] * row["batches"] < row["layer_passes_one_by_one"]


def test_answers_agree_token_by_token_or_part_at_a_near_tie_in_half_precision() -> None:
    def said(*tokens: int, second: float = 0.3) -> tuple[TokenEvent, ...]:
        return tuple(TokenEvent(0, t, "", 0.0, (("a", 0.6), ("b", second))) for t in tokens)

    assert _same([said(1, 2)], [said(1, 2)], exact=True)
    tie = said(1, 3, second=0.59)
    assert _same([said(1, 2)], [tie], exact=False) and not _same([said(1, 2)], [tie], exact=True)
    assert not _same([said(1, 2)], [said(1, 3)], exact=False)  # not a tie
    assert not _same([said(1)], [said(1, 3)], exact=False)  # one ended, the other did not


def test_growth_is_fitted_and_told_against_a_straight_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fitted_exponent([10, 100, 1000], [3, 300, 30_000]) == pytest.approx(2)
    for name, sizes in {"PLANS": (2, 4), "LAYERS": (2, 4), "SAMPLES": (2, 6), "OUTCOMES": (100, 2000)}.items():
        monkeypatch.setattr(growth, name, sizes)
    rows = {row["name"]: row for row in run_bench(random_vlm(), ["growth"], rounds=1)["cases"]}
    assert set(rows) == {f"growth of {what}" for what in ("plans", "layers", "samples", "the run store")}
    for row in rows.values():
        first, last = row["table"]
        assert row["agree"] and row["ours_s"] == last["seconds"]
        assert row["reference_s"] == pytest.approx(first["seconds"] * last["n"] / first["n"])
        expected = math.log(last["seconds"] / first["seconds"]) / math.log(last["n"] / first["n"])
        assert row["exponent"] == pytest.approx(expected)
        assert all(line["cpu_seconds"] > 0 for line in row["table"]) and math.isfinite(row["cpu_exponent"])
    small, large = rows["growth of the run store"]["table"]
    assert 0 < small["bytes"] < large["bytes"]
    assert rows["growth of plans"]["table"][0]["peak_bytes"] > 0


@pytest.mark.slow
def test_pages_are_timed_on_recordings_of_both_sizes() -> None:
    rows = run_bench(random_vlm(), ["ui"], rounds=1)["cases"]
    assert {row["name"] for row in rows} == {f"ui, {page}" for page in PAGES}
    assert all(row["agree"] and row["first_s"] > 0 for row in rows)


def test_an_unknown_case_is_named() -> None:
    with pytest.raises(StrataError, match="did you mean 'forest'"):
        run_bench(random_vlm(), ["forrest"])
    assert set(BENCHES) == {"similarity", "view", "decode", "forest", "growth", "ui"}
