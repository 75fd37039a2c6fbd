"""Benches check agreement before they time, and report what the contract names."""

import time

import pytest

from core.bench import CASES, Case, run_bench, run_case
from core.errors import StrataError
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
    assert report["machine"]["model"] == "random"


@pytest.mark.slow
def test_every_case_agrees() -> None:
    for row in run_bench(random_vlm(), ["similarity", "forest"], rounds=1)["cases"]:
        assert row["agree"] is True, row["name"]
        if row["name"] == "forest":
            assert row["layer_passes"] == row["trie_nodes"] * row["batches"] < row["layer_passes_one_by_one"]


def test_an_unknown_case_is_named() -> None:
    with pytest.raises(StrataError, match="did you mean 'forest'"):
        run_bench(random_vlm(), ["forrest"])
    assert set(CASES) == {"similarity", "view", "forest"}
