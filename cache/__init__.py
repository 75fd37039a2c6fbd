"""Where measurements are kept: the run store of this machine, and Parquet files of runs."""

from cache.parquet import load_recorded
from cache.run_store import RunStore

__all__ = ["RunStore", "load_recorded"]
