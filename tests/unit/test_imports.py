"""Imported results as run records and reference scores, the plan they are of, and our runs as files of lmms-eval."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cache import RunStore, load_recorded
from core.analysis.comparisons import plan_answers
from core.errors import PlanError, StoreError
from core.interop import ImportedRun, ImportedSample, ImportedTask, ImportReport, read_lmms_eval, write_lmms_eval
from core.interop.imports import evaluated_plan, keep_results, to_records
from core.library.choosing import comparable
from core.library.published import published_scores
from core.records.items import BenchmarkItem, ItemSet
from core.records.plan import PLAN_FILE, ModelSpec, PruningPlan
from core.records.references import ReferenceScore
from core.records.runs import RunRecord, outcomes_frame
from core.vlm.card import passport

FULL = PruningPlan("org/model", 8, (), "full")
PLAN = PruningPlan("org/model", 8, (3, 5), "math_aware")


def samples(*scores: float | None, prompt: str = "p") -> tuple[ImportedSample, ...]:
    return tuple(
        ImportedSample(
            str(i), prompt_sha256=f"{prompt}{i}", prompt=f"Which? {i}", gold="A", raw="A", parsed="A", score=score
        )
        for i, score in enumerate(scores)
    )


def task(*scores: float | None, **changes: Any) -> ImportedTask:
    found = samples(*scores)
    mean = sum(s or 0.0 for s in scores) / len(scores) if scores else 0.5
    made = ImportedTask(
        key="pope",
        task="pope",
        domain="general",
        dataset_id="lmms-lab/POPE",
        split="test",
        metric="pope_accuracy",
        unit="fraction",
        filter="none",
        value=mean,
        stated=mean,
        n_rows=len(scores) or None,
        samples=found,
    )
    return replace(made, **changes)


def run(*tasks: ImportedTask, **changes: Any) -> ImportedRun:
    made = ImportedRun(
        harness="lmms-eval",
        harness_version="0.7.2",
        adapter="qwen3_vl",
        model_ref="org/model",
        created="2026-02-18T23:44:35",
        limit=None,
        generation={"pope": {"max_new_tokens": 16}},
        tasks=tasks,
        source=("20260218_234435_results.json",),
    )
    return replace(made, **changes)


# ------------------------------------------------------------------------------------------------ records


def test_outcomes_become_a_record_and_its_items() -> None:
    (record,), (items,), references = to_records(run(task(1.0, 0.0, 1.0, 0.0)), plan=PLAN)
    assert (record.correct, record.gold_nll) == ((True, False, True, False), (None,) * 4)
    assert (record.benchmark, record.domain, record.origin) == ("pope", "general", "imported")
    assert (record.metric, record.version) == ("lmms-eval:pope_accuracy", "lmms-eval 0.7.2")
    assert (record.plan, record.created) == (PLAN, "2026-02-18T23:44:35")
    assert items.data_hash == record.data_hash and tuple(i.item_id for i in items.items) == record.item_ids
    assert (items.dataset, items.split, items.max_new_tokens) == ("lmms-lab/POPE", "test", 16)
    assert {i.answer for i in items.items} == {"A"} and items.items[1].question == "Which? 1"
    assert "lmms-eval 0.7.2 (qwen3_vl)" in items.note
    assert references == []


def test_no_record_is_made_of_the_rows_that_happen_to_have_a_score() -> None:
    """Three yes/no rows of ten made a record of 100 %, of a task that the harness gave 30 %."""
    records, sets, (figure,) = to_records(run(task(1.0, 1.0, 1.0, None, value=0.3, stated=0.3)), plan=PLAN)
    assert (records, sets, figure.value, figure.n) == ([], [], 0.3, 4)


def test_what_is_stated_of_more_rows_than_were_read_stands_beside_the_record() -> None:
    """Of a file of samples that was cut off, the harness's own figure over all rows was lost."""
    (record,), _, (figure,) = to_records(run(task(1.0, 1.0, stated=0.75)), plan=FULL)
    assert (record.score, figure.value, figure.metric, figure.n) == (1.0, 0.75, "lmms-eval:pope_accuracy", None)
    _, _, none = to_records(run(task(1.0, 1.0, stated=7.5)), plan=FULL)
    assert none == []  # no fraction


def test_checkpoints_that_are_taken_for_one_plan_are_pointed_out(tmp_path: Path) -> None:
    """All results of a folder were taken for the whole model's, and the last of them replaced the others."""
    report = ImportReport((run(task(1.0, 0.0)), run(task(0.0, 0.0), model_ref="exports/pruned")))
    with RunStore(tmp_path / "runs") as store:
        kept = keep_results(report, store, plan=FULL)
    assert kept.records == 1 and len(kept.problems) == 1
    assert "exports/pruned of 2026-02-18T23:44:35: pope of this plan was just read" in kept.problems[0]


def test_nothing_kept_says_why(tmp_path: Path) -> None:
    noted = run(task(value=None, stated=1.7), warnings=("chartqa: relaxed_overall is 1.7, which is no fraction",))
    with RunStore(tmp_path / "runs") as store, pytest.raises(StoreError, match=r"1\.7, which is no fraction"):
        keep_results(ImportReport((noted,)), store, plan=FULL)


def test_two_imports_of_a_task_share_items_and_set() -> None:
    (a,), (set_a,), _ = to_records(run(task(1.0, 0.0)), plan=FULL)
    (b,), (set_b,), _ = to_records(run(task(0.0, 0.0), created="2026-03-01", source=("x",)), plan=PLAN)
    assert set_a == set_b and a.item_ids == b.item_ids and a.run_id != b.run_id
    both = plan_answers(outcomes_frame([a, b]), ("full", "math_aware"), 2, "general")
    assert len(both["full"].join(both["math_aware"], how="inner", suffixes=("", "_b"))) == 2


@pytest.mark.parametrize("what", ["prompt_sha256", "gold", "sample_key"])
def test_another_question_is_another_item(what: str) -> None:
    (a,), _, _ = to_records(run(task(1.0, 0.0)), plan=FULL)
    changed = (replace(samples(1.0)[0], **{what: "other"}), samples(1.0, 0.0)[1])
    (b,), _, _ = to_records(run(task(1.0, 0.0, samples=changed)), plan=FULL)
    assert a.item_ids[0] != b.item_ids[0] and a.item_ids[1] == b.item_ids[1] and a.data_hash != b.data_hash


@pytest.mark.parametrize(
    "other",
    [
        run(task(1.0, 0.0), harness="vlmevalkit"),
        run(task(1.0, 0.0), harness_version="0.6"),
        run(task(1.0, 0.0), adapter="huggingface"),
        run(task(1.0, 0.0), generation={"pope": {"max_new_tokens": 1024}}),
        run(task(1.0, 0.0, metric="exact_match")),
        run(task(1.0, 0.0, filter="flexible-extract")),
    ],
    ids=["harness", "version", "adapter", "generation", "metric", "filter"],
)
def test_what_was_judged_otherwise_is_never_compared(other: ImportedRun) -> None:
    """The rows are the same, so they would pass for one set."""
    (a,), _, _ = to_records(run(task(1.0, 0.0)), plan=FULL)
    (b,), _, _ = to_records(other, plan=FULL)
    assert a.item_ids == b.item_ids
    assert a.data_hash != b.data_hash and a.run_id != b.run_id
    assert len(comparable([a, b])) == 1


def test_what_is_no_score_or_not_known_makes_nothing() -> None:
    ratio = task(metric="pope_yes_ratio", how="ratio", value=0.5)
    unknown = task(key="mmstar", unit="unknown", value=None, stated=45.3)
    assert to_records(run(ratio, unknown), plan=PLAN) == ([], [], [])


def test_aggregates_become_reference_scores() -> None:
    f1 = task(metric="pope_f1_score", how="whole", value=0.864, n_rows=9000)
    records, sets, (found,) = to_records(run(f1), plan=PLAN)
    assert (records, sets) == ([], [])
    assert (found.model_id, found.benchmark, found.criterion, found.n_drop) == ("org/model", "pope", "math_aware", 2)
    assert (found.value, found.measure, found.metric, found.n) == (0.864, "score", "lmms-eval:pope_f1_score", 9000)
    assert (found.origin, found.source) == (
        "imported",
        f"lmms-eval 0.7.2, org/model, 20260218_234435_results.json, plan {PLAN.plan_id}",
    )


def test_graded_answers_keep_the_harness_s_figure_beside_the_record() -> None:
    graded = task(0.6, 0.3, 1.0, how="graded", key="textvqa", metric="exact_match")
    (record,), (items,), (found,) = to_records(run(graded), plan=PLAN)
    assert record.correct == (True, False, True) and "graded" in items.note
    assert found.value == pytest.approx(1.9 / 3) and found.note == "Graded answers."


def test_repeated_rows_count_once() -> None:
    rows = (*samples(1.0, 0.0), replace(samples(0.0)[0], counted=False), samples(1.0)[0])
    (record,), _, _ = to_records(run(task(1.0, 0.0, samples=rows)), plan=PLAN)
    assert record.correct == (True, False)


def test_smoke_runs_say_so() -> None:
    tasks = (task(1.0, 0.0), task(metric="pope_f1_score", how="whole"))
    _, (items,), (found,) = to_records(run(*tasks, limit=2.0), plan=PLAN)
    assert "smoke run" in items.note and "smoke run" in found.note


def test_imported_records_are_stored_and_shipped(tmp_path: Path) -> None:
    (record,), (items,), _ = to_records(run(task(1.0, 0.0)), plan=PLAN)
    with RunStore(tmp_path / "runs") as store:
        store.put(record)
        store.put_items(items)
        assert [r.run_id for r in store.records()] == [record.run_id] and store.item_sets() == [items]
        store.export_parquet(tmp_path / "a.parquet", [record])
    assert load_recorded(tmp_path / "a.parquet")[0][0].correct == (True, False)


# ------------------------------------------------------------------------------------------------ which plan


def exported(folder: Path) -> Path:
    """A folder with the passport that an export writes."""
    layers = (100,) * 8
    spec = ModelSpec("org/model", "abc", "qwen3_vl", 8, (), 1000, layers, "float32", "cpu")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PLAN_FILE).write_text(json.dumps(passport(spec, PLAN, {}, "")))
    return folder


def test_an_export_says_itself_which_plan_it_is(tmp_path: Path) -> None:
    plan, spec = evaluated_plan(run(model_ref=str(exported(tmp_path / "x"))))
    assert plan == PLAN
    assert (spec.model_id, spec.revision, spec.family, spec.n_layers) == ("org/model", "abc", "qwen3_vl", 8)
    assert (spec.n_parameters, spec.layer_parameters) == (1000, (100,) * 8)


def test_a_plan_that_contradicts_the_passport_is_refused(tmp_path: Path) -> None:
    evaluated = run(model_ref=str(exported(tmp_path / "x")))
    assert evaluated_plan(evaluated, plan=PLAN)[0] == PLAN
    with pytest.raises(StoreError, match="was exported from another plan"):
        evaluated_plan(evaluated, plan=FULL)


@pytest.mark.parametrize("content", ["{", "[1]", '{"model_id": 1}', '{"model_id": "x", "n_layers": 2, "dropped": [9]}'])
def test_a_damaged_passport_is_one_clear_line(tmp_path: Path, content: str) -> None:
    (tmp_path / PLAN_FILE).write_text(content)
    with pytest.raises(PlanError) as caught:
        evaluated_plan(run(model_ref=str(tmp_path)))
    assert "\n" not in str(caught.value)


def test_a_relative_name_is_no_folder_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub id in a foreign file must not pick up a folder that happens to be called so."""
    exported(tmp_path / "org" / "model")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="give --plan"):
        evaluated_plan(run())


def test_a_model_of_the_hub_whose_depth_is_known_is_whole_unless_a_plan_is_given() -> None:
    whole, _ = evaluated_plan(run(model_ref="Qwen/Qwen3-VL-8B-Instruct"))
    assert (whole.model_id, whole.n_layers, whole.dropped) == ("Qwen/Qwen3-VL-8B-Instruct", 36, ())
    assert evaluated_plan(run(model_ref="Qwen/Qwen3-VL-8B-Instruct"), plan=PLAN)[0] == PLAN
    for name in ("nobody/knows-this", "/tmp/Qwen/Qwen3-VL-8B-Instruct", "Qwen3-VL-8B-Instruct"):
        with pytest.raises(StoreError, match="--model and --layers"):
            evaluated_plan(run(model_ref=name))


def test_without_a_passport_the_caller_says_it() -> None:
    assert evaluated_plan(run(), plan=PLAN)[0] == PLAN
    plan, spec = evaluated_plan(run(), model_id="Qwen/Qwen3-VL-8B-Instruct", n_layers=36)
    assert (plan.dropped, plan.criterion, plan.n_layers) == ((), "full", 36)
    assert (spec.n_parameters, len(spec.layer_parameters), spec.family) == (0, 36, "")


def test_a_model_that_is_not_the_plan_s_is_refused() -> None:
    spec = ModelSpec("org/other", "", "", 8, (), 0, (), "", "")
    with pytest.raises(StoreError, match="is not one of org/other"):
        to_records(run(task(1.0)), plan=PLAN, model=spec)


# ------------------------------------------------------------------------------------------------ references


def reference(**changes: Any) -> ReferenceScore:
    fields: dict[str, Any] = {
        "model_id": "org/model",
        "benchmark": "pope",
        "domain": "general",
        "criterion": "interlace",
        "value": 0.8,
        "metric": "published:score",
        "source": "arXiv:0000.00000",
        "origin": "published",
    }
    return ReferenceScore(**fields | changes)


def test_reference_scores_come_back_from_json() -> None:
    score = reference(n_drop=3, percent=10, n=100, note="x")
    assert ReferenceScore.from_dict(json.loads(json.dumps(score.to_dict()))) == score


@pytest.mark.parametrize(
    "changes",
    [
        {"value": 80},
        {"value": -0.1},
        {"value": math.nan},
        {"value": "0.8"},
        {"value": True},
        {"model_id": ""},
        {"benchmark": "a\tb"},
        {"source": None},
        {"measure": "speed"},
        {"origin": "measured"},
        {"n_drop": -1},
        {"n_drop": 1.5},
        {"n": 0},
        {"percent": 100},
        {"percent": math.inf},
    ],
)
def test_reference_scores_that_cannot_be_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(StoreError) as caught:
        reference(**changes)
    assert "\n" not in str(caught.value)


def test_retention_may_pass_one_but_a_score_may_not() -> None:
    assert reference(value=1.02, measure="retention").value == 1.02
    with pytest.raises(StoreError, match="give a fraction"):
        reference(value=1.02)


@pytest.mark.parametrize("data", [None, [], {"model_id": "x"}, {**reference().to_dict(), "more": 1}])
def test_what_is_no_reference_score_is_one_line(data: Any) -> None:
    with pytest.raises(StoreError, match="not a reference score"):
        ReferenceScore.from_dict(data)


def test_the_key_is_what_the_figure_is_of() -> None:
    assert reference().key == reference(value=0.7, note="corrected").key
    others = [reference(**c) for c in ({"n_drop": 1}, {"metric": "b"}, {"origin": "imported"}, {"source": "b"})]
    assert len({reference().key, *(o.key for o in others)}) == 5


# ------------------------------------------------------------------------------------------------ published


def test_published_figures_are_a_series_of_their_own() -> None:
    scores = published_scores()
    assert {s.origin for s in scores} == {"published"} and len({s.key for s in scores}) == len(scores)
    assert all(s.metric.startswith("published:") and s.note and "arXiv:" in s.source for s in scores)


def test_figures_of_the_math_aware_paper_claim_no_configuration() -> None:
    scores = [s for s in published_scores() if "2603.20275" in s.source]
    found = sorted((s.benchmark, round(100 * s.value, 2)) for s in scores)
    assert found == [
        ("llava_onevision", 66.16),
        ("numinamath", 55.5),
        ("realworldqa", 67.45),
        ("realworldqa", 72.29),
        ("snapask", 35.83),
        ("vstar", 76.96),
        ("vstar", 82.72),
    ]
    assert {(s.model_id, s.criterion, s.n_drop, s.percent, s.measure) for s in scores} == {
        ("not stated", "published", None, None, "score")
    }
    assert all("only the benchmark's name" in s.note for s in scores)


def test_interlace_retention_by_layers() -> None:
    scores = [s for s in published_scores() if s.n_drop is not None and "12 benchmarks" in s.metric]
    found = {(s.model_id.split("-")[2], s.n_drop): round(100 * s.value, 1) for s in scores}
    assert found == {
        **{("8B", 3): 94.0, ("8B", 5): 92.1, ("8B", 7): 86.9, ("8B", 9): 86.1},
        **{("4B", 3): 93.9, ("4B", 5): 91.9, ("4B", 7): 88.0, ("4B", 9): 81.7},
    }
    assert {s.measure for s in scores} == {"retention"} and all("fine-tuning" in s.note for s in scores)


def test_interlace_s_table_of_methods_names_its_model() -> None:
    """It said "not stated", although the authors' page heads the table "Qwen3-VL-8B, 25 % pruning"."""
    scores = [s for s in published_scores() if s.metric.endswith("comparison of methods")]
    assert {s.model_id for s in scores} == {"Qwen/Qwen3-VL-8B-Instruct"}
    found = {(s.criterion, s.measure): (round(100 * s.value, 1), s.n_drop) for s in scores}
    assert found == {
        ("dense", "score"): (77.8, 0),
        ("dense, fine-tuned", "score"): (80.5, 0),
        ("dense, fine-tuned", "retention"): (100.0, 0),
        ("interlace", "score"): (71.6, 9),
        ("interlace", "retention"): (88.9, 9),
        ("sleb", "score"): (48.6, 9),
        ("sleb", "retention"): (60.5, 9),
        ("sleb, fine-tuned", "score"): (46.0, 9),
        ("sleb, fine-tuned", "retention"): (57.1, 9),
        ("magnitude-2:4", "retention"): (9.5, None),
        ("wanda-2:4", "retention"): (8.9, None),
    }
    dense = found[("dense, fine-tuned", "score")][0]
    for criterion in ("interlace", "sleb", "sleb, fine-tuned"):  # the two columns agree, to the page's rounding
        share = 100 * found[(criterion, "score")][0] / dense
        assert abs(share - found[(criterion, "retention")][0]) < 0.2, criterion


def test_interlace_s_ablations_are_no_points_of_a_curve() -> None:
    scores = [s for s in published_scores() if "ablations" in s.metric]
    found = {s.criterion.rpartition(" ")[2]: round(100 * s.value, 1) for s in scores}
    assert found == {"consecutive": 65.1, "random": 85.1, "OA": 94.9, "TN": 98.7}
    assert {(s.n_drop, s.percent) for s in scores} == {(None, 25)} and all("INTERLACE" in s.note for s in scores)


# ------------------------------------------------------------------------------------------------ writing


def measured(plan: PruningPlan, correct: tuple[bool | None, ...], **changes: Any) -> RunRecord:
    ids = tuple(f"i{n}" for n in range(len(correct)))
    spec = ModelSpec("org/model", "abc", "qwen3_vl", 8, (), 1000, (100,) * 8, "float32", "cpu")
    record = RunRecord(
        spec,
        plan,
        "tiny-math",
        "math",
        "hash",
        "exact_match",
        ids,
        correct,
        tuple(None if c is None else 0.5 for c in correct),
        device="cpu",
        created="2026-03-01T10:00:00+00:00",
    )
    return replace(record, **changes)


QUESTIONS = tuple(BenchmarkItem(f"i{n}", "count", f"How many? {n}", str(n)) for n in range(3))
ITEMS = ItemSet("tiny-math", "math", "test", "hash", QUESTIONS)


def test_our_runs_come_back_through_the_reader(tmp_path: Path) -> None:
    records = [measured(FULL, (True, True, False)), measured(PLAN, (True, None, False))]
    written = write_lmms_eval(records, {"hash": ITEMS}, tmp_path)
    assert [str(p.relative_to(tmp_path)) for p in written] == [
        "org__model/20260301_100000_results.json",
        "org__model/20260301_100000_samples_tiny-math.jsonl",
        f"org__model-drop2-{PLAN.plan_id}/20260301_100000_results.json",
        f"org__model-drop2-{PLAN.plan_id}/20260301_100000_samples_tiny-math.jsonl",
    ]
    report = read_lmms_eval(tmp_path)
    assert report.problems == () and [r.adapter for r in report.runs] == ["strata", "strata"]
    assert all(r.warnings == () for r in report.runs)
    full, pruned = (r.tasks[0] for r in report.runs)
    assert (full.value, full.unit, full.split) == (pytest.approx(2 / 3), "fraction", "test")
    assert [(s.sample_key, s.gold, s.score) for s in pruned.samples] == [("0", "0", 1.0), ("2", "2", 0.0)]
    (again,), _, references = to_records(report.runs[1], plan=PLAN)
    assert again.correct == (True, False) and references == []
    assert [evaluated_plan(run)[0] for run in report.runs] == [FULL, PLAN], "as the files say"


def test_written_files_name_strata_and_the_plan(tmp_path: Path) -> None:
    results, lines = write_lmms_eval([measured(PLAN, (True, False, False))], {"hash": ITEMS}, tmp_path)
    document = json.loads(results.read_text())
    assert document["config"]["model"] == document["model_source"] == "strata"
    assert document["strata"]["plan"] == PLAN.to_dict()
    assert document["model_name_sanitized"] == results.parent.name
    assert document["results"]["tiny-math"]["exact_match,none"] == pytest.approx(1 / 3)
    first = json.loads(lines.read_text().splitlines()[0])
    assert (first["doc_id"], first["target"], first["exact_match"], first["input"]) == (0, "0", 1.0, "How many? 0")
    assert (first["strata_item"], first["strata_gold_nll"]) == ("i0", 0.5)


def test_plans_of_one_moment_get_files_of_their_own(tmp_path: Path) -> None:
    same = replace(PLAN, criterion="mixed")
    written = write_lmms_eval([measured(PLAN, (True,)), measured(same, (True,))], {}, tmp_path)
    assert len(set(written)) == 4 and len(read_lmms_eval(tmp_path).runs) == 2


def test_a_model_s_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    spec = replace(measured(FULL, (True,)).model, model_id="..")
    written = write_lmms_eval([measured(FULL, (True,), model=spec)], {}, tmp_path / "out")
    assert all(p.parent.parent == tmp_path / "out" and p.parent.name == "model" for p in written)


def test_nothing_to_write_and_nowhere_to_write_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing to write"):
        write_lmms_eval([measured(FULL, (None, None))], {}, tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot write to"):
        write_lmms_eval([measured(FULL, (True,))], {}, tmp_path / "file")
