"""What ships is what was measured: recorded atlas and runs belong to the shipped weights and can be measured again."""

import json
import math
from collections import defaultdict

import numpy as np
import pytest

from cache import load_recorded
from core.analysis import chance_score, detect_regimes
from core.library.choosing import runs_key
from core.library.finding import (
    recorded_anatomy_path,
    recorded_atlas_path,
    recorded_regimes_path,
    recorded_runs_path,
)
from core.library.run_view import RunView
from core.library.sources import Sources
from core.pruning.atlas import SimilarityAtlas
from core.pruning.cost import ModelAnatomy
from core.pruning.criteria import build_plan
from core.records.items import ItemSet
from core.records.runs import RunRecord, outcomes_frame
from core.scenes.samples import draw_from_source
from core.vlm import compute_atlas, load_vlm, read_anatomy, score_plans


@pytest.fixture(scope="module")
def runs() -> tuple[list[RunRecord], dict[str, ItemSet]]:
    return load_recorded(recorded_runs_path("tiny"))


@pytest.fixture(scope="module")
def atlas() -> SimilarityAtlas:
    return SimilarityAtlas.load(recorded_atlas_path("tiny"))


def test_recorded_for_the_weights_that_ship(
    runs: tuple[list[RunRecord], dict[str, ItemSet]], atlas: SimilarityAtlas
) -> None:
    revision = load_vlm("tiny").spec.revision
    assert atlas.revision == revision
    assert {r.model.revision for r in runs[0]} == {revision}
    assert all(r.complete and r.origin == "measured" for r in runs[0])


@pytest.mark.slow
def test_the_recorded_parts_are_those_of_the_model() -> None:
    """To write it again: json.dumps(core.vlm.read_anatomy().to_dict(), indent=1)."""
    recorded = json.loads(recorded_anatomy_path("tiny").read_text())
    assert ModelAnatomy.from_dict(recorded) == read_anatomy("tiny")


def test_every_budget_has_its_criteria_its_random_plans_and_its_items(
    runs: tuple[list[RunRecord], dict[str, ItemSet]],
) -> None:
    found: dict[tuple[str, int], list[str]] = defaultdict(list)
    for r in runs[0]:
        found[r.domain, r.plan.n_drop].append(r.plan.criterion)
        assert len(r.item_ids) >= 500
    for domain in ("math", "general"):
        assert found[domain, 0] == ["full"]
        for budget in range(1, 15):
            names = found[domain, budget]
            assert len(set(names) - {"random"}) >= 8, (domain, budget)
            # of the 14 layers that may go, one can be chosen in 14 ways only: then every one of them is measured
            assert names.count("random") == min(64, math.comb(14, budget)), (domain, budget)
    assert {i.task for s in runs[1].values() for i in s.items} >= {"expression_2", "clock", "read_word", "where"}


def test_a_sample_of_the_recorded_outcomes_is_measured_again(
    runs: tuple[list[RunRecord], dict[str, ItemSet]],
) -> None:
    """A few plans on a few items, from the pictures that the items name."""
    vlm = load_vlm("tiny")
    items = next(s for s in runs[1].values() if s.domain == "math")
    samples = [draw_from_source(i.source) for i in items.items[:18]]
    assert [s.sample_id for s in samples] == [i.item_id for i in items.items[:18]]
    chosen = [r for r in runs[0] if r.data_hash == items.data_hash][::60]
    scores = score_plans(vlm, [r.plan for r in chosen], samples)
    for row, record in enumerate(chosen):
        # another batch size may round a near-tie of the likeliest token the other way
        assert (scores.correct[row] != np.array(record.correct[:18])).sum() <= 1
        np.testing.assert_allclose(scores.gold_nll[row], np.array(record.gold_nll[:18], float), atol=2e-3)


def test_recorded_plans_are_what_the_recorded_atlas_chooses(
    runs: tuple[list[RunRecord], dict[str, ItemSet]], atlas: SimilarityAtlas
) -> None:
    for r in runs[0]:
        if r.plan.criterion not in ("random", "full") and not r.plan.criterion.startswith("search:"):
            assert build_plan(atlas, r.plan.criterion, r.plan.n_drop).dropped == r.plan.dropped
            assert r.similarity_dropped == pytest.approx(float(atlas.mean(r.domain)[list(r.plan.dropped)].sum()))


def test_the_recorded_atlas_is_measured_again(atlas: SimilarityAtlas) -> None:
    samples = [draw_from_source(s.source) for s in atlas.samples[:6]]
    again = compute_atlas(load_vlm("tiny"), {"math": samples})
    np.testing.assert_allclose(again.values, atlas.values[:6], atol=1e-5)


@pytest.mark.parametrize("domain", ["math", "general"])
def test_the_recorded_regimes_are_those_of_the_recorded_runs(
    runs: tuple[list[RunRecord], dict[str, ItemSet]], domain: str
) -> None:
    view = RunView(Sources(recorded=tuple(runs[0]), items=runs[1]), "tiny")
    records = view.of_domain(domain)
    held = json.loads(recorded_regimes_path("tiny").read_text())[domain]
    assert held["runs"] == runs_key(records)
    again = detect_regimes(outcomes_frame(records), floor=max(chance_score(runs[1][r.data_hash]) for r in records))
    assert [(b["n_drop"], b["label"]) for b in held["budgets"]] == [(b.n_drop, b.label) for b in again.budgets]
    taken = view.regimes(domain)
    assert (
        taken is not None
        and taken.boundaries == again.boundaries
        and view.floor(domain) == again.budgets[0].evidence["floor"]
    )
    assert runs_key(records[1:]) != held["runs"]  # other runs would be tested anew
