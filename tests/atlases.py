"""Hand-made similarity atlases for tests: every number in them is chosen, none is measured."""

from collections.abc import Mapping, Sequence

import numpy as np

from core.pruning.atlas import TOKEN_KINDS, CalibrationSample, SimilarityAtlas


def make_atlas(
    similarities: Mapping[str, Sequence[Sequence[float]]],
    spans: Mapping[int, Sequence[float]] | None = None,
    last: Mapping[int, Sequence[Sequence[float]]] | None = None,
    structural: tuple[int, ...] = (),
) -> SimilarityAtlas:
    """An atlas of given layer similarities.

    Args:
        similarities: domain -> one row of L values per sample; the same for every token kind, task "t0", "t1" in turn.
        spans: length -> the value of each start, the same for every sample and kind. Spans not given are products of
            their layers' similarities.
        last: length -> one row per sample (all domains in order), for token kind `last` only.
    """
    samples = tuple(
        CalibrationSample(f"{domain}-{i}", domain, f"t{i % 2}")
        for domain, rows in similarities.items()
        for i in range(len(rows))
    )
    single = np.array([row for rows in similarities.values() for row in rows], dtype=np.float32)
    n, depth = single.shape
    values = np.full((n, len(TOKEN_KINDS), depth, depth), np.nan, dtype=np.float32)
    for length in range(1, depth + 1):
        for start in range(depth - length + 1):
            values[:, :, start, length - 1] = single[:, start : start + length].prod(axis=1)[:, None]
    for length, row in (spans or {}).items():
        values[:, :, : len(row), length - 1] = np.array(row)
    for length, rows in (last or {}).items():
        values[:, TOKEN_KINDS.index("last"), : depth - length + 1, length - 1] = np.array(rows)
    tokens = np.ones((n, len(TOKEN_KINDS)), dtype=np.int32)
    return SimilarityAtlas("model", "rev", depth, structural, samples, values, tokens, "cpu", "2026-01-01")
