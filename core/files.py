"""Files that replace others in one step, so that a reader finds the old content or the new, never a part of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path`, this call's own, to write a file to; on leaving, that file takes the place of `path`.

    After an error nothing is left of it, and `path` is as it was.

    Raises:
        OSError: the file cannot be put in place.
    """
    part = path.with_name(f".{path.name}.{token_hex(4)}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write a whole text file (UTF-8) in one step.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
