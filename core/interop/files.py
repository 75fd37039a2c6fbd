"""Files that somebody else wrote, opened within bounds: JSON and JSON lines. Nothing is unpickled or evaluated.

Each reader says in one `StoreError` what is wrong with a file. What can be read of a damaged one is kept: whole lines
before a cut, rows around a bad one; `notes` then names the file and the line.
"""

import json
import math
import stat
from pathlib import Path
from typing import Any

from core.errors import StoreError

MAX_JSON_BYTES = 64 * 2**20  # parsed as a whole, which takes several times its size
MAX_BYTES = 512 * 2**20  # of what is read row by row, and of what a spreadsheet unpacks to
MAX_LINE = 16 * 2**20
MAX_ROWS = 500_000
MAX_FILES = 5000  # that one folder is searched for
MAX_DEPTH = 4  # of folders below the one given
PICKLES = (".pkl", ".pickle")


def files_below(folder: Path) -> tuple[list[Path], list[str]]:
    """The files of a folder and of those in it, each once, and a line for each that cannot be opened.

    VLMEvalKit leaves links to the newest run's files beside its runs; a link to a file that is listed anyway is the
    same file.
    """
    found: list[Path] = []
    links: dict[Path, Path] = {}
    problems: list[str] = []
    pickles = 0
    todo = [(folder, 0)]
    while todo:
        where, depth = todo.pop()
        try:
            entries = sorted(where.iterdir())
        except OSError as error:
            problems.append(f"{where.name}: cannot be opened ({error.strerror}): it was left out")
            continue
        for path in entries:
            if path.is_dir():
                if depth < MAX_DEPTH and not path.is_symlink():
                    todo.append((path, depth + 1))
            elif path.suffix.lower() in PICKLES:
                pickles += 1
            elif not path.exists():
                problems.append(f"{path.name}: a link to a file that is not there: copy the file itself")
            elif path.is_symlink():
                links.setdefault(path.resolve(), path)
            else:
                found.append(path)
            if len(found) + len(links) > MAX_FILES:
                raise StoreError(f"{folder} holds more than {MAX_FILES} files: give the folder of one run")
    if pickles:
        problems.append(f"{pickles} pickle files were not opened: they can run code; export tables instead")
    own = {path.resolve() for path in found}
    return sorted([*found, *(link for target, link in links.items() if target not in own)]), problems


def check_file(path: Path, most: int) -> None:
    """
    Raises:
        StoreError: a pickle, not a file, or larger than it may be.
    """
    if path.suffix.lower() in PICKLES:
        raise StoreError(f"{path.name}: pickle files are not opened, they can run code: export the table instead")
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        reason = "a link to a file that is not there" if path.is_symlink() else getattr(error, "strerror", None)
        raise StoreError(f"{path.name}: cannot be opened ({reason or 'not a path'}): copy the file itself") from error
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{path.name}: not a file: give a file of results, or their folder")
    if found.st_size > most:
        raise StoreError(f"{path.name}: larger than {most >> 20} MiB: import fewer tasks at a time")
    if not found.st_size:
        raise StoreError(f"{path.name}: an empty file: it was probably not written to its end")


def read_json(path: Path) -> Any:
    """A JSON document; NaN and infinities become None."""
    check_file(path, MAX_JSON_BYTES)
    try:
        return _parse(path.read_bytes().decode("utf-8-sig", "replace"))
    except OSError as error:
        raise StoreError(f"{path.name}: cannot be read: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise StoreError(f"{path.name}: not JSON, or cut off (line {error.lineno}): copy it again") from error
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path.name}: not JSON that can be read ({first_line(error)})") from error


def read_json_lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; lines that are none are noted and left out.

    Raises:
        StoreError: no line of it is one.
    """
    check_file(path, MAX_BYTES)
    rows: list[dict[str, Any]] = []
    bad: list[int] = []
    cut = False
    with _opened(path) as file:
        for number in range(1, MAX_ROWS + 2):
            line = file.readline(MAX_LINE + 1)
            if not line:
                break
            if number > MAX_ROWS or len(line) > MAX_LINE:
                raise StoreError(
                    f"{path.name}: more than {MAX_ROWS:,} lines, or one of more than 16 MiB (line {number})"
                )
            if not line.strip():
                continue
            try:
                row = _parse(line.decode("utf-8-sig"))
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict):
                rows.append(row)
            else:
                bad.append(number)
                cut = not line.endswith(b"\n")
    if not rows:
        raise StoreError(f"{path.name}: no line of it is a JSON object: it is cut off, or something else")
    if cut:
        notes.append(f"{path.name}: line {bad.pop()} is cut off: the {len(rows)} whole lines are read")
    if bad:
        notes.append(f"{path.name}: line {bad[0]} is no JSON object; {len(bad)} such lines were left out")
    return rows


def cell(value: Any) -> str:
    """A value of a table as text: 3.0 of a spreadsheet is the 3 that was written there."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict | list):
        return clean(json.dumps(value, ensure_ascii=False))
    return str(value)


def clean(text: str) -> str:
    """Text that can be stored: half of a surrogate pair, which JSON can hold, cannot."""
    return text.encode("utf-8", "replace").decode()


def name(value: Any, most: int = 300) -> str:
    """A name on one line: keys of the run store hold no tab, tables no line break."""
    return " ".join("".join(c if c.isprintable() else " " for c in cell(value)).split())[:most]


def number(value: Any) -> float | None:
    """A finite number, or None ("N/A", null, NaN, texts)."""
    if isinstance(value, bool | int | float):
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:
            return None
    if isinstance(value, str):
        try:
            return number(float(value)) if len(value) < 40 else None
        except ValueError:
            return None
    return None


def _parse(text: str) -> Any:
    return json.loads(text, parse_constant=lambda _: None)


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise StoreError(f"{path.name}: cannot be read: {error.strerror}") from error


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
