"""Own tables: a JSON Lines or Parquet file, or a folder that holds one, with questions, answers and pictures.

Columns: `question` and `answer`; where wanted `image` (a path within the table's folder; in Parquet also the encoded
picture as the Hub stores it), `choices` and `accepted` (lists of texts), `task`, and, the same in all rows, `domain`
(math or general, which it is by default) and `metric` (by default choices by letter, else the text).
Where there are choices they are listed under the question with the usual instruction, and the answer is a choice's
letter or its text. Nothing outside the table's folder is read, whatever a row or a link in it says.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.benchmarks.pictures import MAX_BYTES
from core.benchmarks.prompts import LETTER, letter_of, lettered
from core.benchmarks.registry import Benchmark, Item, benchmark
from core.benchmarks.sources import Source
from core.benchmarks.tables import open_table
from core.errors import SampleError, suggest
from core.scenes.samples import DOMAINS
from core.scoring.judging import METRICS

MAX_TABLE = 256 * 2**20  # bytes of a JSON Lines file, which is read whole
TEXTS = ("question", "answer", "task", "domain", "metric", "image")


@benchmark(
    "local",
    title="a folder with a table.jsonl or Parquet files, or such a file",
    domain="general",
    dataset="",
    split="local",
    columns={},
    metric="choice_or_text",
    max_new_tokens=64,
    licence="unknown",
)
def local(row: dict[str, Any]) -> Item | str:
    """Own questions about own pictures, from a JSON Lines or Parquet table."""
    question, answer = row["question"], row["answer"]
    choices = tuple(row.get("choices") or ())
    if choices:
        question = f"{question}\n{lettered(choices)}{LETTER}"
        answer = letter_of(choices.index(answer), choices) if answer in choices else answer.strip().upper()
        letter_of(ord(answer) - ord("A") if len(answer) == 1 else -1, choices)  # one of their letters
    return Item(question, answer, row.get("task") or "", row["image"], choices, tuple(row.get("accepted") or ()))


class LocalTable:
    """Checked rows, whose pictures are read from their files when a row is asked for."""

    def __init__(self, rows: Sequence[dict[str, Any]], folder: Path) -> None:
        self._rows, self._folder = rows, folder.resolve()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self._rows[index]
        return {**row, "image": self._picture(row.get("image"))}

    def checked(self, name: str, numbers: Sequence[int]) -> "LocalTable":
        """
        Args:
            numbers: the line of each row.
        Raises:
            SampleError: for the first row that cannot be used; how many more there are.
        """
        bad = [(n, why) for n, i in zip(numbers, range(len(self)), strict=True) if (why := self._fault(i))]
        if bad:
            more = f" ({len(bad) - 1} more rows are wrong)" if len(bad) > 1 else ""
            raise SampleError(f"{name}, line {bad[0][0]}: {bad[0][1]}{more}")
        return self

    def _fault(self, index: int) -> str:
        """What is wrong with a row, "" if nothing is."""
        row = self._rows[index]
        for column in ("question", "answer"):
            if not isinstance(row.get(column), str) or not row[column].strip():
                return f"it needs a text as {column}"
        for column in ("choices", "accepted"):
            listed = row.get(column) or []
            if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
                return f"{column} must be a list of texts"
        if not isinstance(row.get("task") or "", str):
            return "task must be a text"
        try:
            local({**row, "image": self._picture(row.get("image"))})
        except SampleError as error:
            return str(error)
        except (IndexError, ValueError, TypeError):
            return f"its answer '{row['answer'][:40]}' is none of its choices, nor a letter of one"
        return ""

    def _picture(self, cell: Any) -> bytes | None:
        if cell is None or cell == "":
            return None
        if isinstance(cell, dict):
            encoded = cell.get("bytes")
            if isinstance(encoded, bytes):
                return encoded
            cell = cell.get("path")
        if not isinstance(cell, str):
            raise SampleError("image must be a path within the table's folder, or an encoded picture")
        try:
            path = (self._folder / cell).resolve()  # links are followed first, then it must still be inside
            if Path(cell).is_absolute() or not path.is_relative_to(self._folder):
                raise SampleError(f"its picture '{cell}' lies outside the table's folder: copy it in")
            if path.stat().st_size > MAX_BYTES:
                raise SampleError(f"its picture '{cell}' is larger than {MAX_BYTES // 2**20} MB: give a smaller one")
            return path.read_bytes()
        except (OSError, ValueError) as error:
            raise SampleError(f"its picture {cell!r} cannot be read ({getattr(error, 'strerror', error)})") from error


def open_local(benchmark: Benchmark, argument: str) -> tuple[Benchmark, LocalTable, str]:
    """The benchmark with the table's domain and metric, its checked rows, and what it is called (never a full path).

    Raises:
        SampleError: no table there, or a row in it that cannot be used.
    """
    path = Path(argument).expanduser()
    files = _tables(path)
    folder, name = files[0].parent, path.stem or path.resolve().name
    label = f"{benchmark.key}:{name}"
    if files[0].suffix == ".jsonl":
        rows, numbers = _json_lines(files[0])
    else:
        source = Source(label, "local", "default", "local", tuple(str(f) for f in files))
        needed = replace(benchmark, columns={"question": "text", "answer": "text"})
        rows = open_table(needed, source)
        numbers = list(range(1, len(rows) + 1))
    table = LocalTable(rows, folder).checked(name, numbers)
    domain = _constant(rows, "domain", benchmark.domain, DOMAINS)
    metric = _constant(rows, "metric", benchmark.metric, METRICS)
    return replace(benchmark, domain=domain, metric=metric), table, label


def _tables(path: Path) -> list[Path]:
    if path.is_file() and path.suffix in (".jsonl", ".parquet"):
        return [path]
    found = sorted(p for p in path.glob("*") if p.suffix in (".jsonl", ".parquet")) if path.is_dir() else []
    lines = [p for p in found if p.suffix == ".jsonl"]
    if len(lines) > 1 or (lines and len(found) > 1):
        raise SampleError(f"'{path}' holds several tables ({', '.join(p.name for p in found[:4])}): name one of them")
    if not found:
        raise SampleError(f"no table at '{path}': give a .jsonl or .parquet file, or a folder that holds one")
    return found


def _json_lines(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    try:
        if path.stat().st_size > MAX_TABLE:
            raise SampleError(f"{path.name} is larger than {MAX_TABLE // 2**20} MB: split it, or give Parquet")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SampleError(f"cannot read {path.name} ({error}): it must be UTF-8 text") from error
    rows, numbers = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise SampleError(f"{path.name}, line {number}: not a JSON object of Unicode text")
        answer = row.get("answer")
        if isinstance(answer, int | float) and not isinstance(answer, bool):
            row["answer"] = str(answer)
        rows.append(row)
        numbers.append(number)
    if not rows:
        raise SampleError(f"{path.name} has no rows: give one JSON object a line")
    return rows, numbers


def _constant(rows: Sequence[dict[str, Any]], column: str, otherwise: str, known: Any) -> str:
    """The one value of a column, which every row or none must have."""
    values = {str(row.get(column) or otherwise) for row in rows}
    if len(values) > 1:
        raise SampleError(f"the rows name more than one {column}: make a table for each")
    value = values.pop()
    if value != otherwise and value not in known:
        raise SampleError(f"unknown {column} '{value}': {suggest(value, known)}")
    return value
