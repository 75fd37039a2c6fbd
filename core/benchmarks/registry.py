"""What a benchmark says of itself, and the registry that its file joins; nothing is loaded here.

A benchmark is one small file with one function under `@benchmark(...)`: the arguments are its record, the function
turns a row of its dataset into an `Item`, or into the reason why that row is left out.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import SampleError, suggest


@dataclass(frozen=True)
class Item:
    """A question as the model is asked it, and what counts as right (`core.scoring.judging.Gold`).

    Attributes:
        question: the whole prompt, options and instruction included.
        answer: gold; an empty one leaves the row out.
        task: what the row belongs to within its benchmark: a category, a subject, a source.
        image: the encoded picture, None where the question has none.
        group: rows of one group fall on one side of a calibration split; by default those of one picture.
    """

    question: str
    answer: str
    task: str = ""
    image: bytes | None = None
    choices: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    precision: int | None = None
    group: str = ""


ToItem = Callable[[dict[str, Any]], Item | str]


@dataclass(frozen=True)
class Harness:
    """What other harnesses call a benchmark.

    Attributes:
        task: of lmms-eval.
        metric: the key of its score there, without the filter's name.
        percent: that score is in 0 to 100 instead of 0 to 1.
        vlmevalkit: the dataset's name in VLMEvalKit, whose files it ends ("" where it has none).
    """

    task: str = ""
    metric: str = ""
    percent: bool = False
    vlmevalkit: str = ""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's record.

    Attributes:
        key: its name here.
        domain: math | general; our assignment, made by whether the answer needs mathematical reasoning in steps.
        dataset: id on the Hub; "" for tables that the user names (`key:PATH`).
        aliases: other ids of the same dataset, older ones as a rule, tried when the first is not found.
        config, split: what is evaluated.
        config_fault: why another configuration (`key:CONFIG`) is not taken, "" if it is; None where there is no other.
        calibration: the split to calibrate on, with the same columns; "" where there is none.
        files: the Parquet files of a split within the dataset's repository, a pattern of {config} and {split}.
        revision: a commit of the dataset that was seen on the Hub, or "main", which is resolved when it is loaded.
        columns: column -> type (see `core.benchmarks.tables`, several joined by "|"), those read.
        metric: a name of `core.scoring.judging.METRICS`.
        max_new_tokens: of an answer; lmms-eval's number where it states one that is not meant for long reasoning.
        licence: as its publisher states it; "unknown" where no statement was found.
        rows: in the evaluated split, 0 where they were not counted.
        streaming: too large to be fetched whole: rows are read as they come, at most so many as are asked for.
        note: what a reader of its scores must know.
    """

    key: str
    title: str
    domain: str
    dataset: str
    metric: str
    max_new_tokens: int
    licence: str
    columns: Mapping[str, str] = field(repr=False)
    to_item: ToItem = field(repr=False)
    aliases: tuple[str, ...] = ()
    config: str = "default"
    config_fault: Callable[[str], str] | None = None
    split: str = "test"
    calibration: str = ""
    files: str = "data/{split}-*.parquet"
    revision: str = "main"
    rows: int = 0
    streaming: bool = False
    harness: Harness = Harness()
    note: str = ""

    @property
    def description(self) -> str:
        return (self.to_item.__doc__ or "").strip()

    @property
    def ids(self) -> tuple[str, ...]:
        """The dataset's ids, in the order in which they are tried."""
        return (self.dataset, *self.aliases)


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(key: str, **record: Any) -> Callable[[ToItem], ToItem]:
    """Register the function that reads a benchmark's rows, with the benchmark's record."""

    def register(to_item: ToItem) -> ToItem:
        BENCHMARKS[key] = Benchmark(key=key, to_item=to_item, **record)
        return to_item

    return register


def list_benchmarks() -> list[Benchmark]:
    return list(BENCHMARKS.values())


def get_benchmark(name: str) -> Benchmark:
    """A benchmark by its key; what follows the key in a full name (`chartqa@REVISION`, `local:PATH`) is ignored.

    Raises:
        SampleError: an unknown name.
    """
    key = re.split(r"[:@]", name, maxsplit=1)[0]
    if key not in BENCHMARKS:
        raise SampleError(f"unknown benchmark '{key}': {suggest(key, BENCHMARKS)}")
    return BENCHMARKS[key]


@dataclass(frozen=True)
class Wanted:
    """A name taken apart: `key`, `key@REVISION`, `key:CONFIG`, `key:CONFIG@REVISION`, or `key:PATH` for own tables."""

    benchmark: Benchmark
    argument: str = ""
    revision: str = ""


def parse_name(name: str) -> Wanted:
    """
    Raises:
        SampleError: an unknown benchmark, or something behind its key that it does not take.
    """
    found = get_benchmark(name)
    rest = name[len(found.key) :]
    if not found.dataset:
        path = rest[1:] if rest.startswith(":") else ""
        if not path:
            raise SampleError(f"{found.key} needs a folder or a table: give {found.key}:PATH ({found.title})")
        return Wanted(found, path)
    argument, _, revision = rest.removeprefix(":").partition("@")
    if argument and found.config_fault is None:
        raise SampleError(f"{found.key} has one configuration only, so '{argument}' cannot be chosen: leave it out")
    if argument and found.config_fault is not None and (fault := found.config_fault(argument)):
        raise SampleError(f"'{argument}' of {found.key} {fault}")
    for what, text in (("configuration", argument), ("revision", revision)):
        if ".." in text or not re.fullmatch(r"[\w.,()+ /-]*", text) or (what == "configuration" and "/" in text):
            raise SampleError(f"'{text}' is no {what} of {found.key}: give a name, for example {found.key}@main")
    return Wanted(found, argument, revision)
