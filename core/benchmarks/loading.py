"""Benchmarks as items and samples: which rows, in which order, under which ids; pictures are decoded when needed.

Names: `chartqa`, `chartqa@REVISION` (a branch, a tag or a commit of the dataset), `llava_onevision:CONFIG`,
`local:PATH` and `snapask:PATH` (core/benchmarks/sets/local.py). A benchmark pins a commit of its dataset if one is
known, else it follows the branch main. Either way `ItemSet.dataset` names the commit that was read
("id@commit:config/split"), and the hash of the items is over their content: different data never counts as the same.

Parts:

- `test`: the whole published evaluation split; of a set that only has a training split (`numinamath`,
  `llava_onevision`), its `held_out` part.
- `calibration`: the benchmark's own training split if it has one; else the rows whose picture (or text, without a
  picture) hashes into the first `CALIBRATION_PERCENT` of a hundred.
- `held_out`: the rows that are never in `calibration`: all of `test` if there is a training split, else the other rows.
  Evaluate on this part if you calibrate on the same benchmark.

A row's part depends on its content alone, not on the seed or the limit, and all questions about one picture (in
MathVerse: all versions of one problem) are in one part.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any

from PIL import Image

from core.benchmarks.pictures import LazySamples, Pictures, decoded
from core.benchmarks.registry import Benchmark, parse_name
from core.benchmarks.rows import CALIBRATION_PERCENT, Ids, read_row, side_of
from core.benchmarks.sets.local import open_local
from core.benchmarks.sources import find_source
from core.benchmarks.tables import open_table, stream_rows
from core.errors import SampleError, suggest
from core.records.items import BenchmarkItem, ItemSet
from core.records.samples import Sample, data_hash

PARTS = ("test", "calibration", "held_out")
STREAMED = 1000  # rows of a stream, unless a limit says otherwise
MOST_REPEATS = 16  # of one content
STREAM_FACTOR = 40  # rows of a stream that are read at most, as a multiple of the wanted rows


def load_benchmark(
    name: str, *, limit: int | None = None, seed: int = 0, part: str = "test"
) -> tuple[ItemSet, LazySamples]:
    """A benchmark's items and samples.

    Args:
        limit: at most so many rows, drawn at random by the seed: a larger limit begins with the smaller one's rows.
            Without one, all rows in the dataset's order; of a stream, the first `STREAMED` of its shuffled order.
        part: test | calibration | held_out, see the head of this file.
    Raises:
        SampleError: an unknown name, data that cannot be had or read, columns or rows that are not as expected.
    """
    wanted = parse_name(name)
    benchmark = wanted.benchmark
    if part not in PARTS:
        raise SampleError(f"unknown part '{part}': {suggest(part, PARTS)}")
    if limit is not None and limit < 1:
        raise SampleError(f"a limit of {limit} rows leaves nothing: give 1 or more")
    own_split = bool(benchmark.calibration)
    asked = benchmark.calibration if own_split and part == "calibration" else benchmark.split
    # test is whole where calibration has a split of its own, and where the split was published to be evaluated
    side = "" if own_split or (part == "test" and benchmark.split != "train") else part.replace("test", "held_out")
    key, config = benchmark.key, wanted.argument or benchmark.config
    most = limit or (STREAMED if benchmark.streaming else None)
    table: Any = None
    rows: Iterable[tuple[Any, dict[str, Any]]]
    if benchmark.dataset:
        key += f":{config}" if wanted.argument else ""
        source = find_source(benchmark, config, asked, wanted.revision or benchmark.revision)
        label = source.label
        if not benchmark.streaming:
            table = open_table(benchmark, source)
    else:
        benchmark, table, label = open_local(benchmark, wanted.argument)
        key = label if key == "local" else key
    if table is None:
        rows = islice(stream_rows(benchmark, source, seed), STREAM_FACTOR * (most or 0))
    else:
        order = list(range(len(table)))
        if limit is not None:
            random.Random(f"{benchmark.key}/{seed}").shuffle(order)
        rows = ((i, table[i]) for i in order)
    pictures = Pictures(benchmark, table)
    samples, left_out, seen = _collect(benchmark, rows, pictures, most, side, key, label)
    why = ", ".join(f"{n} {reason}" for reason, n in left_out.most_common())
    if not samples and not left_out.total() and seen:
        raise SampleError(
            f"none of the {seen} rows of {label} is in its {part} part: rows about one picture stay together, and "
            f"{CALIBRATION_PERCENT} % of the pictures are for calibration: give rows about more pictures"
            + (", or a table of its own to calibrate on and all of this one to measure" if key == label else "")
        )
    if not samples:
        raise SampleError(f"{label} has no row that {key} can ask: {why or 'it has no rows'}")
    notes = [benchmark.note, why and f"Left out of {seen} rows: {why}."]
    if most is None and asked == benchmark.split and benchmark.rows not in (0, seen):
        notes.append(f"The dataset has {seen} rows; {benchmark.rows} were expected.")
    if side:
        notes.append(f"The {side} part of a split by content, {CALIBRATION_PERCENT} % for calibration.")
    items = tuple(
        BenchmarkItem(s.sample_id, s.task, s.question, s.answer, s.source, s.choices, s.accepted, s.precision)
        for s in samples
    )
    item_set = ItemSet(
        benchmark=key,
        domain=benchmark.domain,
        split=f"{asked}/{side}" if side else asked,
        data_hash=data_hash(samples),
        items=items,
        metric=benchmark.metric,
        max_new_tokens=benchmark.max_new_tokens,
        dataset=label,
        licence=benchmark.licence,
        note=" ".join(n for n in notes if n),
    )
    return item_set, LazySamples(samples, pictures)


def find_picture(name: str, source: str, sample_id: str) -> Image.Image | None:
    """The picture of a measured item, from files on this machine: nothing is fetched.

    Args:
        name: the item set's benchmark.
        source: the item's.
    Returns:
        None where the item has no picture.
    Raises:
        SampleError: the files are not here, or the row is another now; rows of a stream and of own tables cannot be
            found again.
    """
    wanted = parse_name(name)
    if wanted.benchmark.dataset and "image" not in wanted.benchmark.columns.values():
        return None
    found = re.fullmatch(r"(.+)@([^@:]+):(.+)/([^/]+)/(\d+)", source)
    if found is None or not wanted.benchmark.dataset or wanted.benchmark.streaming:
        raise SampleError(f"the picture of {source} cannot be found again: load {name} anew")
    _, revision, config, split, row = found.groups()
    here = find_source(wanted.benchmark, config, split, revision, fetch=False)
    table = open_table(wanted.benchmark, here)
    item = read_row(wanted.benchmark, table[int(row)], source) if int(row) < len(table) else ""
    ids = Ids()  # repeated contents are numbered
    if isinstance(item, str) or all(ids.of(item) != sample_id for _ in range(MOST_REPEATS)):
        raise SampleError(f"{source} is another row now: measure {name} again")
    return decoded(item.image, source)


def _collect(
    benchmark: Benchmark,
    rows: Iterable[tuple[Any, dict[str, Any]]],
    pictures: Pictures,
    most: int | None,
    side: str,
    key: str,
    label: str,
) -> tuple[list[Sample], Counter[str], int]:
    """The samples of the wanted rows, why others were left out, and how many rows were read."""
    samples: list[Sample] = []
    left_out: Counter[str] = Counter()
    ids, seen = Ids(), 0
    for where, row in rows:
        seen += 1
        source = f"{label}/{where}"
        item = read_row(benchmark, row, source)
        if isinstance(item, str):
            left_out[item] += 1
            continue
        if side and side_of(item) != side:
            continue
        sample_id = ids.of(item)
        pictures.add(sample_id, where, item.image)
        samples.append(
            Sample(
                sample_id=sample_id,
                domain=benchmark.domain,
                task=item.task or key,
                question=item.question,
                answer=item.answer,
                image=None,
                source=source,
                choices=item.choices,
                accepted=item.accepted,
                precision=item.precision,
            )
        )
        if len(samples) == most:
            break
    return samples, left_out, seen
