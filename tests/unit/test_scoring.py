"""What counts as a right answer, how a wrong one is named, and that both agree with what a sweep measures."""

import time
from dataclasses import dataclass

import pytest

from core.errors import SampleError
from core.records.answers import GenerationConfig
from core.records.gold import Gold
from core.records.plan import PruningPlan
from core.scenes.samples import draw_samples
from core.scoring.judging import failure_kind, repeats, score_answer


@dataclass
class Said:
    text: str
    stopped: str = "end"


@pytest.mark.parametrize(
    ("answer", "gold", "rule", "outcome"),
    [
        ("7", "7", "the same text", "correct"),
        (" 7\n", "7", "the same text after trimming spaces", "correct"),
        ("Red", "red", "the same text but for capital letters", "wrong"),
        ("64 + 9 = 73", "9 + 64 = 73", "the same last number, but another text", "wrong"),
        ("10:35", "11:35", "another text", "wrong"),
        ("3:05", "3:05", "the same text", "correct"),
        ("seven", "7", "no number in the answer, where the gold answer has one", "unparsable"),
        ("blue", "red", "another text", "wrong"),
        ("  ", "red", "nothing was answered", "empty"),
    ],
)
def test_exact_match_names_its_rule(answer: str, gold: str, rule: str, outcome: str) -> None:
    score = score_answer(answer, gold)
    assert (score.rule, score.outcome, score.correct) == (rule, outcome, outcome == "correct")


def test_an_unknown_metric_is_one_line() -> None:
    with pytest.raises(SampleError, match="did you mean 'exact_match'"):
        score_answer("7", "7", "exactmatch")


@pytest.mark.parametrize(
    ("text", "stopped", "gold", "kind"),
    [
        ("7", "end", "7", ""),
        ("8", "end", "7", "wrong"),
        ("red", "end", "7", "unparsable"),
        ("", "end", "7", "empty"),
        ("", "length", "7", "empty"),
        ("7 + 1 =", "length", "7 + 1 = 8", "truncated"),
        ("7", "length", "7", "truncated"),  # it did not end: a sweep counts the end token too
        ("red red red red", "length", "red", "repeating"),
        ("it is a star, a star, a star", "end", "star", "repeating"),
    ],
)
def test_kinds_of_failure(text: str, stopped: str, gold: str, kind: str) -> None:
    assert failure_kind(Said(text, stopped), gold) == kind


@pytest.mark.parametrize(
    ("text", "stopped", "gold", "metric", "kind"),
    [
        ("The answer is B because", "length", Gold("B"), "multiple_choice", ""),  # read, and right
        ("The answer is C because", "length", Gold("B"), "multiple_choice", "truncated"),
        ("The answer is C.", "end", Gold("B"), "multiple_choice", "wrong"),
        ("Let me see.", "end", Gold("B"), "multiple_choice", "unparsable"),
        ("<think>Let me see", "length", Gold("B"), "multiple_choice", "truncated"),
        ("so so so so", "length", Gold("B"), "multiple_choice", "repeating"),
        ("B B B B", "length", "B", "exact_match", "repeating"),
        ("7", "length", Gold("7"), "exact_match", "truncated"),
        ("It is 7, 7, 7, 7", "length", Gold("7"), "number", ""),
        ("cat", "end", Gold("cat", accepted=("cat",) * 2 + ("dog",) * 8), "vqa_accuracy", ""),
        ("", "length", Gold("7"), "number", "empty"),
    ],
)
def test_kinds_of_failure_by_other_metrics(text: str, stopped: str, gold: Gold | str, metric: str, kind: str) -> None:
    """What a metric read out of a text counts, however the text ended; exact match is about the whole text."""
    assert failure_kind(Said(text, stopped), gold, metric) == kind


def test_a_gold_record_and_its_text_are_judged_alike() -> None:
    for answer in ("7", " 7", "8", ""):
        assert score_answer(answer, "7") == score_answer(answer, Gold("7", choices=("1", "7"), accepted=("8",)))


def test_repeats_are_found_at_the_end_of_an_endless_text() -> None:
    start = time.thread_time()
    assert repeats("so on " * 200_000)
    assert not repeats("".join(f"{n} " for n in range(200_000)))
    assert time.thread_time() - start < 10


@pytest.mark.parametrize(
    "text", ["no no no", "5, 5, 5", "ab " * 9 + "a", "1 + 1 = 2, 1 + 1 = 2, 1 + 1 = 2, 1", "z" * 24]
)
def test_what_repeats(text: str) -> None:
    assert repeats(text)


@pytest.mark.parametrize("text", ["", "no", "no no", "1000", "1,000,000,000", "7777", "no no no yes", "8 + 8 = 16"])
def test_what_does_not_repeat(text: str) -> None:
    assert not repeats(text)


@pytest.mark.slow
def test_a_decoded_answer_is_right_where_the_sweep_says_so() -> None:
    """Teacher-forced exact match and the verdict on the decoded text are two ways to the same number."""
    from core.vlm.forest import score_plans
    from core.vlm.generation import answer
    from core.vlm.loading import load_vlm

    vlm = load_vlm("tiny", device="cpu")
    samples = draw_samples("test", 3, 14)
    plans = [PruningPlan("tiny", 16, dropped) for dropped in ((), (3, 9, 10, 13), (4, 5, 6, 8, 11, 13))]
    measured = score_plans(vlm, plans, samples).correct
    config = GenerationConfig(max_new_tokens=32)
    decoded = [[failure_kind(answer(vlm, p, s.image, s.question, config), s.answer) for s in samples] for p in plans]
    assert measured.tolist() == [[kind == "" for kind in row] for row in decoded]
    kinds = {kind for row in decoded for kind in row}
    assert "" in kinds and len(kinds) > 1  # the verdicts were put to the test
