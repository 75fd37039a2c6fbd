"""Every metric agrees with every verdict of the hand-judged table, the rule included; and no text makes it fail."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.records.gold import Gold
from core.scoring.judging import METRICS, Score, get_metric, score_answer
from tests.unit.scoring_table import TABLE, Row, said

OUTCOMES = {"correct", "wrong", "unparsable", "empty"}
ROWS = [(metric, *row) for metric, rows in TABLE.items() for row in rows]


@pytest.mark.parametrize(("metric", "gold", "answer", "outcome", "rule"), ROWS)
def test_the_table_is_met(metric: str, gold: Gold | str, answer: str, outcome: str, rule: str) -> None:
    score = score_answer(answer, gold, metric)
    assert (score.outcome, score.rule) == (outcome, rule)
    assert score.correct == (outcome == "correct")
    if metric != "vqa_accuracy":
        assert score.value == float(score.correct)


def test_the_table_is_large_and_covers_every_metric_and_outcome() -> None:
    assert len(ROWS) >= 380
    assert set(TABLE) == set(METRICS)
    for metric, rows in TABLE.items():
        counts = Counter(outcome for _, _, outcome, _ in rows)
        assert set(counts) == OUTCOMES, f"{metric} lacks {OUTCOMES - set(counts)}"
    asked = [(metric, str(gold), answer) for metric, gold, answer, _, _ in ROWS]
    assert len(set(asked)) == len(asked), "a row that stands twice proves nothing more"


@pytest.mark.parametrize(
    ("metric", "gold", "answer", "parsed"),
    [
        ("multiple_choice", "B", "The answer is (b), since it is blue", "B"),
        ("multiple_choice", "B", "hm", ""),
        ("yes_no", "yes", "No, never", "no"),
        ("number", "7", "She paid $1,250.50 in all", "1,250.50"),
        ("relaxed_accuracy", "7", "about 8 %", "8 %"),
        ("math", "7", "so $x = -8$", "-8"),
        ("math", "2\\sqrt{3}", "\\boxed{\\sqrt{12}}", "\\sqrt{12}"),
        ("short_answer", "cat", "dog", "dog"),
    ],
)
def test_what_was_read_is_told(metric: str, gold: str, answer: str, parsed: str) -> None:
    assert score_answer(answer, gold, metric).parsed == parsed


@pytest.mark.parametrize(("agreeing", "value"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_vqa_accuracy_by_hand(agreeing: int, value: float) -> None:
    """One of ten agrees: left out 9 times it counts 1/3, once 0, so 9/30."""
    gold = said(*["cat"] * agreeing, "dog") if agreeing < 10 else said("cat")
    score = score_answer("cat", gold, "vqa_accuracy")
    assert score.value == value
    assert score.correct == (value >= 0.5)


def test_metrics_describe_themselves() -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.label and metric.description.endswith(".")
        assert get_metric(name) is metric
    assert [name for name, metric in METRICS.items() if metric.whole] == ["exact_match"]


# ------------------------------------------------------------------------------------------------ any text at all

PARTS = (
    "A B C I a b is not or and answer option choice : = . , ( ) [ ] { } \\boxed{ } \\frac{1}{2} \\sqrt{2} \\text{ $ "
    "\\( \\) % 1 2 12 1,000 3.5 -4 1/0 1e9 10^3 x y ^ _ ^{2} < > ! | #### <think> </think> <answer> </answer> yes no "
    "<reasoning> </reasoning> ◁think▷ ◁/think▷ <|begin_of_box|> <|end_of_box|> 答案是 选 정답은 です 。 ， Ｂ ５ 个 万 "
    "million minus - 12 345 1,5 – 2½ ⁶ \\sqrt[3]{64} \\log_{10} \\infty ≤ \\cup \\text{ so Option correct point "
    "the cat red blue light ** * √ π ° − ½ None \n"
)
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(PARTS.split(" ")), max_size=14).map(" ".join)
GOLDS = st.builds(
    Gold,
    TEXTS,
    st.lists(TEXTS, max_size=5).map(tuple) | st.just(tuple("abcdefghijklmnopqrstuvwxyz01234")),
    st.lists(TEXTS, max_size=3).map(tuple),
    st.none() | st.integers(-(10**9), 10**9),
)


@pytest.mark.parametrize("metric", sorted(TABLE))
@settings(max_examples=120, deadline=None, derandomize=True)
@given(answer=TEXTS, gold=GOLDS)
def test_any_text_gets_a_verdict(metric: str, answer: str, gold: Gold) -> None:
    score = score_answer(answer, gold, metric)
    assert isinstance(score, Score)
    assert score.outcome in OUTCOMES
    assert 0.0 <= score.value <= 1.0
    assert score.correct == (score.outcome == "correct") == (score.value >= 0.5)
    assert score.rule
    assert score == score_answer(answer, gold, metric)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(text=TEXTS, letter=st.sampled_from("ABCD"))
def test_a_boxed_letter_outranks_whatever_stands_before_it(text: str, letter: str) -> None:
    said_before = text.replace("<", "").replace("◁", "").replace("\\", "")
    assert score_answer(f"{said_before}\n\\boxed{{{letter}}}", letter, "multiple_choice").correct


def test_no_row_is_decided_by_the_gold_answer() -> None:
    """What is read out of an answer is the same whichever option is right."""
    rows: list[Row] = TABLE["multiple_choice"]
    for gold, answer, _, _ in rows:
        choices = gold.choices if isinstance(gold, Gold) else ()
        read = {score_answer(answer, Gold(letter, choices), "multiple_choice").parsed for letter in "ABC"}
        assert len(read) == 1, answer
