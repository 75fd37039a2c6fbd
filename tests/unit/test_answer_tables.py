"""What Compare reads off answers, on hand-made ones."""

from types import SimpleNamespace
from typing import Any

import pytest

from core.records.answers import Answer, TokenEvent
from core.records.plan import PruningPlan
from core.records.samples import Sample
from dashboard.views.compare import answers
from dashboard.views.compare.answers import Pane, Verdict, judge, parting, tally

NO_NUMBER = "no number in the answer, where the gold answer has one"
PLAN = PruningPlan("tiny", 8, (2, 3), "mixed")


def answer(*tokens: str, plan: PruningPlan | None = None, stopped: str = "end") -> Answer:
    events = tuple(TokenEvent(0, hash(t), t, 0.1 * i, ((t, 0.75), ("?", 0.25))) for i, t in enumerate(tokens, 1))
    return Answer("tiny", plan, "How many?", "".join(tokens), len(tokens), 0.1, 10.0, stopped, events)


def asked(gold: str, **more: Any) -> Sample:
    return Sample("id", "math", "count", "How many?", gold, None, **more)


def test_the_metric_of_a_benchmark_decides():
    options = asked("B", choices=("a fern", "a moss"), metric="multiple_choice")
    assert judge(answer("(B)", stopped="length"), options).correct, "an option that was read counts, cut off or not"
    assert judge(answer("a fern"), options).words.startswith("wrong: another option")
    assert judge(answer("(B)"), asked("B")) == Verdict(False, "wrong: another text")


@pytest.mark.parametrize(
    ("given", "stopped", "verdict"),
    [
        ("7", "end", Verdict(True, "correct: the same text")),
        ("8", "end", Verdict(False, "wrong: another text")),
        ("", "end", Verdict(False, "empty: nothing was answered")),
        ("7", "length", Verdict(False, "truncated: the right text, but it did not end by itself")),
        (
            "a b a b a b a b",
            "length",
            Verdict(False, f"repeating: {NO_NUMBER}"),
        ),
        ("many", "end", Verdict(False, f"unparsable: {NO_NUMBER}")),
    ],
)
def test_verdicts_name_the_failure_and_the_rule(given, stopped, verdict):
    assert judge(answer(given, stopped=stopped), asked("7")) == verdict


def test_the_first_token_that_differs_comes_with_both_sides():
    step, table = parting(answer("7", " or", " 8"), answer("7", " and"))
    assert step == 2
    assert table.to_numpy().tolist() == [["' or'", 0.75, "' and'", 0.75], ["'?'", 0.25, "'?'", 0.25]]
    assert parting(answer("7"), answer("7")) is None
    step, table = parting(answer("7"), answer("7", " 8"))
    assert step == 2 and table.full_token.isna().all() and table.plan_token[0] == "' 8'"


def panes() -> list[Pane]:
    divergence = SimpleNamespace(tokens=("7", "$"), kl=(0.2, 0.4), full_nll=(0.0, 0.1), plan_nll=(1.0, 2.0))
    return [
        Pane(None, answer=answer("7")),
        Pane(PLAN, answer=answer("8", plan=PLAN), divergence=divergence),  # type: ignore[arg-type]
        Pane(PLAN, events=[TokenEvent(2, 1, "7", 0.1)]),  # stopped
    ]


def test_numbers_are_those_of_finished_answers():
    table = answers.numbers(panes(), asked("7")).set_index("pane")
    assert list(table.index) == ["full model", "mixed, −2"]
    assert table.verdict["mixed, −2"] == "wrong: another text"
    assert table.kl["mixed, −2"] == pytest.approx(0.3) and table.plan_nll["mixed, −2"] == 1.5
    assert table.tokens_per_s.isna().all()  # one token has no rate
    assert answers.numbers(panes(), asked("")).verdict[0] == "no gold answer"


def test_divergence_has_a_row_for_every_token():
    frame = answers.divergence_frame(panes())
    assert frame[["pane", "step", "token", "kl"]].to_numpy().tolist() == [
        ["mixed, −2", 1, "'7'", 0.2],
        ["mixed, −2", 2, "'$'", 0.4],
    ]


def test_votes_are_counted_against_how_often_a_pane_was_up():
    votes = [
        {"shown": ["full model", "mixed, −2"], "vote": "mixed, −2"},
        {"shown": ["mixed, −2", "uniform, −2"], "vote": "neither"},
    ]
    assert tally(votes).to_numpy().tolist() == [["full model", 1, 0], ["mixed, −2", 2, 1], ["uniform, −2", 1, 0]]
