"""One file a benchmark; each registers itself when it is imported."""

import importlib
import pkgutil


def find_sets() -> None:
    """Import every file of this folder."""
    for file in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{file.name}")
