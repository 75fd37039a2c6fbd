"""Own tables: what they may hold, and that nothing outside their folder is read."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from core.benchmarks import load_benchmark
from core.errors import SampleError
from tests.benchmark_fixtures import picture, write_fixture


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


def write(folder: Path, *rows: dict[str, Any] | str, name: str = "table.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


QUESTION = {"question": "How many?", "answer": "3"}


def test_a_folder_a_file_and_parquet_hold_the_same(tmp_path: Path) -> None:
    path = write_fixture("local", tmp_path)
    by_folder, _ = load_benchmark(f"local:{path.parent}")
    by_file, samples = load_benchmark(f"local:{path}")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    parquet = tmp_path / "local" / "nested" / "table.parquet"
    parquet.parent.mkdir()
    for row in rows:
        row.update(answer=str(row["answer"]), choices=row.get("choices"), task=row.get("task"))
        row["accepted"] = row.get("accepted")
        row["image"] = {"bytes": (path.parent / row["image"]).read_bytes(), "path": None} if row["image"] else None
    datasets.Dataset.from_list(rows).to_parquet(parquet)
    by_parquet, pictured = load_benchmark(f"local:{parquet}")
    assert by_folder.data_hash == by_file.data_hash == by_parquet.data_hash
    assert [s.image and s.image.size for s in samples] == [(48, 32)] * 4 + [None]
    assert [s.image and s.image.size for s in pictured] == [(48, 32)] * 4 + [None]
    assert str(tmp_path) not in json.dumps(by_file.to_dict())  # a full path is nobody else's business


def test_parquet_may_name_pictures_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(1)["bytes"])
    datasets.Dataset.from_list([{**QUESTION, "image": "a.png"}]).to_parquet(tmp_path / "t.parquet")
    _, samples = load_benchmark(f"local:{tmp_path}")
    assert samples[0].image is not None


def test_what_else_counts_as_right_makes_another_item(tmp_path: Path) -> None:
    """Further accepted answers left the ids as they were, so a sweep gave the verdicts from before."""
    before, _ = load_benchmark(f"local:{write(tmp_path / 't', {**QUESTION, 'accepted': ['two']})}")
    after, _ = load_benchmark(f"local:{write(tmp_path / 't', {**QUESTION, 'accepted': ['two', '2.0']})}")
    assert before.items[0].item_id != after.items[0].item_id and before.data_hash != after.data_hash


def test_a_table_says_its_domain_and_metric(tmp_path: Path) -> None:
    rows = [{**QUESTION, "domain": "math", "metric": "exact_match"}, {**QUESTION, "domain": "math"}]
    items, _ = load_benchmark(f"local:{write(tmp_path / 't', rows[0])}")
    assert (items.domain, items.metric, items.licence) == ("math", "exact_match", "unknown")
    with pytest.raises(SampleError, match="the rows name more than one metric"):
        load_benchmark(f"local:{write(tmp_path / 't', *rows)}")
    with pytest.raises(SampleError, match="unknown domain 'maths': did you mean 'math'"):
        load_benchmark(f"local:{write(tmp_path / 't', {**QUESTION, 'domain': 'maths'})}")


def test_snapask_is_math_under_its_own_name(tmp_path: Path) -> None:
    items, _ = load_benchmark(f"snapask:{write_fixture('snapask', tmp_path)}")
    assert (items.benchmark, items.domain, items.licence) == ("snapask", "math", "unknown")
    assert "Private data" in items.note


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{not json", "line 2: not a JSON object"),
        ("[" * 100_000, "line 2: not a JSON object"),
        ("[1]", "line 2: not a JSON object"),
        (r'{"question": "How \ud800?", "answer": "3"}', "line 2: not a JSON object of Unicode text"),
        ({**QUESTION, "domain": ["math"]}, "the rows name more than one domain"),
        ({"question": "How many?"}, "line 2: it needs a text as answer"),
        ({"question": "", "answer": "3"}, "line 2: it needs a text as question"),
        ({"question": "Which?", "answer": True}, "line 2: it needs a text as answer"),
        ({**QUESTION, "choices": "red"}, "line 2: choices must be a list of texts"),
        ({**QUESTION, "choices": ["red", "blue"]}, "line 2: its answer '3' is none of its choices"),
        ({**QUESTION, "answer": "C", "choices": ["red", "blue"]}, "line 2: its answer 'C' is none of its choices"),
        ({**QUESTION, "accepted": [3]}, "line 2: accepted must be a list of texts"),
        ({**QUESTION, "task": 3}, "line 2: task must be a text"),
        ({**QUESTION, "image": 3}, "line 2: image must be a path"),
        ({**QUESTION, "image": "none.png"}, r"line 2: its picture 'none.png' cannot be read \(No such file"),
        ({**QUESTION, "image": "../secret.png"}, "line 2: its picture '../secret.png' lies outside"),
        ({**QUESTION, "image": "link.png"}, "line 2: its picture 'link.png' lies outside"),
        ({**QUESTION, "image": "linked/secret.png"}, "line 2: its picture 'linked/secret.png' lies outside"),
        ({**QUESTION, "image": "a\0b.png"}, "line 2: its picture"),
    ],
)
def test_a_bad_row_is_named_by_its_line(row: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(0)["bytes"])
    path = write(tmp_path / "t", QUESTION, row)
    (tmp_path / "t" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "t" / "linked").symlink_to(tmp_path)
    with pytest.raises(SampleError, match=message) as raised:
        load_benchmark(f"local:{path}")
    assert "\n" not in str(raised.value)


def test_an_absolute_path_is_refused_even_inside(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(0)["bytes"])
    path = write(tmp_path, {**QUESTION, "image": str(tmp_path / "a.png")})
    with pytest.raises(SampleError, match="lies outside the table's folder"):
        load_benchmark(f"local:{path}")


def test_further_bad_rows_are_counted(tmp_path: Path) -> None:
    bad = {"question": "?"}
    with pytest.raises(SampleError, match=r"line 3: it needs a text as answer \(2 more rows are wrong\)"):
        load_benchmark(f"local:{write(tmp_path / 't', QUESTION, '', bad, bad, bad)}")


def test_a_picture_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_fixture("local", tmp_path)
    monkeypatch.setattr("core.benchmarks.sets.local.MAX_BYTES", 50)
    with pytest.raises(SampleError, match=r"line 1: its picture .* is larger than"):
        load_benchmark(f"local:{path}")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no table at"),
        (["a.jsonl", "b.jsonl"], "holds several tables"),
        (["a.jsonl", "b.parquet"], "holds several tables"),
        (["table.csv"], "no table at"),
    ],
)
def test_a_folder_must_hold_one_table(names: list[str], message: str, tmp_path: Path) -> None:
    for name in names:
        write(tmp_path / "t", QUESTION, name=name)
    with pytest.raises(SampleError, match=message):
        load_benchmark(f"local:{tmp_path / 't'}")
    with pytest.raises(SampleError, match="has no rows"):
        load_benchmark(f"local:{write(tmp_path / 'empty', '')}")


def test_parquet_without_the_columns_is_named(tmp_path: Path) -> None:
    datasets.Dataset.from_list([{"query": "?", "answer": "3"}]).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(SampleError, match="has no column 'question'"):
        load_benchmark(f"local:{tmp_path}")
