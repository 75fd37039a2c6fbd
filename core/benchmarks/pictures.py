"""Samples whose pictures stay encoded until they are asked for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

from PIL import Image

from core.benchmarks.images import open_image
from core.benchmarks.registry import Benchmark, Item
from core.benchmarks.rows import read_row
from core.errors import SampleError
from core.records.samples import Sample

# Pictures of benchmarks are larger than uploads: V* Bench asks about details of a few pixels.
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 64_000_000
MAX_SIDE = 8192
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


class Pictures:
    """The encoded pictures of a table's rows, read from it again when asked for; those of a stream are kept."""

    def __init__(self, benchmark: Benchmark, table: Any) -> None:
        self._benchmark, self._table = benchmark, table
        self._rows: dict[str, Any] = {}
        self._kept: dict[str, bytes | None] = {}

    def add(self, sample_id: str, row: Any, encoded: bytes | None) -> None:
        if self._table is None or encoded is None:
            self._kept[sample_id] = encoded
        else:
            self._rows[sample_id] = row

    def decoded(self, sample: Sample) -> Image.Image | None:
        """
        Raises:
            SampleError: the picture is damaged or too large.
        """
        if sample.sample_id in self._kept:
            encoded = self._kept[sample.sample_id]
        else:
            item = read_row(self._benchmark, self._table[self._rows[sample.sample_id]], sample.source)
            encoded = item.image if isinstance(item, Item) else None
        return decoded(encoded, sample.source)


def decoded(encoded: bytes | None, source: str) -> Image.Image | None:
    """
    Raises:
        SampleError: the picture is damaged or too large; the message begins with its source.
    """
    if encoded is None:
        return None
    try:
        return open_image(encoded, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS, max_side=MAX_SIDE, formats=FORMATS)
    except SampleError as error:
        raise SampleError(f"{source}: {error}") from error


class LazySamples(Sequence[Sample]):
    """Samples whose pictures are decoded when a sample is asked for, and not kept. A slice is lazy too."""

    def __init__(self, samples: Sequence[Sample], pictures: Pictures) -> None:
        self._samples, self._pictures = tuple(samples), pictures

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "LazySamples": ...
    def __getitem__(self, index: int | slice) -> "Sample | LazySamples":
        if isinstance(index, slice):
            return LazySamples(self._samples[index], self._pictures)
        sample = self._samples[index]
        return replace(sample, image=self._pictures.decoded(sample))

    @property
    def without_pictures(self) -> tuple[Sample, ...]:
        """The same samples with no picture, for whoever reads their text only."""
        return self._samples
