"""Tables that somebody else wrote (csv, tsv, xlsx, json), every cell as the text that it is, within bounds."""

import csv
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import StoreError
from core.interop.files import MAX_BYTES, MAX_LINE, MAX_ROWS, cell, check_file, first_line, read_json, read_json_lines

MAX_COLUMNS = 256
MAX_DIRECTORY = 2**20  # bytes, 46 and a name for each file in a spreadsheet, which has some dozens

Row = dict[str, str]


def read_table(path: Path, notes: list[str]) -> list[Row]:
    """The rows of a csv, tsv, xlsx, json or jsonl table, every cell as text, a missing one as "".

    Text stays text: an answer "NA", "None" or "nan" is one.
    """
    suffix = path.suffix.lower()
    if suffix == ".xlsx":
        return _spreadsheet(path)
    if suffix in (".csv", ".tsv"):
        return _separated(path, "\t" if suffix == ".tsv" else ",", notes)
    if suffix == ".jsonl":
        return [{str(k): cell(v) for k, v in row.items()} for row in read_json_lines(path, notes)]
    if suffix == ".json":
        return _records(path, read_json(path))
    check_file(path, MAX_BYTES)
    raise StoreError(f"{path.name}: not a table: give a csv, tsv, xlsx or json file")


def _records(path: Path, found: Any) -> list[Row]:
    """A table as VLMEvalKit writes or reads it in JSON: records, columns, or columns and data."""
    if isinstance(found, dict) and isinstance(found.get("columns"), list) and isinstance(found.get("data"), list):
        found = [dict(zip(map(str, found["columns"]), r, strict=False)) for r in found["data"] if isinstance(r, list)]
    elif isinstance(found, dict) and found and all(isinstance(v, list) for v in found.values()):
        found = [dict(zip(found, values, strict=False)) for values in zip(*found.values(), strict=False)]
    if not isinstance(found, list) or not found or not all(isinstance(r, dict) for r in found):
        raise StoreError(f"{path.name}: JSON, but not a table of records")
    return [{str(k): cell(v) for k, v in row.items()} for row in found[:MAX_ROWS]]


def _separated(path: Path, delimiter: str, notes: list[str]) -> list[Row]:
    check_file(path, MAX_BYTES)
    csv.field_size_limit(MAX_LINE)  # 128 KiB by default, and answers can be longer
    rows: list[Row] = []
    short = 0
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            head = [h.strip() for h in next(reader)]
            try:
                for values in reader:
                    if len(values) == len(head):
                        rows.append(dict(zip(head, values, strict=True)))
                    elif values:
                        short = short or reader.line_num
                    if len(rows) > MAX_ROWS:
                        raise StoreError(f"{path.name}: more than {MAX_ROWS:,} rows")
            except csv.Error as error:
                notes.append(f"{path.name}: line {reader.line_num}: {error}: the {len(rows)} rows before it are read")
    except (OSError, csv.Error, StopIteration) as error:
        raise StoreError(f"{path.name}: not a table: {first_line(error)}") from error
    if not rows:
        raise StoreError(f"{path.name}: a table without a whole row: it is cut off, or something else")
    if short:
        notes.append(f"{path.name}: line {short} is not as wide as the heading: such rows were left out")
    return rows


def _spreadsheet(path: Path) -> list[Row]:
    from openpyxl import load_workbook

    check_file(path, MAX_BYTES)
    try:
        _check_directory(path)
        with zipfile.ZipFile(path) as archive:
            # what a member claims is all that is unpacked of it
            if sum(m.file_size for m in archive.infolist()) > MAX_BYTES:
                raise StoreError(f"{path.name}: unpacks to more than {MAX_BYTES >> 20} MiB: export it as tsv")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles
            # formulas as they are: an answer that begins with "=" is stored as one
            book = load_workbook(path, read_only=True, data_only=False, keep_links=False)
            try:
                rows = list(_cells(book.worksheets[0]))
            finally:
                book.close()
    except StoreError:
        raise
    except Exception as error:  # a damaged spreadsheet leads zipfile, the XML parser and openpyxl into any of theirs
        raise StoreError(f"{path.name}: not a spreadsheet, or damaged: {first_line(error)}") from error
    if not rows:
        raise StoreError(f"{path.name}: a spreadsheet without rows")
    return rows


def _check_directory(path: Path) -> None:
    """Refuse an archive of very many files before its directory is read; zipfile takes a kilobyte for each."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**16 - 22))  # the end record and the longest comment
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    # sizes of 64 bits are in a record of their own, which no spreadsheet needs
    large = tail[max(0, at - 20) : max(0, at - 16)] == b"PK\x06\x07"
    if large or int.from_bytes(tail[at + 12 : at + 16], "little") > MAX_DIRECTORY:
        raise StoreError(f"{path.name}: holds more files than a spreadsheet: export it as tsv")


def _cells(sheet: Any) -> Iterator[Row]:
    rows = sheet.iter_rows(max_row=MAX_ROWS, max_col=MAX_COLUMNS, values_only=True)
    head = [cell(h).strip() for h in next(rows, ())]
    for values in rows:
        row = {h: cell(v) for h, v in zip(head, values, strict=False) if h}
        if any(row.values()):
            yield row
