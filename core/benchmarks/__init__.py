"""Benchmarks by name: each describes itself in its own file; rows become items, pictures are decoded when asked for.

A new file in `sets` is found by itself. Importing it all loads no dataset library: the records are also read where
no benchmark can be loaded.
"""

from core.benchmarks.loading import load_benchmark
from core.benchmarks.pictures import LazySamples
from core.benchmarks.registry import Benchmark, Harness, get_benchmark, list_benchmarks
from core.benchmarks.sets import find_sets

find_sets()

__all__ = ["Benchmark", "Harness", "LazySamples", "get_benchmark", "list_benchmarks", "load_benchmark"]
