"""Benchmarks as items and samples: which rows, in which order, under which ids, with pictures decoded when asked for.

Names: `chartqa`, `chartqa@REVISION` (a branch, a tag or a commit of the dataset), `llava_onevision:CONFIG`,
`local:PATH` and `snapask:PATH` (core/benchmarks/sets/local.py). A benchmark pins a commit that was seen on the Hub
where there is one, else it follows the branch main. Either way the commit that was read goes into `ItemSet.dataset`
("id@commit:config/split"), and the hash of the items is made of their content, so other data never passes for the same.

Parts:

- `test`: the evaluated split, whole, as it was published. Of a set that has a training split only (`numinamath`,
  `llava_onevision`): its `held_out` part.
- `calibration`: the benchmark's own training split where it has one; else the rows whose picture (or text, where there
  is none) hashes into the first `CALIBRATION_PERCENT` of a hundred.
- `held_out`: the rows that `calibration` can never meet: all of `test` where there is a training split, else the other
  rows. Who calibrates on a benchmark evaluates on this part of it.

A row's side depends on its content alone: neither the seed nor the limit moves it, and all questions about one picture
(in MathVerse: all versions of one problem) are on one side.
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
MOST_REPEATS = 16  # of one content that are looked for
STREAM_FACTOR = 40  # times the wanted rows: so many of a stream are looked at, at most


def load_benchmark(
    name: str, *, limit: int | None = None, seed: int = 0, split: str | None = None, part: str = "test"
) -> tuple[ItemSet, LazySamples]:
    """A benchmark's items and samples.

    Args:
        limit: at most so many rows, drawn at random by the seed: a larger limit begins with the smaller one's rows.
            Without one, all rows in the dataset's order; of a stream, the first `STREAMED` of its shuffled order.
        split: another split of the dataset than the published one.
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
    if split is not None and not (benchmark.dataset and re.fullmatch(r"[\w.-]+", split)):
        raise SampleError(f"{benchmark.key} has no split '{split}': leave it out, or name one of its dataset")
    own_split = bool(benchmark.calibration) and split is None
    asked = benchmark.calibration if own_split and part == "calibration" else split or benchmark.split
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
    if not samples:
        raise SampleError(f"{label} has no row that {key} can ask: {why or 'it has too few rows for this part of it'}")
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
    """The picture of an item that was measured, from files on this machine: nothing is fetched.

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
    ids = Ids()  # contents that come again are numbered
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
    """The samples of the wanted rows, why others were left out, and how many rows were looked at."""
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
