"""Bench of the pages: what a rerun of each takes with few and with many recorded outcomes, in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import settings
from core.bench.timing import Row
from core.errors import StrataError

if TYPE_CHECKING:
    from core.vlm import VLM

OUTCOMES = (10**2, 10**5)


def bench(vlm: "VLM", rounds: int) -> Iterator[Row]:
    """A row a page: `ours_s` at 100,000 outcomes, `reference_s` at 100, medians of reruns behind a first run.

    The recording is a part of the one that ships with the project, whatever the model; the first run, which reads it
    and fills the caches, is told as `first_s`.
    """
    with tempfile.TemporaryDirectory() as folder:
        few, many = (_page_times(Path(folder) / str(n), n, max(rounds, 5)) for n in OUTCOMES)
    for page, times in many.items():
        yield {
            "name": f"ui, {page}",
            "ours_s": times["rerun_s"],
            "reference_s": few[page]["rerun_s"],
            "ratio": few[page]["rerun_s"] / times["rerun_s"],
            "agree": not times["exceptions"] and not few[page]["exceptions"],
            "reference": f"the page with {OUTCOMES[0]:,} outcomes instead of {OUTCOMES[1]:,}",
            "first_s": times["first_s"],
            "reference_first_s": few[page]["first_s"],
        }


def _page_times(folder: Path, n_outcomes: int, rounds: int) -> dict[str, Row]:
    _write_recording(folder, n_outcomes)
    done = subprocess.run(
        [sys.executable, "-m", "dashboard.bench", str(rounds)],
        cwd=settings.ROOT,
        env={**os.environ, "STRATA_RECORDED": str(folder), "STRATA_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StrataError(f"the pages could not be timed: {(done.stderr.strip() or 'no output').splitlines()[-1]}")
    found: dict[str, Row] = json.loads(done.stdout.splitlines()[-1])
    return found


def _write_recording(folder: Path, n_outcomes: int) -> None:
    """A part of the shipped recording: as many runs and items of it as make up the outcomes."""
    from cache import RunStore, load_recorded
    from core.library.finding import recorded_anatomy_path, recorded_atlas_path, recorded_runs_path

    folder.mkdir(parents=True)
    for path in (recorded_atlas_path("tiny"), recorded_anatomy_path("tiny")):
        (folder / path.name).write_bytes(path.read_bytes())
    records, item_sets = load_recorded(recorded_runs_path("tiny"))
    n_items = min(len(records[0].item_ids), max(5, n_outcomes // 20))
    wanted = n_outcomes // n_items
    step = max(1, len(records) // wanted)
    with RunStore(folder / "store") as store:
        for items in item_sets.values():
            store.put_items(items)
        store.put_many(
            replace(r, correct=_first(r.correct, n_items), gold_nll=_first(r.gold_nll, n_items))
            for r in records[::step][:wanted]
        )
        store.export_parquet(folder / "tiny.runs.parquet")


def _first(values: tuple[Any, ...], n: int) -> tuple[Any, ...]:
    """The first n values; the rest as if they had not been scored."""
    return values[:n] + (None,) * (len(values) - n)
