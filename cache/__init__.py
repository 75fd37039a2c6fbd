"""Where measurements are kept: the run store of this machine, and the Parquet files in which runs travel."""

from cache.parquet import load_recorded
from cache.run_store import RunStore

__all__ = ["RunStore", "load_recorded"]
