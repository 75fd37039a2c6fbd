"""Pictures from outside are opened within bounds, or refused in one line."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from core.benchmarks.images import open_image
from core.errors import SampleError


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def declared_png(width: int, height: int) -> bytes:
    """A PNG whose header declares a size that its few bytes of data do not hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(20_000, 20_000), (9_000, 9_000), (4_001, 4_000)])
def test_a_bomb_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(SampleError, match="megapixels") as caught:
        open_image(declared_png(*size))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"just text", b"%PDF-1.4", encoded(Image.new("RGB", (9, 9)), "GIF"), declared_png(50, 50)]
)
def test_what_is_not_a_whole_picture_is_refused(data: bytes) -> None:
    with pytest.raises(SampleError) as caught:
        open_image(data)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="cannot read"):
        open_image(tmp_path / "none.png")


def test_orientation_alpha_grey_and_cmyk_become_upright_rgb() -> None:
    red = Image.new("RGB", (40, 20), (250, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    assert open_image(encoded(red, "JPEG", exif=exif)).size == (20, 40)
    clear = Image.new("RGBA", (5, 5), (0, 0, 0, 0))
    assert open_image(encoded(clear)).getpixel((2, 2)) == (255, 255, 255)
    deep = Image.new("I;16", (4, 4), 65535)
    assert open_image(encoded(deep)).getpixel((0, 0)) == (255, 255, 255)
    assert open_image(encoded(Image.new("CMYK", (4, 4)), "JPEG")).mode == "RGB"


def test_large_pictures_are_scaled_down() -> None:
    assert max(open_image(encoded(Image.new("L", (3000, 1500)))).size) == 2048
