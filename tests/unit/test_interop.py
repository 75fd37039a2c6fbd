"""Results of lmms-eval and VLMEvalKit: what is read, in which unit, and what of a damaged file is kept."""

import csv
import json
import os
import struct
import tempfile
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.benchmarks import get_benchmark, list_benchmarks
from core.errors import StoreError
from core.interop import (
    ImportedRun,
    ImportedTask,
    detect_format,
    evaluation_commands,
    read_lmms_eval,
    read_results,
    read_vlmevalkit,
    resolve_dataset_id,
    tables,
)
from core.interop import files as bounded
from core.interop.imports import to_records
from core.interop.names import VLMEVALKIT, VLMEVALKIT_KINDS, benchmark_of, lmms_metric
from core.interop.verdicts import bare_score, row_score
from core.records.plan import PruningPlan

STAMP = "20260218_234435"
NULL = "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"


def results(**changes: Any) -> dict[str, Any]:
    """A results file of lmms-eval 0.6, abridged; `changes` replace its top level."""
    document = {
        "results": {
            "pope": {
                "alias": "pope",
                "pope_accuracy,none": 0.75,
                "pope_accuracy_stderr,none": "N/A",
                "pope_accuracy_stderr_clt,none": 0.0035,
                "pope_accuracy_stderr_clustered,none": "N/A",
                "pope_f1_score,none": 0.8,
                "pope_yes_ratio,none": 0.5,
            },
            "scienceqa_img": {"alias": "scienceqa_img", "exact_match,none": 0.5, "exact_match_stderr,none": 0.01},
        },
        "group_subtasks": {"pope": [], "scienceqa_img": []},
        "configs": {
            "scienceqa_img": {
                "task": "scienceqa_img",
                "dataset_path": "lmms-lab/ScienceQA",
                "dataset_name": "ScienceQA-IMG",
                "test_split": "test",
                "process_results": "<function sqa_process_results at 0x7f>",
                "generation_kwargs": {"max_new_tokens": 16, "temperature": 0.0, "until": ["\n\n"]},
            }
        },
        "n-samples": {"scienceqa_img": {"original": 2017, "effective": 2017}},
        "config": {
            "model": "llava",
            "model_args": "pretrained=liuhaotian/llava-v1.5-7b,device_map=auto",
            "batch_size": "1",
            "limit": None,
            "gen_kwargs": "",
        },
        "git_hash": "v0.6-9-g28c75891",
        "date": STAMP,
        "task_hashes": {"scienceqa_img": "2fc0"},
        "model_source": "llava",
        "model_name": "liuhaotian/llava-v1.5-7b",
        "model_name_sanitized": "liuhaotian__llava-v1.5-7b",
        "chat_template": None,
        "total_evaluation_time_seconds": "12942.72",
    }
    return document | changes


def row(doc_id: Any, metric: str = "exact_match", score: Any = 1.0, **changes: Any) -> dict[str, Any]:
    """A sample's line of lmms-eval 0.6."""
    line = {
        "doc_id": doc_id,
        "target": "B",
        "filtered_resps": ["E"],
        "doc_hash": NULL,
        metric: score,
        "input": f"Context: passage {doc_id}\nAnswer with the option's letter from the given choices directly.",
    }
    return line | changes


def of_task(metric: str, value: Any, task: str, filter_name: str = "none") -> dict[str, Any]:
    return results(results={task: {"alias": task, f"{metric},{filter_name}": value}})


def write(path: Path, content: Any) -> Path:
    """JSON, JSON lines of a list, or text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl" and isinstance(content, list):
        content = "".join(json.dumps(line) + "\n" for line in content)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def write_table(path: Path, rows: list[dict[str, Any]], quoting: Any = csv.QUOTE_ALL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",", quoting=quoting)
        writer.writerow(rows[0])
        writer.writerows(r.values() for r in rows)
    return path


def write_sheet(path: Path, rows: list[dict[str, Any]]) -> Path:
    from openpyxl import Workbook

    path.parent.mkdir(parents=True, exist_ok=True)
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(rows[0]))
    for r in rows:
        sheet.append(list(r.values()))
    book.save(path)
    return path


@pytest.fixture
def lmms(tmp_path: Path) -> Path:
    """A folder of lmms-eval with one run: results and the samples of one of its two tasks."""
    folder = tmp_path / "logs" / "liuhaotian__llava-v1.5-7b"
    write(folder / f"{STAMP}_results.json", results())
    rows = [row(0), row(2, score=0.0), row(1), row(3, score=0.0)]
    write(folder / f"{STAMP}_samples_scienceqa_img.jsonl", rows)
    return folder


def one(path: Path, task: str = "", metric: str = "") -> ImportedTask:
    """The only task read, or the one that is named."""
    found = [t for r in read_results(path).runs for t in r.tasks]
    found = [t for t in found if task in ("", t.task) and metric in ("", t.metric)]
    assert len(found) == 1, [(t.task, t.metric) for t in found]
    return found[0]


def the_run(path: Path) -> ImportedRun:
    report = read_results(path)
    assert len(report.runs) == 1 and report.problems == ()
    return report.runs[0]


# ------------------------------------------------------------------------------------------------ lmms-eval: a run


def test_a_results_file_says_what_was_run(lmms: Path) -> None:
    run = the_run(lmms / f"{STAMP}_results.json")
    assert (run.harness, run.harness_version, run.adapter) == ("lmms-eval", "v0.6-9-g28c75891", "llava")
    assert (run.model_ref, run.created, run.limit) == ("liuhaotian/llava-v1.5-7b", "2026-02-18T23:44:35", None)
    assert run.generation == {"scienceqa_img": {"max_new_tokens": 16, "temperature": 0.0, "until": ["\n\n"]}}
    assert not run.smoke and run.warnings == () and run.source == (f"{STAMP}_results.json",)
    found = {(t.task, t.metric): t.value for t in run.tasks}
    assert found == {
        ("pope", "pope_accuracy"): 0.75,
        ("pope", "pope_f1_score"): 0.8,
        ("pope", "pope_yes_ratio"): 0.5,
        ("scienceqa_img", "exact_match"): 0.5,
    }
    sqa = run.tasks[-1]
    assert (sqa.key, sqa.domain, sqa.split, sqa.filter, sqa.n_rows) == ("scienceqa", "general", "test", "none", 2017)
    assert sqa.samples == ()


def test_a_folder_puts_samples_to_the_results_of_their_time(lmms: Path) -> None:
    later = "20260219_010101"
    write(lmms / f"{later}_results.json", of_task("exact_match", 1.0, "scienceqa_img"))
    write(lmms / f"{later}_samples_scienceqa_img.jsonl", [row(7)])
    first, second = read_lmms_eval(lmms).runs
    assert [s.sample_key for s in first.tasks[-1].samples] == ["0", "1", "2", "3"]
    assert [s.sample_key for s in second.tasks[0].samples] == ["7"]
    assert second.source == (f"{later}_results.json", f"{later}_samples_scienceqa_img.jsonl")


def test_the_folder_above_models_is_read_too(lmms: Path) -> None:
    assert [r.model_ref for r in read_lmms_eval(lmms.parent).runs] == ["liuhaotian/llava-v1.5-7b"]


def test_head_states_more_and_unknown_keys_do_no_harm(tmp_path: Path) -> None:
    document = of_task("exact_match", 1.0, "realworldqa")
    document["results"]["realworldqa"] |= {"samples": 765, "exact_match_expected_accuracy,none": 0.2}
    document["results"]["realworldqa"] |= {"paired_baseline_score,none": 0.1, "paired_pvalue,none": 0.4}
    document |= {"lmms_eval_version": "0.7.2", "throughput": {"avg_speed": 3.0}, "usage": {}, "new": [1]}
    document["config"] |= {"model_backend": "module.Class (chat)", "gen_kwargs": "temperature=0"}
    run = the_run(write(tmp_path / f"{STAMP}_results.json", document))
    assert (run.harness_version, run.adapter) == ("0.7.2", "llava module.Class (chat)")
    assert run.generation[""] == "temperature=0"
    assert [(t.metric, t.value) for t in run.tasks] == [("exact_match", 1.0)]


def test_a_limit_makes_a_smoke_run(tmp_path: Path) -> None:
    document = results()
    document["config"]["limit"] = 8
    run = the_run(write(tmp_path / f"{STAMP}_results.json", document))
    assert run.smoke and run.limit == 8
    assert run.warnings == ("a smoke run: limited to 8 rows a task, so its scores are no measurement",)


@pytest.mark.parametrize("missing", ["config", "configs", "n-samples", "date", "model_name", "git_hash"])
def test_older_files_lack_keys(tmp_path: Path, missing: str) -> None:
    document = results()
    del document[missing]
    run = the_run(write(tmp_path / "org__model" / f"{STAMP}_results.json", document))
    assert len(run.tasks) == 4
    assert run.created == "2026-02-18T23:44:35"
    assert run.model_ref == ("org__model" if missing == "model_name" else "liuhaotian/llava-v1.5-7b")


def test_groups_blank_rows_and_nothings_are_no_scores(tmp_path: Path) -> None:
    document = results()
    document["results"] = {
        "mmmu": {" ": " ", "alias": "mmmu"},
        "mathvista_testmini_format": {"llm_as_judge_eval,none": None, "submission,none": None, "other,none": None},
        "chartqa": {"relaxed_overall,none": "N/A"},
    }
    run = the_run(write(tmp_path / f"{STAMP}_results.json", document))
    assert [(t.task, t.value, t.stated) for t in run.tasks] == [
        ("mathvista_testmini_format", None, None),  # its file says null where the score is 0
        ("chartqa", None, None),
    ]


def test_names_cannot_break_lines_or_keys(tmp_path: Path) -> None:
    document = of_task("m\x00x", 1.0, "a\ttask\n")
    document["model_name"] = "org/\tmodel\n\x1b[31m"
    run = the_run(write(tmp_path / f"{STAMP}_results.json", document))
    assert run.model_ref == "org/ model [31m"
    assert (run.tasks[0].task, run.tasks[0].metric) == ("a task", "m x")


# ------------------------------------------------------------------------------------------------ units


@pytest.mark.parametrize(
    ("task", "metric", "stated", "value"),
    [
        ("scienceqa_img", "exact_match", 0.69509, 0.69509),
        ("chartqa", "relaxed_overall", 0.008, 0.008),
        ("pope", "pope_accuracy", 0.86955, 0.86955),
        ("mmmu_val", "mmmu_acc", 0.5067, 0.5067),
        ("mathverse_testmini", "gpt_eval_score", 0.9, 0.9),
        ("mmbench_en_dev", "gpt_eval_score", 0.9, 0.009),  # the same key, in percent: a pruned model's score
        ("vstar_bench", "vstar_overall_acc", 0.8, 0.008),
        ("mathvision_test", "mathvision_standard_eval", 21.5, 0.215),
        ("mathvista_testmini_cot", "llm_as_judge_eval", 60.0, 0.6),
    ],
)
def test_units_are_looked_up_by_task_and_metric(
    tmp_path: Path, task: str, metric: str, stated: float, value: float
) -> None:
    found = one(write(tmp_path / f"{STAMP}_results.json", of_task(metric, stated, task)))
    assert found.value == pytest.approx(value) and found.stated == stated
    assert found.unit == ("fraction" if value == stated else "percent")


@pytest.mark.parametrize("key", [b.key for b in list_benchmarks() if b.harness.task])
def test_every_benchmark_that_names_a_harness_is_known_to_the_readers(key: str) -> None:
    ours = get_benchmark(key)
    theirs = ours.harness
    assert benchmark_of(theirs.task) == benchmark_of(theirs.vlmevalkit) == (key, ours.domain)
    assert lmms_metric(theirs.task, theirs.metric).unit == ("percent" if theirs.percent else "fraction")
    kind, loaded_by = VLMEVALKIT[theirs.vlmevalkit]
    assert VLMEVALKIT_KINDS[kind][2] and loaded_by


def test_an_unknown_unit_is_never_guessed(tmp_path: Path) -> None:
    path = write(tmp_path / f"{STAMP}_results.json", of_task("average", 45.3, "mmstar"))
    run = the_run(path)
    (found,) = run.tasks
    assert (found.key, found.domain, found.unit, found.value, found.stated) == (
        "mmstar",
        "other",
        "unknown",
        None,
        45.3,
    )
    assert run.warnings == ("mmstar: the unit of average is not known (45.3 is stated): it is not taken for a score",)


def test_rows_that_give_the_stated_number_show_what_it_is(tmp_path: Path) -> None:
    write(tmp_path / f"{STAMP}_results.json", of_task("average", 75.0, "mmstar"))
    rows = [row(i, "average", float(i > 0)) for i in range(4)]
    write(tmp_path / f"{STAMP}_samples_mmstar.jsonl", rows)
    found = one(tmp_path)
    assert (found.unit, found.value, found.stated, len(found.samples)) == ("unknown", 0.75, 75.0, 4)


def test_an_unknown_metric_that_is_no_mean_of_its_rows_has_no_value(tmp_path: Path) -> None:
    write(tmp_path / f"{STAMP}_results.json", of_task("f1", 0.61, "mmstar"))
    write(tmp_path / f"{STAMP}_samples_mmstar.jsonl", [row(i, "f1", 1.0) for i in range(4)])
    assert one(tmp_path).value is None


def test_a_number_that_its_unit_cannot_hold_is_not_taken(tmp_path: Path) -> None:
    """A file of another version that wrote percent where a fraction is known is not cut to 1."""
    run = the_run(write(tmp_path / f"{STAMP}_results.json", of_task("exact_match", 69.5, "ai2d")))
    assert (run.tasks[0].value, run.tasks[0].stated) == (None, 69.5)
    assert run.warnings == ("ai2d: exact_match is 69.5, which is no fraction: it is not taken",)


def test_data_sets_that_moved_keep_one_name(tmp_path: Path) -> None:
    document = results()
    document["configs"]["scienceqa_img"]["dataset_path"] = "lmms-lab-encoder/ScienceQA"
    moved = one(write(tmp_path / "b" / f"{STAMP}_results.json", document), "scienceqa_img")
    assert moved.dataset_id == resolve_dataset_id("lmms-lab/ScienceQA") == "lmms-lab/ScienceQA"
    assert resolve_dataset_id("MathLLMs/MathVision") == "MathLLMs/MathVision"


# ------------------------------------------------------------------------------------------------ lmms-eval: rows


def test_rows_are_sorted_counted_and_recomputed(lmms: Path) -> None:
    task = one(lmms, "scienceqa_img")
    assert [(s.sample_key, s.score) for s in task.samples] == [("0", 1.0), ("1", 1.0), ("2", 0.0), ("3", 0.0)]
    assert (task.value, task.stated, task.n_rows, task.disagrees) == (0.5, 0.5, 4, False)
    sample = task.samples[0]
    assert (sample.gold, sample.raw, sample.parsed, sample.score_source) == ("B", "E", "E", "harness")
    assert len(sample.prompt_sha256) == 64 and sample.prompt_sha256 != task.samples[1].prompt_sha256


def test_doc_ids_sort_as_numbers_where_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / f"{STAMP}_samples_ai2d.jsonl", [row(i) for i in (10, "b", 9, "a", 1, None)])
    assert [s.sample_key for s in one(path).samples] == ["1", "9", "10", "a", "b", "row 5"]


def test_a_score_that_its_rows_do_not_give_is_pointed_out(lmms: Path) -> None:
    write(lmms / f"{STAMP}_results.json", of_task("exact_match", 0.506, "scienceqa_img"))
    run = the_run(lmms)
    assert run.tasks[0].value == 0.5 and run.tasks[0].disagrees
    assert run.warnings == (
        "scienceqa_img: the rows give exact_match 50.0, the file states 50.6: they may not be of the same run",
    )
    write(lmms / f"{STAMP}_results.json", of_task("exact_match", 0.504, "scienceqa_img"))
    assert not the_run(lmms).tasks[0].disagrees and the_run(lmms).warnings == ()


@pytest.mark.parametrize("answer", ["E", ["E"], [["E"]], [["E", "F"]]])
def test_answers_come_as_text_list_or_lists(tmp_path: Path, answer: Any) -> None:
    path = write(tmp_path / f"{STAMP}_samples_ai2d.jsonl", [row(0, filtered_resps=answer)])
    sample = one(path).samples[0]
    assert (sample.raw, sample.parsed) == ("E", "E")


def test_what_was_written_is_kept_beside_what_was_scored(tmp_path: Path) -> None:
    line = row(3, score=0.0, resps=["<think>..</think>E"], filtered_resps="E", token_counts=[{"output_tokens": 2}])
    sample = one(write(tmp_path / f"{STAMP}_samples_ai2d.jsonl", [line])).samples[0]
    assert (sample.raw, sample.parsed, sample.score) == ("<think>..</think>E", "E", 0.0)


def test_older_rows_hold_the_document(tmp_path: Path) -> None:
    line = row(0, doc={"question": "?", "answer": 1}, arguments=[["x"]])
    del line["input"]
    task = one(write(tmp_path / f"{STAMP}_samples_ai2d.jsonl", [line]))
    assert task.metric == "exact_match" and task.samples[0].prompt_sha256 == ""


def test_pope_rows_hold_one_verdict_under_every_metric(tmp_path: Path) -> None:
    def verdict(right: float) -> dict[str, Any]:
        return {"question_id": "7", "score": right, "prediction": "yes", "ground_truth": "yes" if right else "no"}

    rows = []
    for i, right in enumerate((1.0, 1.0, 0.0, 1.0)):
        line = row(i, "pope_accuracy", verdict(right), target="yes")
        rows.append(line | {m: verdict(right) for m in ("pope_precision", "pope_f1_score", "pope_yes_ratio")})
    write(tmp_path / f"{STAMP}_results.json", results())
    write(tmp_path / f"{STAMP}_samples_pope.jsonl", rows)
    accuracy, f1 = one(tmp_path, "pope", "pope_accuracy"), one(tmp_path, "pope", "pope_f1_score")
    assert accuracy.value == 0.75 and [s.score for s in accuracy.samples] == [1.0, 1.0, 0.0, 1.0]
    assert accuracy.samples[0].native_id == "7"
    assert (f1.value, f1.samples, f1.how) == (0.8, (), "whole")  # not the mean of the rows, which is the accuracy


def test_pope_rows_without_results_give_the_accuracy_only(tmp_path: Path) -> None:
    verdict = {"question_id": "1", "score": 1.0, "prediction": "yes", "ground_truth": "yes"}
    line = row(0, "pope_accuracy", verdict) | {"pope_f1_score": verdict}
    assert one(write(tmp_path / f"{STAMP}_samples_pope.jsonl", [line])).metric == "pope_accuracy"


def test_mmmu_compares_what_was_parsed(tmp_path: Path) -> None:
    def verdict(answer: Any, parsed: Any, kind: str) -> dict[str, Any]:
        return {"id": "validation_Art_1", "question_type": kind, "answer": answer, "parsed_pred": parsed}

    cases = [
        (verdict("B", ["B"], "multiple-choice"), 1.0),
        (verdict("B", "C", "multiple-choice"), 0.0),
        (verdict("0.5", ["about", 0.5], "open"), 1.0),
        (verdict(["two", "2"], ["three", 3.0], "open"), 0.0),
        (verdict("B", [], "multiple-choice"), None),
    ]
    rows = [row(i, "mmmu_acc", v) | {"submission": {"x": 1}} for i, (v, _) in enumerate(cases)]
    task = one(write(tmp_path / f"{STAMP}_samples_mmmu_val.jsonl", rows))
    assert [s.score for s in task.samples] == [score for _, score in cases]
    assert {s.score_source for s in task.samples} == {"recomputed"}
    assert task.value is None  # not all of its rows have a score


@pytest.mark.parametrize(
    ("value", "score"),
    [
        (1.0, 1.0),
        (True, 1.0),
        (0.3, 0.3),
        ("1", 1.0),
        ({"scores": [True, False]}, 1.0),
        ({"scores": []}, None),
        ({"true_false": False}, 0.0),
        ({"score": 7}, None),  # MME counts otherwise
        (float("inf"), None),
        (10**400, None),
        ("N/A", None),
        (None, None),
        ([1.0], None),
        ({"answer": "A", "prediction": "(a)"}, 1.0),
        ({"answer": "A", "prediction": "The answer is A"}, None),  # would take a judge
    ],
)
def test_a_rows_score(value: Any, score: float | None) -> None:
    assert row_score(value)[0] == score


@pytest.mark.parametrize(
    ("gold", "answer", "score"),
    [
        ("B", "B", 1.0),
        ("B", "b", 1.0),
        ("B", " (B) ", 1.0),
        ("B", "B.", 1.0),
        ("B", "[B]", 1.0),
        ("B", "C", 0.0),
        ("B", "B because", None),
        ("B", "", None),
        ("yes", "Yes.", 1.0),
        ("No", "yes", 0.0),
        ("no", "not sure", None),
        ("3", "3", None),
    ],
)
def test_only_bare_answers_are_judged_here(gold: str, answer: str, score: float | None) -> None:
    assert bare_score(gold, answer) == score


def test_mathvision_and_mathvista_verdicts_make_the_score(tmp_path: Path) -> None:
    write(tmp_path / f"{STAMP}_results.json", of_task("mathvision_standard_eval", 50.0, "mathvision_test"))
    rows = [row(i, "mathvision_standard_eval", {"response": ["x"], "scores": [i == 0]}) for i in range(2)]
    write(tmp_path / f"{STAMP}_samples_mathvision_test.jsonl", rows)
    task = one(tmp_path)
    assert (task.value, task.stated_fraction, task.domain, task.disagrees) == (0.5, 0.5, "math", False)


def mmbench(index: int, answer: str, prediction: str) -> dict[str, Any]:
    detail = {"index": index, "answer": answer, "prediction": prediction, "question": "?", "source": "", "split": "dev"}
    return row(index, "gpt_eval_score", detail)


def test_mmbench_counts_a_question_if_all_its_copies_are_right(tmp_path: Path) -> None:
    rows = [mmbench(1, "A", "A"), mmbench(1_000_001, "B", "C"), mmbench(2, "A", "A."), mmbench(1_000_002, "C", "c")]
    write(tmp_path / f"{STAMP}_results.json", of_task("gpt_eval_score", 50.0, "mmbench_en_dev_static"))
    write(tmp_path / f"{STAMP}_samples_mmbench_en_dev_static.jsonl", rows)
    task = one(tmp_path)
    assert (task.key, task.value, task.unit, task.how) == ("mmbench", 0.5, "percent", "circular")


def test_mmbench_is_as_stated_where_an_answer_would_take_a_judge(tmp_path: Path) -> None:
    write(tmp_path / f"{STAMP}_results.json", of_task("gpt_eval_score", 64.0, "mmbench_en_dev"))
    write(tmp_path / f"{STAMP}_samples_mmbench_en_dev.jsonl", [mmbench(1, "A", "A"), mmbench(2, "A", "It is the dog")])
    run = the_run(tmp_path)
    assert run.tasks[0].value == 0.64
    assert run.warnings == ("mmbench_en_dev: 1 of 2 rows have no score for gpt_eval_score",)


def test_parts_are_of_the_rows_that_have_them(tmp_path: Path) -> None:
    entry = {"relaxed_overall,none": 0.5, "relaxed_human_split,none": 1.0, "relaxed_augmented_split,none": 0.0}
    write(tmp_path / f"{STAMP}_results.json", results(results={"chartqa": entry}))
    rows = [row(0, "relaxed_overall", 1.0) | {"relaxed_human_split": 1.0}]
    rows += [row(1, "relaxed_overall", 0.0) | {"relaxed_augmented_split": 0.0}]
    write(tmp_path / f"{STAMP}_samples_chartqa.jsonl", rows)
    human = one(tmp_path, metric="relaxed_human_split")
    assert (human.value, human.n_rows, human.samples) == (1.0, 1, ())
    assert len(one(tmp_path, metric="relaxed_overall").samples) == 2


def test_graded_answers_keep_their_fraction(tmp_path: Path) -> None:
    write(tmp_path / f"{STAMP}_results.json", of_task("exact_match", 0.45, "textvqa_val"))
    write(tmp_path / f"{STAMP}_samples_textvqa_val.jsonl", [row(0, score=0.3), row(1, score=0.6)])
    task = one(tmp_path)
    assert [s.score for s in task.samples] == [0.3, 0.6] and task.value == pytest.approx(0.45)


def test_rows_of_several_filters_are_told_apart_by_their_order(tmp_path: Path) -> None:
    entry = {"exact_match,flexible-extract": 1.0, "exact_match,none": 0.0}
    write(tmp_path / f"{STAMP}_results.json", results(results={"ai2d": entry}))
    rows = [row(1), row(0), row(1, score=0.0), row(0, score=0.0)]
    write(tmp_path / f"{STAMP}_samples_ai2d.jsonl", rows)
    run = the_run(tmp_path)
    assert [(t.filter, t.value, t.n_rows, len(t.samples)) for t in run.tasks] == [
        ("flexible-extract", 1.0, 2, 4),
        ("none", 0.0, 2, 4),
    ]
    assert len(run.warnings) == 1 and run.warnings[0].startswith("ai2d: 2 rows repeat a doc_id")


def test_appended_runs_are_kept_and_the_first_counts(tmp_path: Path) -> None:
    write(tmp_path / f"{STAMP}_results.json", of_task("exact_match", 1.0, "ai2d"))
    write(tmp_path / f"{STAMP}_samples_ai2d.jsonl", [row(0), row(1), row(0, score=0.0)])
    task = one(tmp_path)
    assert task.value == 1.0
    assert [(s.sample_key, s.score, s.counted) for s in task.samples] == [
        ("0", 1.0, True),
        ("0", 0.0, False),
        ("1", 1.0, True),
    ]


def test_hashes_of_the_file_align_nothing(tmp_path: Path) -> None:
    """Every doc_hash is the hash of "null": rows with one hash are different rows."""
    rows = [row(0), row(1)]
    assert rows[0]["doc_hash"] == rows[1]["doc_hash"]
    first, second = one(write(tmp_path / f"{STAMP}_samples_ai2d.jsonl", rows)).samples
    assert first.prompt_sha256 != second.prompt_sha256


# ------------------------------------------------------------------------------------------------ damage


def test_a_cut_last_line_costs_that_line_only(lmms: Path) -> None:
    path = lmms / f"{STAMP}_samples_scienceqa_img.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    run = the_run(path)
    assert len(run.tasks[0].samples) == 3
    assert run.warnings == (f"{path.name}: line 4 is cut off: the 3 whole lines are read",)


def test_bad_lines_in_the_middle_are_left_out(lmms: Path) -> None:
    path = lmms / f"{STAMP}_samples_scienceqa_img.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + "{oops\n" + "\n" + "[1, 2]\n" + "".join(lines[1:]))
    run = the_run(path)
    assert len(run.tasks[0].samples) == 4
    assert run.warnings == (f"{path.name}: line 2 is no JSON object; 2 such lines were left out",)


@given(cut=st.integers(0, 10_000), rows=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_any_truncation_of_samples_keeps_the_whole_lines(cut: int, rows: int) -> None:
    whole = b"".join(json.dumps(row(i, answer="né"), ensure_ascii=False).encode() + b"\n" for i in range(rows))
    held = whole[: cut % (len(whole) + 1)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{STAMP}_samples_ai2d.jsonl"
        path.write_bytes(held)
        try:
            found = {s.sample_key for s in one(path).samples}
        except StoreError:
            found = set()
        ends = held.count(b"\n")
        assert {str(i) for i in range(ends)} <= found and len(found) <= ends + 1


@given(cut=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_any_truncation_of_results_is_one_clear_line(cut: float) -> None:
    whole = json.dumps(results()).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{STAMP}_results.json"
        path.write_bytes(whole[: int(cut * (len(whole) - 1))])
        with pytest.raises(StoreError) as caught:
            read_lmms_eval(path)
        assert path.name in str(caught.value) and "\n" not in str(caught.value)


@given(cut=st.floats(0, 1), suffix=st.sampled_from([".csv", ".tsv"]))
@settings(max_examples=60, deadline=None)
def test_any_truncation_of_a_table_keeps_the_whole_rows(cut: float, suffix: str) -> None:
    rows = [{"index": i, "question": 'a "b"\nc', "prediction": f"é{i}", "answer": "A"} for i in range(5)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_table(Path(folder) / f"M_AI2D_TEST{suffix}", rows)
        whole = path.read_bytes()
        held = whole[: int(cut * len(whole))]
        path.write_bytes(held)
        ends = [held.count(f'"é{i}"{"," if suffix == ".csv" else chr(9)}"A"\r\n'.encode()) for i in range(5)]
        try:
            found = {s.sample_key for s in one(path).samples}
        except StoreError:
            found = set()
        assert {str(i) for i in range(5) if ends[i]} <= found


@given(cut=st.floats(0, 0.999))
@settings(max_examples=40, deadline=None)
def test_a_truncated_spreadsheet_is_one_clear_line(cut: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_sheet(Path(folder) / "M_AI2D_TEST.xlsx", [{"index": 1, "prediction": "A", "answer": "A"}])
        whole = path.read_bytes()
        path.write_bytes(whole[: int(cut * len(whole))])
        with pytest.raises(StoreError) as caught:
            read_vlmevalkit(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "an empty file"),
        ("{", "not JSON, or cut off"),
        ("[]", "not of lmms-eval"),
        ('{"results": []}', "not of lmms-eval"),
        ("[" * 100_000, "not JSON"),
        ('{"results": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_a_bad_results_file_is_one_clear_line(tmp_path: Path, content: str, said: str) -> None:
    path = write(tmp_path / f"{STAMP}_results.json", content)
    with pytest.raises(StoreError, match=said) as caught:
        read_lmms_eval(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def damaged(document: Any, data: st.DataObject) -> Any:
    """The document with one value, somewhere in it, replaced by anything."""
    if not isinstance(document, dict | list) or not document or data.draw(st.integers(0, 3)) == 0:
        return data.draw(ANYTHING)
    key = data.draw(st.sampled_from(list(document) if isinstance(document, dict) else range(len(document))))
    changed = document.copy()
    changed[key] = damaged(document[key], data)
    return changed


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_a_file_holds_it_is_read_or_refused(data: st.DataObject) -> None:
    verdict = {"question_id": "7", "score": 1.0, "scores": [1], "answer": ["A"], "parsed_pred": ["A"], "index": 3}
    rows = [
        row(0, "pope_accuracy", verdict),
        row(1, "mmmu_acc", {k: v for k, v in verdict.items() if "score" not in k}),
    ]
    status = {"model_name": "M", "eval_id": EVAL_ID, "datasets": {"POPE": {"metrics": {"split=Overall|acc": 1.0}}}}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write(folder / "a" / f"{STAMP}_results.json", damaged(results(), data))
        write(folder / "a" / f"{STAMP}_samples_pope.jsonl", [damaged(r, data) for r in rows])
        write(folder / "M" / "status.json", damaged(status, data))
        write(folder / "M" / "M_POPE.json", damaged([{"index": 1, "prediction": "Yes", "answer": "No"}], data))
        for read in (read_lmms_eval, read_vlmevalkit):
            with suppress(StoreError):
                for found in read(folder).runs:
                    to_records(found, plan=PruningPlan("org/model", 4, (1,)))


def test_nan_infinity_and_half_characters_do_no_harm(tmp_path: Path) -> None:
    text = json.dumps(of_task("exact_match", 0.5, "ai2d")).replace("0.5", "NaN")
    write(tmp_path / f"{STAMP}_results.json", text)
    line = '{"doc_id": 0, "target": "\\ud800", "filtered_resps": "B", "exact_match": Infinity, "input": "\\udfff?"}\n'
    write(tmp_path / f"{STAMP}_samples_ai2d.jsonl", line)
    task = one(tmp_path)
    assert (task.stated, task.value, task.samples[0].score) == (None, None, None)
    task.samples[0].gold.encode()


def test_a_folder_with_one_bad_file_of_each_kind_loses_nothing_else(lmms: Path) -> None:
    write(lmms / "20260101_000000_results.json", "{")
    write(lmms / "20260101_000001_results.json", '{"results": 1}')
    write(lmms / "20260101_000002_samples_ai2d.jsonl", "not json\n")
    write(lmms / "20260101_000003_samples_ai2d.jsonl", "")
    (lmms / "20260101_000004_results.json").symlink_to(lmms / "gone.json")
    (lmms / "cache.pkl").write_bytes(b"\x80\x04.")
    os.mkfifo(lmms / "20260101_000005_results.json")
    report = read_lmms_eval(lmms)
    assert [r.created for r in report.runs] == ["2026-02-18T23:44:35"]
    assert len(report.runs[0].tasks[-1].samples) == 4
    said = "\n".join(report.problems)
    assert len(report.problems) == 7
    for name in ("000000", "000001", "000002", "000003", "000004", "000005", "pickle files were not opened"):
        assert name in said


def test_a_bad_results_file_leaves_its_samples_readable(lmms: Path) -> None:
    write(lmms / f"{STAMP}_results.json", "{")
    report = read_lmms_eval(lmms)
    assert len(report.problems) == 1
    assert report.runs[0].tasks[0].value == 0.5 and report.runs[0].model_ref == "liuhaotian__llava-v1.5-7b"


def test_files_have_bounds(lmms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MAX_JSON_BYTES", 100)
    with pytest.raises(StoreError, match="larger than 0 MiB"):
        read_lmms_eval(lmms / f"{STAMP}_results.json")
    monkeypatch.setattr(bounded, "MAX_LINE", 50)
    with pytest.raises(StoreError, match="line 1"):
        read_lmms_eval(lmms / f"{STAMP}_samples_scienceqa_img.jsonl")
    monkeypatch.setattr(bounded, "MAX_FILES", 1)
    with pytest.raises(StoreError, match="more than 1 files"):
        read_lmms_eval(lmms)


# ------------------------------------------------------------------------------------------------ VLMEvalKit


MODEL = "Qwen2.5-VL-3B-Instruct"
EVAL_ID = "T20260818-101112"


def predictions(n: int = 4, **changes: Any) -> list[dict[str, Any]]:
    return [
        {"index": i, "question": f"q{i}", "A": "x", "B": "y", "answer": "A", "split": "dev", "prediction": "A"}
        | changes
        for i in range(n)
    ]


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A run's folder of VLMEvalKit with POPE and a set of choices, and links to the files above it."""
    folder = tmp_path / "outputs" / MODEL / EVAL_ID
    status = {
        "schema_version": "1.0",
        "eval_id": EVAL_ID,
        "created_at": "2026-08-18T10:11:12+08:00",
        "commit": "e8e78f05",
        "model_name": MODEL,
        "datasets": {
            "POPE": {
                "status": "done",
                "judge_model": "gpt-4o-mini",
                "metrics": {"split=Overall|Overall": 86.4, "split=Overall|acc": 50.0, "split=popular|acc": 88.0},
            },
            "MMMU_TEST": {"status": "done", "skip_reason": "official_submission_only_mmmu_test"},
        },
    }
    write(folder / "status.json", status)
    rows = [{"index": i, "question": f"q{i}", "answer": "Yes", "prediction": "Yes, it is"} for i in range(2)]
    write_sheet(folder / f"{MODEL}_POPE.xlsx", rows)
    judged = [r | {"extracted": "Yes", "score": i == 0} for i, r in enumerate(rows)]
    write_sheet(folder / f"{MODEL}_POPE_auxmatch.xlsx", judged)
    write_table(folder / f"{MODEL}_AI2D_TEST.tsv", predictions())
    write_table(folder / f"{MODEL}_AI2D_TEST_acc.csv", [{"split": "none", "Overall": "0.75", "atoms": "0.5"}])
    hits = [r | {"hit": int(i != 2), "log": ""} for i, r in enumerate(predictions())]
    write_sheet(folder / f"{MODEL}_AI2D_TEST_gpt-4o-mini_result.xlsx", hits)
    (folder / f"{MODEL}_POPE_checkpoint.pkl").write_bytes(b"\x80\x04.")
    for file in folder.iterdir():
        (folder.parent / file.name).symlink_to(file)
    return folder


def test_a_run_of_vlmevalkit(kit: Path) -> None:
    report = read_vlmevalkit(kit)
    (run,) = report.runs
    assert (run.harness, run.harness_version, run.model_ref) == ("vlmevalkit", "e8e78f05", MODEL)
    assert run.created == "2026-08-18T10:11:12+08:00" and run.limit is None
    found = {(t.key, t.metric): (t.value, t.unit, len(t.samples)) for t in run.tasks}
    assert found == {
        ("pope", "acc"): (0.5, "percent", 2),
        ("pope", "Overall"): (pytest.approx(0.864), "percent", 0),
        ("ai2d", "Overall"): (0.75, "fraction", 4),
    }
    assert run.warnings == ("MMMU_TEST: VLMEvalKit says: official_submission_only_mmmu_test",)
    assert report.problems == ("1 pickle files were not opened: they can run code; export tables instead",)
    sample = run.tasks[0].samples[0]
    assert (sample.raw, sample.parsed, sample.gold, sample.score) == ("Yes, it is", "Yes", "Yes", 1.0)
    assert run.tasks[0].filter == "gpt-4o-mini"


def test_links_to_the_newest_run_are_not_read_twice(kit: Path) -> None:
    report = read_vlmevalkit(kit.parent)
    assert len(report.runs) == 1 and len(report.runs[0].tasks) == 3


def test_links_alone_are_read(kit: Path) -> None:
    """The folder of a model whose runs lie elsewhere."""
    outside = kit.parent.parent.parent / "elsewhere"
    kit.rename(outside)
    for link in list(kit.parent.iterdir()):
        target = outside / link.name
        link.unlink()
        link.symlink_to(target)
    assert len(read_vlmevalkit(kit.parent).runs[0].tasks) == 3


def test_a_model_folder_with_broken_links_says_so(kit: Path) -> None:
    for file in kit.glob("*.csv"):
        file.unlink()
    report = read_vlmevalkit(kit.parent)
    assert any("a link to a file that is not there" in p for p in report.problems)
    assert len(report.runs) == 1


def test_status_alone_gives_scores(kit: Path) -> None:
    run = the_run(kit / "status.json")
    assert [(t.metric, t.value, t.samples) for t in run.tasks] == [
        ("acc", 0.5, ()),
        ("Overall", pytest.approx(0.864), ()),
    ]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".json", ".jsonl"])
def test_predictions_in_every_format(tmp_path: Path, suffix: str) -> None:
    path, rows = tmp_path / MODEL / f"{MODEL}_AI2D_TEST{suffix}", predictions(prediction="B")
    rows[0]["prediction"] = "A"
    if suffix == ".xlsx":
        write_sheet(path, rows)
    elif suffix.startswith(".json"):
        write(path, rows)
    else:
        write_table(path, rows)
    task = one(path)
    assert [(s.sample_key, s.score, s.score_source) for s in task.samples] == [
        ("0", 1.0, "recomputed"),
        *((str(i), 0.0, "recomputed") for i in (1, 2, 3)),
    ]
    assert (task.value, task.stated, task.key) == (0.25, None, "ai2d")


@pytest.mark.parametrize("shape", [{"index": [1, 2], "prediction": ["A", "B"]}, {"columns": ["index"], "data": [[1]]}])
def test_json_tables_of_columns(tmp_path: Path, shape: Any) -> None:
    assert one(write(tmp_path / "M_AI2D_TEST.json", shape)).samples[0].sample_key == "1"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".json"])
@pytest.mark.parametrize("text", ["NA", "None", "nan", "null", "=1+1", "007", "True", " x\ny "])
def test_answers_stay_the_text_they_are(tmp_path: Path, suffix: str, text: str) -> None:
    path, rows = tmp_path / f"M_AI2D_TEST{suffix}", predictions(1, prediction=text)
    if suffix == ".xlsx":
        write_sheet(path, rows)
    elif suffix == ".json":
        write(path, rows)
    else:
        write_table(path, rows)
    assert one(path).samples[0].raw == text


def test_spreadsheets_turn_texts_into_numbers(tmp_path: Path) -> None:
    path = write_sheet(
        tmp_path / "M_ChartQA_TEST.xlsx", [{"index": 5, "prediction": 14, "answer": True, "question": None}]
    )
    sample = one(path).samples[0]
    assert (sample.sample_key, sample.raw, sample.gold) == ("5", "14", "True")


def test_index_is_text_or_number_alike(tmp_path: Path) -> None:
    rows = predictions(2)
    write_table(tmp_path / "M" / "M_AI2D_TEST.csv", [r | {"index": f"{r['index']}.0"} for r in rows])
    write_sheet(tmp_path / "M" / "M_AI2D_TEST_x_result.xlsx", [r | {"hit": 1} for r in rows])
    assert [s.sample_key for s in one(tmp_path / "M").samples] == ["0", "1"]


@pytest.mark.parametrize(
    ("dataset", "table", "expected"),
    [
        ("MMBench_DEV_EN", [{"split": "dev", "Overall": "0.7328", "AR": "0.7638"}], {"Overall": 0.7328}),
        ("MMBench_DEV_EN_V11", [{"split": "dev", "Overall": "0.7328"}], {"Overall": 0.7328}),
        (
            "POPE",
            [
                {"split": "Overall", "Overall": "86.4", "acc": "87.1", "precision": "91.9", "recall": "81.5"},
                {"split": "popular", "Overall": "80", "acc": "88.0", "precision": "90", "recall": "80"},
            ],
            {"acc": 0.871, "Overall": 0.864, "precision": 0.919, "recall": 0.815},
        ),
        (
            "ChartQA_TEST",
            [{"test_human": "71.2", "test_augmented": "0.9", "Overall": "36.05"}],
            {"Overall": 0.3605, "test_human": 0.712, "test_augmented": 0.009},
        ),
        ("MathVista_MINI", [{"Task&Skill": "Overall", "tot": "1000", "hit": "9", "acc": "0.9"}], {"acc": 0.009}),
        ("MathVision", [{"Subject": "Overall", "tot": "3040", "acc": "21.5"}], {"acc": 0.215}),
        ("MathVerse_MINI", [{"split": "Overall", "Overall": "30.0"}], {"Overall": 0.3}),
    ],
)
def test_score_tables_in_their_units(tmp_path: Path, dataset: str, table: Any, expected: dict[str, float]) -> None:
    run = the_run(write_table(tmp_path / MODEL / f"{MODEL}_{dataset}_acc.csv", table))
    assert {t.metric: t.value for t in run.tasks} == pytest.approx(expected)
    assert {t.task for t in run.tasks} == {dataset} and run.model_ref == MODEL


def test_splits_are_tasks_of_their_own(tmp_path: Path) -> None:
    write_table(
        tmp_path / "M" / "M_MMMU_DEV_VAL_acc.csv",
        [{"split": "dev", "Overall": "1.0"}, {"split": "validation", "Overall": "0.5"}],
    )
    outcomes = [("dev", 1), ("validation", 0), ("validation", 1)]
    rows = [r | {"split": s, "hit": hit} for r, (s, hit) in zip(predictions(3), outcomes, strict=True)]
    write_sheet(tmp_path / "M" / "M_MMMU_DEV_VAL_gpt_result.xlsx", rows)
    run = the_run(tmp_path / "M")
    assert [(t.split, t.value, t.n_rows) for t in run.tasks] == [("dev", 1.0, 1), ("validation", 0.5, 2)]


def test_mmbench_copies_count_with_their_question(tmp_path: Path) -> None:
    rows = [r | {"index": i} for r, i in zip(predictions(3), (1, 2, 1_000_001), strict=True)]
    write_table(tmp_path / "M" / "M_MMBench_DEV_EN.tsv", rows)
    write_sheet(tmp_path / "M" / "M_MMBench_DEV_EN_gpt_result.xlsx", [r | {"hit": i} for i, r in enumerate(rows[:2])])
    run = the_run(tmp_path / "M")
    assert (run.tasks[0].value, [s.sample_key for s in run.tasks[0].samples]) == (0.5, ["1", "2"])
    assert run.warnings[0].startswith("MMBench_DEV_EN: 1 rows are copies")


def test_failed_inference_is_counted(tmp_path: Path) -> None:
    rows = predictions(2)
    rows[1]["prediction"] = "Failed to obtain answer via API."
    run = the_run(write_table(tmp_path / "M_AI2D_TEST.csv", rows))
    assert run.tasks[0].samples[1].score is None and run.tasks[0].value is None
    assert "1 rows hold no answer" in run.warnings[0]


def test_unknown_data_sets_are_kept_as_stated(tmp_path: Path) -> None:
    write_table(tmp_path / "M" / "M_NewBench_X_acc.csv", [{"split": "test", "Overall": "41.5"}])
    write_table(tmp_path / "M" / "M_NewBench_X.csv", predictions(2))
    run = the_run(tmp_path / "M")
    assert [(t.task, t.metric, t.value, t.stated, t.unit) for t in run.tasks] == [
        ("NewBench_X", "Overall", None, 41.5, "unknown"),
        ("NewBench_X", "score", 1.0, None, "unknown"),
    ]


@pytest.mark.parametrize(
    ("place", "stem", "model", "dataset"),
    [
        ("A_B", "A_B_POPE", "A_B", "POPE"),
        (f"A_B/{EVAL_ID}", "A_B_MMBench_DEV_EN_V11", "A_B", "MMBench_DEV_EN_V11"),
        ("A_B/T20260818_G1a2b3c", "A_B_MMBench_DEV_EN", "A_B", "MMBench_DEV_EN"),
        ("downloads", "My_model-7B_ScienceQA_TEST", "My_model-7B", "ScienceQA_TEST"),
        ("POPE", "POPE_POPE", "POPE", "POPE"),
    ],
)
def test_names_are_split_by_folder_and_longest_data_set(
    tmp_path: Path, place: str, stem: str, model: str, dataset: str
) -> None:
    run = the_run(write_table(tmp_path / place / f"{stem}.csv", predictions(1)))
    assert (run.model_ref, run.tasks[0].task) == (model, dataset)


def test_models_in_one_folder_are_runs_of_their_own(tmp_path: Path) -> None:
    write_table(tmp_path / "M1_AI2D_TEST.csv", predictions(2))
    write_table(tmp_path / "M2_AI2D_TEST.csv", predictions(2, prediction="B"))
    runs = read_vlmevalkit(tmp_path).runs
    assert [(r.model_ref, r.tasks[0].value, r.source) for r in runs] == [
        ("M1", 1.0, ("M1_AI2D_TEST.csv",)),
        ("M2", 0.0, ("M2_AI2D_TEST.csv",)),
    ]


def test_a_name_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="of which model and data set is this"):
        read_vlmevalkit(write_table(tmp_path / "table.csv", predictions(1)))


def test_a_folder_of_vlmevalkit_with_bad_files_loses_nothing_else(kit: Path) -> None:
    write(kit / f"{MODEL}_ChartQA_TEST.csv", "")
    write(kit / f"{MODEL}_TextVQA_VAL.xlsx", "no zip")
    write(kit / f"{MODEL}_RealWorldQA.json", "{")
    write(kit / f"{MODEL}_VStarBench.tsv", "index\tprediction\n")
    report = read_vlmevalkit(kit)
    assert len(report.runs[0].tasks) == 3
    for name in ("ChartQA_TEST.csv", "TextVQA_VAL.xlsx", "RealWorldQA.json", "VStarBench.tsv"):
        assert sum(name in p for p in report.problems) == 1
    write(kit / "status.json", "[")
    assert len(read_vlmevalkit(kit).runs[0].tasks) == 2  # POPE's rows, and the other set


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "opened"),))

    import pickle

    path = tmp_path / "M_POPE.pkl"
    path.write_bytes(pickle.dumps(Bomb()))
    for read in (read_vlmevalkit, detect_format):
        with pytest.raises(StoreError, match="pickle files are not opened"):
            read(path)
    assert not (tmp_path / "opened").exists()


def test_a_zip_bomb_is_refused_by_what_it_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_sheet(tmp_path / "M_POPE.xlsx", predictions(1))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/zeros", b"0" * 2_000_000)
    monkeypatch.setattr(tables, "MAX_BYTES", 1_000_000)
    assert path.stat().st_size < 20_000
    with pytest.raises(StoreError, match="unpacks to more than"):
        read_vlmevalkit(path)


@pytest.mark.parametrize("sizes", [32, 64])
def test_a_million_files_in_a_spreadsheet_are_refused_before_they_are_listed(tmp_path: Path, sizes: int) -> None:
    path = tmp_path / "M_POPE.xlsx"
    entry = b"PK\x01\x02" + bytes(24) + (1).to_bytes(2, "little") + bytes(16) + b"a"
    listed, n = len(entry) * 10**6, 10**6
    end = b"PK\x05\x06" + bytes(4) + b"\xff" * 4 + struct.pack("<IIH", listed, 0, 0)
    if sizes == 64:
        end = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, n, n, listed, 0)
        end += b"PK\x06\x07" + struct.pack("<IQI", 0, listed, 1) + b"PK\x05\x06" + bytes(16) + bytes(2)
    path.write_bytes(entry * n + end)
    began = time.process_time()
    with pytest.raises(StoreError, match="holds more files than a spreadsheet"):
        read_vlmevalkit(path)
    assert time.process_time() - began < 1


def test_hostile_names_in_a_spreadsheet_reach_nothing(tmp_path: Path) -> None:
    path = write_sheet(tmp_path / "in" / "M_POPE.xlsx", predictions(2))
    outside = tmp_path / "absolute"
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../../up", "xl/../../../up", str(outside), "C:\\up"):
            archive.writestr(name, "owned")
        link = zipfile.ZipInfo("xl/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert len(one(path, metric="acc").samples) == 2
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*")) == ["in", "in/M_POPE.xlsx"]


def test_a_spreadsheet_with_entities_does_not_explode(tmp_path: Path) -> None:
    path = tmp_path / "M_POPE.xlsx"
    good = write_sheet(tmp_path / "good.xlsx", predictions(1))
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {c} "{f"&{b};" * 10}">' for b, c in zip("abcdefghi", "bcdefghij", strict=True)
    )
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            text = old.read(member)
            if member.endswith("sheet1.xml"):
                text = (bomb + "]>").encode() + text.split(b"?>")[-1].replace(b"<v>0</v>", b"<v>&j;</v>")
            new.writestr(member, text)
    with pytest.raises(StoreError):
        read_vlmevalkit(path)


def test_a_long_answer_is_whole(tmp_path: Path) -> None:
    text = "x" * 200_000  # the csv module stops at 131,072 by itself
    path = write_table(tmp_path / "M_POPE.csv", predictions(1, prediction=text))
    assert one(path, metric="acc").samples[0].raw == text


# ------------------------------------------------------------------------------------------------ which program


def test_formats_are_told_apart(lmms: Path, kit: Path, tmp_path: Path) -> None:
    assert detect_format(lmms) == detect_format(lmms / f"{STAMP}_results.json") == "lmms-eval"
    assert detect_format(lmms / f"{STAMP}_samples_scienceqa_img.jsonl") == "lmms-eval"
    assert detect_format(kit) == detect_format(kit.parent) == detect_format(kit / "status.json") == "vlmevalkit"
    assert detect_format(kit / f"{MODEL}_POPE.xlsx") == "vlmevalkit"
    assert detect_format(write(tmp_path / "runs.parquet", "PAR1....PAR1")) == "strata"


@pytest.mark.parametrize("name", ["notes.txt", "runs.parquet", "picture.png"])
def test_what_is_none_of_them_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "x" / name, "something else")
    for place in (path, path.parent):
        with pytest.raises(StoreError, match="holds no results that are known") as caught:
            detect_format(place)
        assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="no results at"):
        detect_format(tmp_path / "gone")


def test_reading_takes_a_format_or_finds_it(lmms: Path, tmp_path: Path) -> None:
    assert read_results(lmms, "lmms-eval") == read_results(lmms)
    with pytest.raises(StoreError, match="unknown format 'lmms': did you mean 'lmms-eval'"):
        read_results(lmms, "lmms")
    with pytest.raises(StoreError, match="holds runs of Strata"):
        read_results(write(tmp_path / "runs.parquet", "PAR1"))
    with pytest.raises(StoreError, match="no results of lmms-eval"):
        read_lmms_eval(write(tmp_path / "empty" / "notes.txt", "x").parent)
    with pytest.raises(StoreError, match="no results of VLMEvalKit"):
        read_vlmevalkit(tmp_path / "empty")


# ------------------------------------------------------------------------------------------------ commands


def test_commands_for_an_export() -> None:
    found = evaluation_commands(Path("/abs/exports/run42/qwen25vl-drop4/"), "qwen2_5_vl", ["pope", "mmbench", "pope"])
    assert found["lmms-eval"] == (
        "python -m lmms_eval --model qwen2_5_vl --model_args pretrained=/abs/exports/run42/qwen25vl-drop4,"
        "device_map=auto,attn_implementation=sdpa,max_pixels=1605632 --tasks pope,mmbench_en_dev_static --batch_size 1 "
        "--log_samples --output_path ./logs --seed 0 --timezone UTC"
    )
    config = json.loads(found["vlmevalkit-config"])
    assert config["model"] == {
        "qwen25vl-drop4": {
            "class": "Qwen2VLChat",
            "model_path": "/abs/exports/run42/qwen25vl-drop4",
            "min_pixels": 1003520,
            "max_pixels": 12845056,
            "use_custom_prompt": False,
        }
    }
    assert config["data"]["POPE"] == {"class": "ImageYORNDataset", "dataset": "POPE"}
    assert found["vlmevalkit"] == "python run.py --config strata.json --judge exact_matching"
    assert "run42__qwen25vl-drop4" in found["note"]


@pytest.mark.parametrize(
    ("family", "adapter", "has_config"),
    [
        ("qwen3_vl", "qwen3_vl", True),
        ("llava_onevision", "llava_hf", True),
        ("internvl", "internvl_hf", False),
        ("gemma3", "huggingface", False),
    ],
)
def test_each_family_has_its_adapter(family: str, adapter: str, has_config: bool) -> None:
    found = evaluation_commands(Path("/abs/x/y"), family, ["ai2d"])
    assert f"--model {adapter} " in found["lmms-eval"]
    assert ("vlmevalkit-config" in found) is has_config and ("vlmevalkit" in found) is has_config
    assert has_config or "VLMEvalKit" in found["note"]
    assert ("attn_implementation" in found["lmms-eval"]) == (adapter in ("qwen3_vl", "llava_hf"))


@pytest.mark.parametrize("path", ["/abs/a,b/x", "/abs/k=v/x", "/abs/a\nb"])
def test_paths_that_break_the_arguments_are_refused(path: str) -> None:
    with pytest.raises(StoreError, match="rename or move the folder"):
        evaluation_commands(Path(path), "qwen3_vl", ["pope"])


def test_the_shell_takes_a_path_with_spaces_as_one(tmp_path: Path) -> None:
    import shlex

    command = evaluation_commands(tmp_path / "my model; rm", "llava", ["pope"])["lmms-eval"]
    assert shlex.split(command)[6] == f"pretrained={tmp_path}/my model; rm,device_map=auto,attn_implementation=sdpa"


@pytest.mark.parametrize(
    ("folder", "family", "warned"),
    [
        ("qwen3-30B-A3B-drop4", "qwen3_vl", True),
        ("qwen3-4b-drop4", "qwen3_vl", False),
        ("qwen3-30B-A3B-drop4", "qwen3_vl_moe", False),
        ("qwen3-moe-drop4", "qwen3_vl_moe", True),
    ],
)
def test_a_name_that_makes_the_harness_load_experts_is_warned_of(folder: str, family: str, warned: bool) -> None:
    assert ("with experts" in evaluation_commands(Path("/abs/x") / folder, family, ["pope"])["note"]) is warned


def test_benchmarks_that_no_harness_has_are_refused() -> None:
    with pytest.raises(StoreError, match="no harness is known to have 'popr': did you mean 'pope'"):
        evaluation_commands(Path("/abs/x"), "qwen3_vl", ["popr"])


def test_judged_benchmarks_say_that_they_need_a_key() -> None:
    note = evaluation_commands(Path("/abs/x"), "qwen3_vl", ["mathvista", "mathvision"])["note"]
    assert "mathvista: a language model judges" in note and "mathvision: VLMEvalKit does not score" in note
