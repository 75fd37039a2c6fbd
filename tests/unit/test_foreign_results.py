"""What other people's results say, read as they state it or refused: units, names, layouts, rows without a score.

Every case was judged by what its harness states before it was tried. Of the 48 that are no example of a reported fault,
37 were read otherwise by the code before.
"""

from pathlib import Path
from typing import Any

import pytest

from cache import RunStore
from core.errors import StoreError
from core.interop import ImportedTask, ImportReport, detect_format, read_lmms_eval, read_results
from core.interop.imports import keep_results, to_records
from core.interop.vlmevalkit_names import split_name
from core.records.plan import PruningPlan
from tests.unit.test_interop import STAMP, of_task, one, predictions, results, row, the_run, write, write_table

PLAN = PruningPlan("org/model", 8, (3, 5), "custom")
LM_EVAL = "2025-09-02T10-10-10.123456"


def figures(path: Path) -> tuple[list[tuple[str, float, int]], list[tuple[str, str, float]]]:
    """What an import makes of results: records (benchmark, score, n) and figures (benchmark, metric, value)."""
    records, found = [], []
    for run in read_results(path).runs:
        made, _, references = to_records(run, plan=PLAN)
        records += [(r.benchmark, r.score, r.n_scored) for r in made]
        found += [(f.benchmark, f.metric.partition(":")[2], f.value) for f in references]
    return records, found


def warnings(path: Path) -> str:
    report = read_results(path)
    return "\n".join([*report.problems, *(w for run in report.runs for w in run.warnings)])


def tasks(path: Path) -> dict[str, ImportedTask]:
    return {t.task: t for run in read_results(path).runs for t in run.tasks}


# ------------------------------------------------------------------------------------------------ rows without a score


def mathvista(folder: Path, golds: list[str], answers: list[str], stated: str = "") -> Path:
    rows = [
        {"index": i, "question": f"q{i}", "answer": g, "task": "t", "skills": "['a']", "prediction": a}
        for i, (g, a) in enumerate(zip(golds, answers, strict=True))
    ]
    write_table(folder / "M_MathVista_MINI.tsv", rows)
    judged = [r | {"res": r["prediction"], "log": "Succeed"} for r in rows]
    write_table(folder / "M_MathVista_MINI_gpt-4o-mini.tsv", judged)
    if stated:
        total = {"Task&Skill": "Overall", "tot": len(rows), "prefetch": 0, "hit": 3, "prefetch_rate": 0, "acc": stated}
        write_table(folder / "M_MathVista_MINI_gpt-4o-mini_score.csv", [total, total | {"Task&Skill": "t"}])
    return folder


def test_rows_that_took_a_judge_make_no_record(tmp_path: Path) -> None:
    """Three yes/no rows of ten became a record of 100 % (n = 3); the harness states 30 % of 10."""
    path = mathvista(tmp_path / "M", ["Yes"] * 3 + ["5"] * 7, ["Yes"] * 3 + ["I get 7"] * 7, "30.0")
    assert figures(path) == ([], [("mathvista", "acc", 0.3)])
    _, _, (figure,) = to_records(the_run(path), plan=PLAN)
    assert figure.n == 10


def test_a_judge_is_not_replaced_even_where_every_answer_is_bare(tmp_path: Path) -> None:
    path = mathvista(tmp_path / "M", ["Yes", "No"], ["Yes", "Yes"])
    assert figures(path) == ([], []) and one(path).value is None


def test_answers_of_another_kind_beside_bare_ones_make_no_record(tmp_path: Path) -> None:
    """A real folder of ChartQA answers gave 0.553 of 103 rows; its table states 0.587 of 2,500."""
    rows = [{"index": i, "question": "q", "answer": a, "prediction": a} for i, a in enumerate(["Yes", "No", "3", "4"])]
    write_table(tmp_path / "M" / "M_ChartQA_TEST.tsv", rows)
    write_table(tmp_path / "M" / "M_ChartQA_TEST_acc.csv", [{"test_human": "30.0", "Overall": "40.0"}])
    assert figures(tmp_path / "M") == ([], [("chartqa", "Overall", 0.4), ("chartqa", "test_human", 0.3)])


def test_open_rows_beside_choices_make_no_score(tmp_path: Path) -> None:
    rows = predictions(3)
    rows[2] |= {"answer": "0.5", "prediction": "about a half"}
    assert figures(write_table(tmp_path / "M" / "M_MMMU_DEV_VAL.tsv", rows)) == ([], [])


def test_a_table_that_is_cut_off_makes_no_record(tmp_path: Path) -> None:
    """What was left of a file became a score of its own: half of the rows stood for all of them."""
    path = write_table(tmp_path / "M" / "M_AI2D_TEST_openai_result.tsv", [r | {"hit": 1} for r in predictions(4)])
    path.write_bytes(path.read_bytes()[:-8])
    assert figures(path.parent) == ([], []) and "line" in warnings(path.parent)
    write_table(tmp_path / "M" / "M_AI2D_TEST_acc.csv", [{"split": "dev", "Overall": "0.25"}])
    assert figures(path.parent) == ([], [("ai2d", "Overall", 0.25)])


def test_samples_that_are_cut_off_make_no_record(tmp_path: Path) -> None:
    path = write(tmp_path / "m" / f"{STAMP}_samples_ai2d.jsonl", [row(0), row(1), row(2, score=0.0)])
    path.write_bytes(path.read_bytes()[:-30])
    assert figures(path.parent) == ([], [])
    write(tmp_path / "m" / f"{STAMP}_results.json", of_task("exact_match", 0.6, "ai2d"))
    assert figures(path.parent) == ([], [("ai2d", "exact_match", 0.6)])


def test_fewer_rows_than_the_harness_scored_are_no_record_where_they_say_otherwise(tmp_path: Path) -> None:
    document = of_task("exact_match", 0.6, "scienceqa_img")  # of 2,017 rows, as `n-samples` states
    write(tmp_path / f"{STAMP}_results.json", document)
    write(tmp_path / f"{STAMP}_samples_scienceqa_img.jsonl", [row(0), row(1)])
    assert figures(tmp_path) == ([], [("scienceqa", "exact_match", 0.6)])


# ------------------------------------------------------------------------------------------------ units


@pytest.mark.parametrize(
    ("stated", "version", "value"),
    [
        (23.4, {"git_hash": "v0.3.5"}, 0.234),  # was dropped: 23.4 is no fraction
        (0.234, {"git_hash": "v0.6"}, 0.234),
        (0.9, {"git_hash": "v0.3.3-12-gabcdef"}, 0.009),
        (0.9, {"lmms_eval_version": "0.4.1", "git_hash": "v0.3.5"}, 0.9),  # the harness's own, not a folder's
        (0.9, {"lmms_eval_version": "0.10.0"}, 0.9),
        (0.9, {"git_hash": "28c7589"}, None),  # either
        (23.4, {"git_hash": "28c7589"}, 0.234),  # a percentage, of any version
        (0.0, {"git_hash": "28c7589"}, 0.0),
    ],
)
def test_the_unit_of_mathverse_is_of_its_version(
    tmp_path: Path, stated: float, version: dict[str, str], value: float | None
) -> None:
    document = of_task("gpt_eval_score", stated, "mathverse_testmini")
    found = one(write(tmp_path / f"{STAMP}_results.json", document | {"git_hash": ""} | version))
    assert found.value == (None if value is None else pytest.approx(value))
    assert ("does not say its version" in warnings(tmp_path)) is (value is None)


def test_rows_say_which_unit_a_figure_has(tmp_path: Path) -> None:
    document = of_task("gpt_eval_score", 0.5, "mathverse_testmini") | {"git_hash": "abc"}
    write(tmp_path / f"{STAMP}_results.json", document)
    write(tmp_path / f"{STAMP}_samples_mathverse_testmini.jsonl", [row(i, "gpt_eval_score", i % 2) for i in range(4)])
    assert figures(tmp_path) == ([("mathverse", 0.5, 4)], []) and one(tmp_path).unit == "fraction"


def test_parts_of_mathverse_have_its_unit_and_their_own_name(tmp_path: Path) -> None:
    document = of_task("gpt_eval_score", 20.0, "mathverse_testmini_vision_only") | {"git_hash": "v0.3.0"}
    found = one(write(tmp_path / f"{STAMP}_results.json", document))
    assert (found.key, found.domain, found.value) == ("mathverse_testmini_vision_only", "math", 0.2)


def test_mathvista_of_older_versions_is_a_percentage_and_three_tasks_are_three(tmp_path: Path) -> None:
    """The metric was called gpt_eval_score up to version 0.3.5: all three figures were dropped."""
    entries: dict[str, Any] = {"mathvista_testmini": {" ": " ", "alias": "mathvista_testmini"}}
    for task, value in (("cot", 29.2), ("format", 39.0), ("solution", 35.7)):
        entries[f"mathvista_testmini_{task}"] = {"alias": task, "gpt_eval_score,none": value, "submission,none": []}
    path = write(tmp_path / f"{STAMP}_results.json", results(results=entries) | {"git_hash": "abc"})
    report = read_results(path)
    assert [t.value for r in report.runs for t in r.tasks] == pytest.approx([0.292, 0.39, 0.357])
    with RunStore(tmp_path / "runs") as store:
        assert keep_results(report, store, plan=PLAN).references == 3
        assert sorted(r.value for r in store.references()) == pytest.approx([0.292, 0.357, 0.39])


def verdict(right: bool) -> dict[str, Any]:
    return {"question_id": "1", "answer": "2", "extraction": "2", "prediction": "2" if right else "3"} | {
        "true_false": right,
        "metadata": {},
    }


def test_mathvista_of_older_versions_has_rows(tmp_path: Path) -> None:
    write(tmp_path / f"{STAMP}_results.json", of_task("gpt_eval_score", 66.67, "mathvista_testmini_format"))
    rows = [row(i, "gpt_eval_score", verdict(i < 2)) for i in range(3)]
    write(tmp_path / f"{STAMP}_samples_mathvista_testmini_format.jsonl", rows)
    assert figures(tmp_path) == ([("mathvista", pytest.approx(2 / 3), 3)], []) and warnings(tmp_path) == ""


def test_a_score_that_is_null_is_pointed_out(tmp_path: Path) -> None:
    """lmms-eval writes null for a MathVista score of exactly 0; nothing was read and nothing was said."""
    path = write(
        tmp_path / "m" / f"{STAMP}_results.json", of_task("llm_as_judge_eval", None, "mathvista_testmini_format")
    )
    assert "llm_as_judge_eval has no value in the file, which lmms-eval writes for exactly 0" in warnings(path)
    rows = [row(i, "llm_as_judge_eval", verdict(False)) for i in range(3)]
    write(tmp_path / "m" / f"{STAMP}_samples_mathvista_testmini_format.jsonl", rows)
    assert figures(path.parent) == ([("mathvista", 0.0, 3)], [])  # its rows say that it is 0


@pytest.mark.parametrize(("metric", "value"), [("relaxed_overall", "N/A"), ("relaxed_overall", None), ("other", None)])
def test_nothing_is_left_out_without_a_word(tmp_path: Path, metric: str, value: Any) -> None:
    path = write(tmp_path / f"{STAMP}_results.json", of_task(metric, value, "chartqa"))
    assert warnings(path).startswith("chartqa: ") and "not taken" in warnings(path)


# ------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("rest", "dataset", "judge", "holds"),
    [
        ("MMBench_DEV_CN_acc", "MMBench_DEV_CN", "", "acc"),  # was MMBench, like the next two
        ("MMBench_TEST_EN_acc", "MMBench_TEST_EN", "", "acc"),
        ("MMBench_DEV_EN_acc", "MMBench_DEV_EN", "", "acc"),
        ("MMBench_TEST_CN_V11_gpt-4o-mini_result", "MMBench_TEST_CN_V11", "gpt-4o-mini", "result"),
        ("MathVerse_MINI_Vision_Only_gpt-4o-mini_score", "MathVerse_MINI_Vision_Only", "gpt-4o-mini", "score"),
        ("POPE_adv_auxmatch", "POPE_adv", "", "auxmatch"),
        ("AI2D_TEST_NO_MASK_openai_result", "AI2D_TEST_NO_MASK", "openai", "result"),
        ("tdbench_rot0_openai_result", "tdbench_rot0", "openai", "result"),  # was tdbench
        ("tdbench_rot90_exact_matching_result", "tdbench_rot90", "exact_matching", "result"),
        ("New_set_chatgpt-0125_score", "New_set", "chatgpt-0125", "score"),
        ("MathVista_MINI_gpt-4o-mini", "MathVista_MINI", "gpt-4o-mini", ""),
        ("MMMU_Pro_10c", "MMMU_Pro_10c", "", ""),
        ("GSM8K-V_own-judge-7b_score", "GSM8K-V", "own-judge-7b", "score"),  # named by status.json
    ],
)
def test_a_data_set_is_known_by_its_whole_name(rest: str, dataset: str, judge: str, holds: str) -> None:
    assert split_name(f"M_{rest}", ["M"], judges=["own-judge-7b"]) == ("M", dataset, judge, holds)


def test_sets_that_begin_alike_are_sets_of_their_own(tmp_path: Path) -> None:
    """Three figures became three of one set, MMBench."""
    for name, score in (("DEV_CN", "0.63"), ("DEV_EN", "0.61"), ("TEST_EN", "0.62")):
        write_table(tmp_path / "M" / f"M_MMBench_{name}_acc.csv", [{"split": "dev", "Overall": score}])
    found = tasks(tmp_path / "M")
    assert {name: (t.key, t.value) for name, t in found.items()} == {
        "MMBench_DEV_CN": ("MMBench_DEV_CN", 0.63),
        "MMBench_DEV_EN": ("mmbench", 0.61),
        "MMBench_TEST_EN": ("MMBench_TEST_EN", 0.62),
    }


def test_judged_tables_of_unknown_sets_never_merge(tmp_path: Path) -> None:
    """Two sets of four rows became one of four."""
    for name, hit in (("tdbench_rot0", 1), ("tdbench_rot90", 0)):
        write_table(tmp_path / "M" / f"M_{name}_openai_result.tsv", [r | {"hit": hit} for r in predictions(4)])
    assert {name: t.value for name, t in tasks(tmp_path / "M").items()} == {"tdbench_rot0": 1.0, "tdbench_rot90": 0.0}


def test_two_judges_of_one_set_are_told_apart(tmp_path: Path) -> None:
    for judge, hit in (("exact_matching", 0), ("gpt-4o-mini", 1)):
        write_table(tmp_path / "M" / f"M_AI2D_TEST_{judge}_result.tsv", [r | {"hit": hit} for r in predictions(2)])
    found = [(t.filter, t.value) for run in read_results(tmp_path / "M").runs for t in run.tasks]
    assert found == [("exact_matching", 0.0), ("gpt-4o-mini", 1.0)]


def test_a_foreign_task_with_our_name_for_another_is_not_taken_for_it(tmp_path: Path) -> None:
    """lmms-eval's scienceqa holds the questions without a picture too, and ours is its scienceqa_img."""
    entries = {t: {"exact_match,none": v} for t, v in (("scienceqa", 0.7), ("scienceqa_img", 0.6))}
    found = tasks(write(tmp_path / f"{STAMP}_results.json", results(results=entries)))
    assert (found["scienceqa_img"].key, found["scienceqa_img"].value) == ("scienceqa", 0.6)
    assert (found["scienceqa"].key, found["scienceqa"].value) == ("scienceqa (all)", 0.7)


# ------------------------------------------------------------------------------------------------ rows that repeat


def pope(folder: Path, rows: list[tuple[str, str, bool]], acc: str) -> Path:
    """Rows of POPE: answer, categories, right."""
    table = [
        {"index": i, "question": f"q{i}", "answer": a, "category": c, "prediction": a}
        for i, (a, c, _) in enumerate(rows)
    ]
    write_table(folder / "M_POPE.tsv", table)
    judged = [t | {"extracted": a, "score": ok} for t, (a, _, ok) in zip(table, rows, strict=True)]
    write_table(folder / "M_POPE_auxmatch.tsv", judged)
    write_table(folder / "M_POPE_score.csv", [{"split": "Overall", "Overall": "85.7", "acc": acc, "precision": "75.0"}])
    return folder


@pytest.mark.parametrize(
    ("rows", "acc", "score", "n"),
    [
        # was 0.667, with a warning of another run
        (
            [("Yes", "adversarial,popular,random", True), ("No", "random", True), ("No", "popular", False)],
            "80.0",
            0.8,
            5,
        ),
        ([("Yes", "adversarial,popular", False), ("No", "random", True)], "33.3333", 1 / 3, 3),
        ([("Yes", "adversarial", True), ("No", "random", False)], "50.0", 0.5, 2),
        ([("Yes", "", True), ("No", "", True)], "100.0", 1.0, 2),
    ],
)
def test_rows_of_pope_count_once_for_each_category(
    tmp_path: Path, rows: list[tuple[str, str, bool]], acc: str, score: float, n: int
) -> None:
    path = pope(tmp_path / "M", rows, acc)
    records, _ = figures(path)
    assert records == [("pope", pytest.approx(score), n)] and "the rows give" not in warnings(path)


@pytest.mark.parametrize("asked", [["which landmark?", "which scene?", "which scene?"], ["same"] * 3])
def test_rows_that_share_an_index_are_rows_of_their_own(tmp_path: Path, asked: list[str]) -> None:
    """Only the first of each index was read: 1.0 where the harness states 0.5, and nothing said so."""
    rows = [{"index": 110, "question": q, "answer": "C", "prediction": "C"} for q in asked]
    write_table(tmp_path / "M" / "M_SEEDBench2.tsv", rows)
    judged = [r | {"hit": int(i == 0)} for i, r in enumerate(rows)]
    write_table(tmp_path / "M" / "M_SEEDBench2_openai_result.tsv", judged)
    write_table(tmp_path / "M" / "M_SEEDBench2_acc.csv", [{"split": "none", "Overall": str(1 / 3)}])
    records, _ = figures(tmp_path / "M")
    assert records == [("SEEDBench2", pytest.approx(1 / 3), 3)]


def test_samples_that_share_a_doc_id_and_ask_otherwise_all_count(tmp_path: Path) -> None:
    """Processes that number their rows each from 0: only the first of each number was counted."""
    write(tmp_path / f"{STAMP}_results.json", of_task("exact_match", 0.25, "ai2d"))
    rows = [row(i, score=float(i + process == 0), input=f"{process}: {i}?") for process in (0, 1) for i in (0, 1)]
    write(tmp_path / f"{STAMP}_samples_ai2d.jsonl", rows)
    assert figures(tmp_path) == ([("ai2d", 0.25, 4)], []) and warnings(tmp_path) == ""


def test_an_aggregate_that_the_rows_of_an_unknown_set_do_not_give_is_shown(tmp_path: Path) -> None:
    rows = [r | {"hit": 1} for r in predictions(2)]
    write_table(tmp_path / "M" / "M_NewSet_openai_result.tsv", rows)
    write_table(tmp_path / "M" / "M_NewSet_acc.csv", [{"split": "none", "Overall": "0.5"}])
    assert figures(tmp_path / "M") == ([], []) and "(0.5 is stated): it is not taken" in warnings(tmp_path / "M")


def test_a_small_disagreement_is_shown_and_both_are_kept(tmp_path: Path) -> None:
    write(tmp_path / f"{STAMP}_results.json", of_task("exact_match", 0.503, "ai2d"))
    write(tmp_path / f"{STAMP}_samples_ai2d.jsonl", [row(0), row(1, score=0.0)])
    assert figures(tmp_path) == ([("ai2d", 0.5, 2)], [("ai2d", "exact_match", 0.503)])
    assert "the rows give exact_match 50.0, the file states 50.3" in warnings(tmp_path)


def test_open_answers_that_are_read_otherwise_here_leave_the_harness_s_figure(tmp_path: Path) -> None:
    """A version of lmms-eval judges every open answer of MMMU wrong: the file's figure is that of its harness."""
    detail = {"id": "v_1", "question_type": "open", "answer": "0.5", "parsed_pred": ["0.5"]}
    choice = {"id": "v_2", "question_type": "multiple-choice", "answer": "A", "parsed_pred": "A"}
    write(tmp_path / f"{STAMP}_results.json", of_task("mmmu_acc", 0.5, "mmmu_val"))
    write(tmp_path / f"{STAMP}_samples_mmmu_val.jsonl", [row(0, "mmmu_acc", detail), row(1, "mmmu_acc", choice)])
    assert figures(tmp_path) == ([], [("mmmu", "mmmu_acc", 0.5)])
    assert "the rows give mmmu_acc 100.0, the file states 50.0" in warnings(tmp_path)


# ------------------------------------------------------------------------------------------------ layouts


@pytest.fixture
def lm_eval(tmp_path: Path) -> Path:
    """A folder of lm-evaluation-harness, whose task has two filters."""
    folder = tmp_path / "lm" / "Qwen__Qwen3-4B"
    entry = {"exact_match,strict-match": 0.5, "exact_match,flexible-extract": 0.75}
    document = {"results": {"gsm8k": entry}, "lm_eval_version": "0.4.9", "config": {"model": "hf"}}
    write(folder / f"results_{LM_EVAL}.json", document)
    write(folder / f"samples_gsm8k_{LM_EVAL}.jsonl", [row(0) | {"filter": f} for f in ("strict-match", "other")])
    return folder


def test_results_of_lm_evaluation_harness_are_refused_by_name(lm_eval: Path) -> None:
    """They were taken for lmms-eval's, a task named after its date, and two filters for one."""
    for path in (lm_eval, *lm_eval.iterdir()):
        for read in (detect_format, read_lmms_eval):
            with pytest.raises(StoreError, match=r"lm-evaluation-harness, which are not read") as caught:
                read(path)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        {"results": {"gsm8k": {"acc": 0.5, "acc_stderr": 0.1}}, "versions": {"gsm8k": 0}, "config": {"model": "hf"}},
        {"results": {"gsm8k": {"acc,none": 0.5}}, "lm_eval_version": "0.4.3"},
    ],
)
def test_older_files_of_lm_evaluation_harness_are_refused_too(tmp_path: Path, document: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="lm-evaluation-harness"):
        read_results(write(tmp_path / "results.json", document))


def test_a_folder_that_holds_both_keeps_what_is_lmms_eval_s(lm_eval: Path) -> None:
    write(lm_eval / f"{STAMP}_results.json", of_task("exact_match", 0.5, "ai2d"))
    report = read_results(lm_eval)
    assert [t.task for run in report.runs for t in run.tasks] == ["ai2d"]
    assert len(report.problems) == 1 and "lm-evaluation-harness" in report.problems[0]


def test_rows_that_name_their_filter_are_taken_by_it(tmp_path: Path) -> None:
    entry = {"exact_match,strict-match": 0.5, "exact_match,flexible-extract": 1.0}
    write(tmp_path / f"{STAMP}_results.json", results(results={"gsm8k": entry}))
    rows = [row(i, score=float(f != "strict-match" or i == 0)) | {"filter": f} for i in range(2) for f in
            ("flexible-extract", "strict-match")]  # fmt: skip
    write(tmp_path / f"{STAMP}_samples_gsm8k.jsonl", rows)
    assert figures(tmp_path)[0] == [("gsm8k", 0.5, 2), ("gsm8k", 1.0, 2)] and warnings(tmp_path) == ""


def old_log(*scores: Any) -> dict[str, Any]:
    rows = [{"doc_id": i, "target": "B", "doc": {"question": "q"}, "arguments": [["q", {}]], "resps": [["B"]],
             "filtered_resps": ["B"], "exact_match": s} for i, s in enumerate(scores)]  # fmt: skip
    return {
        "args": {"model": "llava", "model_args": "pretrained=org/m"},
        "model_configs": {},
        "logs": rows,
        "time": "0513",
    }


def test_the_layout_of_the_first_versions_is_read(tmp_path: Path) -> None:
    """Rows beside results.json were ignored without a word, and the model was called as its folder."""
    folder = tmp_path / "0513_1234_llava_v1.5_llava_model_args_abc123"
    document = of_task("exact_match", 0.5, "scienceqa_img") | {"git_hash": "abc"}
    del document["date"], document["model_name"], document["n-samples"]
    write(folder / "results.json", document)
    write(folder / "scienceqa_img.json", old_log(1.0, 0.0, 1.0, 0.0))
    write(folder / "submission.json", {"a": 1})
    assert the_run(folder).model_ref == "liuhaotian/llava-v1.5-7b"
    assert figures(folder) == ([("scienceqa", 0.5, 4)], [])


def test_a_task_of_the_first_versions_by_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "f" / "scienceqa_img.json", old_log(1.0, 0.0))
    assert the_run(path).model_ref == "org/m" and figures(path) == ([("scienceqa", 0.5, 2)], [])


def test_logs_with_something_else_in_them_make_no_record(tmp_path: Path) -> None:
    log = old_log(1.0, 0.0)
    log["logs"].append("cut")
    path = write(tmp_path / "f" / "scienceqa_img.json", log)
    assert figures(path) == ([], []) and "1 of its logs are no rows" in warnings(path)


@pytest.mark.parametrize(
    ("dataset", "label", "parts"),
    [
        (
            "MathVerse_MINI",
            "split",
            ["Vision Only", "Text Lite", "Text Dominant", "Vision Intensive", "Vision Dominant"],
        ),
        ("POPE", "split", ["adversarial", "popular", "random"]),
        ("MathVision", "Subject", ["algebra", "counting"]),
    ],
)
def test_a_table_without_an_overall_row_gives_its_parts(
    tmp_path: Path, dataset: str, label: str, parts: list[str]
) -> None:
    """A table of MathVerse has a row for each version of a problem: nothing was read, and nothing was said."""
    metric = {"MathVerse_MINI": "Overall"}.get(dataset, "acc")
    table = [{label: p, metric: str(20.0 + i)} for i, p in enumerate(parts)]
    path = write_table(tmp_path / "M" / f"M_{dataset}_score.csv", table)
    report = read_results(path.parent)
    with RunStore(tmp_path / "runs") as store:
        kept = keep_results(report, store, plan=PLAN)
        assert (kept.records, kept.references) == (0, len(parts))
        found = {r.metric.partition("(")[2][:-1]: r.value for r in store.references()}
    assert found == pytest.approx({p: 0.2 + 0.01 * i for i, p in enumerate(parts)})
    assert "has no row 'Overall'" in warnings(path.parent)


def test_the_dictionary_of_ocrbench_is_read(tmp_path: Path) -> None:
    scores = {"Text Recognition": 250, "Scene Text-centric VQA": 160, "Final Score": 801, "Final Score Norm": 80.1}
    path = write(tmp_path / "M" / "M_OCRBench_score.json", scores)
    assert figures(path) == ([], [("OCRBench", "Final Score Norm", pytest.approx(0.801))])


# ------------------------------------------------------------------------------------------------ two plans


def stated(folder: Path, value: float) -> ImportReport:
    write_table(folder / "M" / "M_MathVista_MINI_gpt-4o_score.csv", [{"Task&Skill": "Overall", "acc": str(value)}])
    return read_results(folder / "M")


def test_figures_of_two_plans_of_one_size_both_stay(tmp_path: Path) -> None:
    """The second replaced the first: same model, same criterion, same number of layers, files of the same name."""
    other = PruningPlan("org/model", 8, (2, 6), "custom")
    with RunStore(tmp_path / "runs") as store:
        keep_results(stated(tmp_path / "a", 30.0), store, plan=PLAN)
        keep_results(stated(tmp_path / "b", 20.0), store, plan=other)
        assert sorted(r.value for r in store.references()) == pytest.approx([0.2, 0.3])
        keep_results(stated(tmp_path / "b", 20.0), store, plan=other)
        assert len(store.references()) == 2


def test_other_results_of_a_plan_stay_until_they_are_replaced(tmp_path: Path) -> None:
    """Two checkpoints, both taken for the whole model, left the outcomes of the one that was imported last."""
    whole = PruningPlan("org/model", 8, (), "full")
    write(tmp_path / "a" / f"{STAMP}_samples_ai2d.jsonl", [row(0), row(1)])
    write(tmp_path / "b" / f"{STAMP}_samples_ai2d.jsonl", [row(0, score=0.0), row(1, score=0.0)])
    first, second = read_results(tmp_path / "a"), read_results(tmp_path / "b")
    with RunStore(tmp_path / "runs") as store:
        keep_results(first, store, plan=whole)
        with pytest.raises(StoreError, match=r"other results of this plan on ai2d are stored, and stay"):
            keep_results(second, store, plan=whole)
        assert [r.score for r in store.records()] == [1.0]
        assert keep_results(first, store, plan=whole).problems == ()
        assert keep_results(second, store, plan=whole, replace=True).records == 1
        assert [r.score for r in store.records()] == [0.0]


def test_splits_of_one_set_are_figures_of_their_own(tmp_path: Path) -> None:
    table = [{"split": "dev", "Overall": "0.4"}, {"split": "validation", "Overall": "0.5"}]
    path = write_table(tmp_path / "M" / "M_MMMU_DEV_VAL_acc.csv", table)
    with RunStore(tmp_path / "runs") as store:
        keep_results(read_results(path), store, plan=PLAN)
        found = {r.benchmark: r.value for r in store.references()}
    assert found == {"MMMU_DEV_VAL (dev)": 0.4, "mmmu": 0.5}  # of which the second is ours
