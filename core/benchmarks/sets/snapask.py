"""Snapask: the paper's private math set, declared so that scores of it have a name; whoever has it names the table."""

from core.benchmarks.registry import benchmark
from core.benchmarks.sets.local import local

benchmark(
    "snapask",
    title="Snapask, private data that was never published: own copy as for local",
    domain="math",
    dataset="",
    split="local",
    columns={},
    metric="choice_or_math",
    max_new_tokens=1024,
    licence="unknown",
    note=(
        "Private data: arXiv:2603.20275 scores on Snapask, and no public copy, layout, metric or licence was found. "
        "MathVista, MathVerse and MathVision are public in its place."
    ),
)(local)
