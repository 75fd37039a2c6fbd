"""Runs on real benchmarks on the pages: their metric, how answers fail, pictures from local files, foreign figures."""

from dataclasses import replace
from pathlib import Path

import pytest

from cache.run_store import RunStore
from core.analysis import tables
from core.benchmarks import load_benchmark
from core.benchmarks.images import open_image
from core.benchmarks.loading import find_picture
from core.errors import SampleError
from core.library.finding import user_runs_path
from core.records.answers import ItemAnswer
from core.records.plan import PruningPlan
from core.records.references import ReferenceScore
from core.records.runs import Outcome
from dashboard import services
from tests.app.conftest import texts
from tests.app.synthetic import SPEC
from tests.benchmark_fixtures import picture, write_fixture

KEEPS = PruningPlan("tiny", SPEC.n_layers, (), "full")
DROPS = PruningPlan("tiny", SPEC.n_layers, (3, 4), "math_aware")


@pytest.fixture
def chartqa(recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Six questions: the full model is right, the plan twice; it is wrong once, and else nothing can be read."""
    monkeypatch.setenv("STRATA_DATASETS", str(tmp_path / "mirror"))
    write_fixture("chartqa", tmp_path / "mirror")
    items, _ = load_benchmark("chartqa")
    recorded_run = services.scores.view("tiny").setting[0]
    said = ("", "", "wrong", "unparsable", "unparsable", "repeating")
    with RunStore(user_runs_path()) as store:
        store.put_items(items)
        for plan, failures in ((KEEPS, ("",) * 6), (DROPS, said)):
            blank = replace(
                recorded_run,
                plan=plan,
                benchmark=items.benchmark,
                domain=items.domain,
                data_hash=items.data_hash,
                metric=items.metric,
                max_new_tokens=items.max_new_tokens,
                item_ids=tuple(i.item_id for i in items.items),
                correct=(None,) * 6,
                gold_nll=(None,) * 6,
            )
            outcomes = {
                i.item_id: Outcome(not f, 0.5, ItemAnswer("<b>so</b> it is", "the last number", f, float(not f)))
                for i, f in zip(items.items, failures, strict=True)
            }
            store.put(blank.with_outcomes(outcomes))
        store.put_references(
            [
                ReferenceScore(
                    "tiny", "chartqa", "general", "mixed", 0.5, "lmms-eval:relaxed", "a file", "imported", 2
                ),
                ReferenceScore("tiny", "chartqa", "general", "mixed", 0.4, "lmms-eval:relaxed", "b file", "imported"),
            ]
        )
    return items


def page(open_page, items, **query):
    label = f"chartqa, 6 items, {items.data_hash[:8]}"
    return open_page("benchmarks", domain="general", data=label, curves=["math_aware"], budget="2", **query)


def test_how_answers_fail_stands_beside_how_many_are_right(recorded, engine, open_page, chartqa):
    at = page(open_page, chartqa)
    assert not at.exception
    assert "How do answers fail?" in texts(at)
    frame = tables.failure_table(services.scores.view("tiny", chartqa.data_hash).answered("general"))
    assert (6 * frame.set_index("failure").share).round(6).to_dict() == {"wrong": 1, "unparsable": 2, "repeating": 1}
    assert "relaxed accuracy" in texts(at), "the provenance names the metric"
    at = open_page("benchmarks", domain="math")
    assert "How do answers fail?" not in texts(at), "teacher-forced runs write nothing"


def test_flipped_items_show_their_pictures_from_the_files_here(recorded, engine, open_page, chartqa, monkeypatch):
    at = page(open_page, chartqa)
    assert not at.exception
    assert len(at.get("image")) == 4, "what the plan lost"
    sample = services.samples.sample("tiny", chartqa.items[1].item_id)
    assert sample.metric == "relaxed_accuracy" and sample.image is not None
    index = int(chartqa.items[1].source.rpartition("/")[2])
    assert sample.image.tobytes() == open_image(picture(index)["bytes"]).tobytes()
    monkeypatch.setenv("STRATA_DATASETS", "")
    services.samples._benchmark_picture.clear()
    at = page(open_page, chartqa)
    assert not at.exception and not at.get("image"), "without the files it does without"


def test_pictures_are_those_of_the_measured_rows_only(chartqa, tmp_path):
    item = chartqa.items[0]
    with pytest.raises(SampleError, match="another row now"):
        find_picture("chartqa", item.source, chartqa.items[1].item_id)
    for source in ("", "made:1", f"{item.source}9", "x@y:../../z/1"):
        with pytest.raises(SampleError):
            find_picture("chartqa", source, item.item_id)


def test_figures_from_elsewhere_are_marks_if_they_say_where(recorded, engine, open_page, chartqa):
    points = services.scores.view("tiny").references("general")
    stated = points[points.benchmark == "chartqa, lmms-eval:relaxed"]
    assert stated[["n_drop", "value", "origin"]].to_numpy().tolist() == [[2, 0.5, "imported"]]
    at = page(open_page, chartqa)
    assert "Hollow marks were not measured here" in texts(at) and "What others state" in texts(at)
    figures = services.scores.sources().figures
    assert sum(f.model_id == "tiny" for f in figures) == 2 and len(figures) > 10, "published ones are known as well"
    assert services.scores.view("tiny").references("general", "retention").empty


def test_an_item_without_a_picture_can_be_asked_one_whose_picture_is_elsewhere_cannot(
    recorded, engine, open_page, chartqa, monkeypatch
):
    with RunStore(user_runs_path()) as store:
        text = replace(chartqa.items[0], item_id="text-only", source="AI-MO/NuminaMath-1.5@mirror:default/train/7")
        store.put_items(replace(chartqa, benchmark="numinamath", data_hash="numina", items=(text,)))
    at = open_page("compare", sample="text-only", a="math_aware", budget="2")
    assert not at.exception and "is not on this machine" not in texts(at)
    at.button(key="ask").click().run()
    assert engine.requests[-1][2:4] == (None, text.question)
    monkeypatch.setenv("STRATA_DATASETS", "")
    services.samples._benchmark_picture.clear()
    at = open_page("compare", sample=chartqa.items[0].item_id, a="math_aware", budget="2")
    assert not at.exception and "is not on this machine" in texts(at)
