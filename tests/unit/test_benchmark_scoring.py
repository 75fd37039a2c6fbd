"""What each benchmark calls right is right under its own metric, however it is worded, and the rest is wrong."""

from pathlib import Path

import datasets
import pytest

from core.benchmarks import get_benchmark, load_benchmark
from core.records.items import BenchmarkItem
from core.scoring.judging import METRICS, score_answer
from tests.benchmark_fixtures import KEYS, TABLES, write_fixture


def asked(key: str, folder: Path) -> tuple[tuple[BenchmarkItem, ...], str]:
    """A fixture's items and their metric."""
    path = write_fixture(key, folder)
    items, _ = load_benchmark(key if key in TABLES else f"{key}:{path.parent}")
    return items.items, items.metric


@pytest.fixture(autouse=True)
def mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRATA_DATASETS", str(tmp_path / "mirrors"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "mirrors"


@pytest.mark.parametrize("key", KEYS)
def test_every_metric_is_known(key: str) -> None:
    assert get_benchmark(key).metric in METRICS


@pytest.mark.parametrize("key", KEYS)
def test_the_gold_answer_is_right_and_another_item_s_is_not(key: str, mirrors: Path) -> None:
    items, metric = asked(key, mirrors)
    for item in items:
        score = score_answer(item.answer, item.gold, metric)
        assert score.correct and score.outcome == "correct", (item.answer, item.gold, score)
        for wrong in ("", "I cannot see that.", "999983"):
            assert not score_answer(wrong, item.gold, metric).correct, (wrong, item.gold)
    golds = {item.answer for item in items}
    for item in items:
        for other in golds - {item.answer}:
            assert not score_answer(other, item.gold, metric).correct, (other, item.gold)


@pytest.mark.parametrize("key", KEYS)
def test_a_letter_may_be_worded(key: str, mirrors: Path) -> None:
    """Pruned models lose the format of an answer before they lose the answer."""
    items, metric = asked(key, mirrors)
    lettered = [item for item in items if item.choices]
    assert bool(lettered) == (key not in ("chartqa", "numinamath", "pope", "textvqa"))
    for item in lettered:
        text = item.choices["ABCDE".index(item.answer)]
        for answer in (
            f"{item.answer}.",
            f"({item.answer})",
            f"The answer is {item.answer}.",
            f"{item.answer}. {text}",
        ):
            assert score_answer(answer, item.gold, metric).correct, (answer, item.gold)
        wrong = "BA"["AB".find(item.answer)] if item.answer in "AB" else "A"
        assert not score_answer(f"The answer is {wrong}.", item.gold, metric).correct


@pytest.mark.parametrize(
    ("key", "gold", "right", "wrong"),
    [
        ("chartqa", "14", ["14.", "14.6", "13.5"], ["15", "forty"]),
        ("chartqa", "Yes", ["yes"], ["No"]),
        ("mathvista", "1.2", ["1.2", "1.20", "The answer is 1.2."], ["1.3"]),
        ("mathvista", "8", ["8", "8.0", "There are 8."], ["9", "80"]),
        ("mathverse", "2\\sqrt{3}", ["2\\sqrt{3}", "\\boxed{2\\sqrt{3}}", "$2\\sqrt{3}$"], ["2\\sqrt{2}"]),
        ("mathvision", "\\frac{1}{2}", ["\\boxed{0.5}", "1/2", "\\boxed{\\frac{1}{2}}"], ["\\boxed{2}"]),
        ("numinamath", "\\frac{3}{4}", ["So it is \\boxed{\\frac{3}{4}}.", "0.75"], ["\\boxed{\\frac{4}{3}}"]),
        ("pope", "yes", ["Yes", "Yes.", "Yes, there is a dog."], ["No", "No, there is none."]),
        ("textvqa", "stop", ["stop", "Stop"], ["go"]),
        ("mmmu", "0.5", ["0.5", "0.50"], ["0.6"]),
        ("mmmu", "24", ["24", "24 dollars"], ["25"]),
        ("realworldqa", "2", ["2", "2."], ["3"]),
        ("local", "stop", ["stop", "Stop!", "stop sign"], ["go"]),
    ],
)
def test_answers_as_models_give_them(key: str, gold: str, right: list[str], wrong: list[str], mirrors: Path) -> None:
    items, metric = asked(key, mirrors)
    item = next(i for i in items if i.answer == gold)
    for answer in right:
        assert score_answer(answer, item.gold, metric).correct, answer
    for answer in wrong:
        assert not score_answer(answer, item.gold, metric).correct, answer
