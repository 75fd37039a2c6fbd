"""Benchmarks by name: each describes itself in its own file; rows become items, pictures are decoded when asked for.

A new file in this folder is found by itself. Importing it all loads no dataset library: the records are also read where
no benchmark can be loaded.
"""

import importlib
import pkgutil

from core.data.benchmarks.loading import load_benchmark
from core.data.benchmarks.pictures import LazySamples
from core.data.benchmarks.registry import Benchmark, Harness, get_benchmark, list_benchmarks

for _file in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_file.name}")

__all__ = ["Benchmark", "Harness", "LazySamples", "get_benchmark", "list_benchmarks", "load_benchmark"]
