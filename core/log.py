"""Structured logs: one JSON object a line on stderr, of what happened and how long it took, never of what was said.

Fields are numbers, flags, and names that the project or its owner chose. Questions, answers, pictures, file names and
model ids that a visitor typed are never logged.
"""

import json
import logging
import sys
from datetime import UTC, datetime

logger = logging.getLogger("strata")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields = getattr(record, "fields", {})
        return json.dumps({"time": when, "level": record.levelname.lower(), "event": record.msg, **fields})


def log_to_stderr() -> None:
    """Switch the lines on, once a process (a server does; a library stays silent)."""
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Lines())
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def log(event: str, level: int = logging.INFO, /, **fields: str | int | float | bool | None) -> None:
    """One event, such as log("answered", tokens=12, seconds=0.4)."""
    logger.log(level, event, extra={"fields": fields})
