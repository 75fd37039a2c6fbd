"""Strata's library. torch is imported in `core.vlm` only."""

__version__ = "0.1.0"
