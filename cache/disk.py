"""How the run store keeps values on disk: JSON bytes, never pickle.

diskcache pickles by default (CVE-2025-69872), and its `JSONDisk` still unpickles what a tampered row names. A store may
come from someone else's machine, so this disk trusts no row: text keys only, JSON values only, and value files inside
the store's own folder only.
"""

import json
import os
import sqlite3
from typing import Any

from diskcache import Disk
from diskcache.core import MODE_BINARY, MODE_RAW

from core.errors import StoreError


class JSONBytesDisk(Disk):  # type: ignore[misc]  # diskcache is untyped
    """Refuses every row that this class did not write itself."""

    def put(self, key: Any) -> tuple[str, bool]:
        if type(key) is not str:
            raise StoreError(f"run store keys are text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        if not raw or type(key) is not str:
            raise self._foreign("a key that is not text")
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[int, int, str | None, Any]:
        if read:
            raise StoreError("the run store takes values, not open files")
        data = json.dumps(value, separators=(",", ":")).encode()
        size, mode, filename, stored = super().store(data, False, key=key)
        return size, mode, filename, stored

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        if read or mode not in (MODE_RAW, MODE_BINARY):
            raise self._foreign(f"a value of mode {mode}")
        if mode == MODE_BINARY:
            if not self._confined(filename):
                raise self._foreign("a value file outside its folder")
        elif not isinstance(value, bytes | sqlite3.Binary):
            raise self._foreign("a value that is not bytes")
        data = super().fetch(mode, filename, value, False)
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise self._foreign("a value that is not JSON") from None

    def remove(self, file_path: str) -> None:
        # Called when a row is overwritten or deleted: a tampered row must not have other files deleted.
        if self._confined(file_path):
            super().remove(file_path)

    def _confined(self, filename: str | None) -> bool:
        """Whether a row's file is a value file in the store's folder, after links are resolved."""
        if not isinstance(filename, str) or not filename.endswith(".val") or "\0" in filename:
            return False
        root = os.path.realpath(self._directory)
        return os.path.realpath(os.path.join(root, filename)).startswith(root + os.sep)

    def _foreign(self, what: str) -> StoreError:
        return StoreError(
            f"the run store {self._directory} holds {what}, which Strata never writes: it is damaged or was tampered "
            "with; move the folder away and import your runs again"
        )
