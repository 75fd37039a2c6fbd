"""Pictures from outside, opened with bounds: what the header declares is checked before a pixel is decoded."""

import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from core.errors import SampleError

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_BYTES = 5 * 2**20
MAX_PIXELS = 16_000_000
MAX_SIDE = 2048  # pixels, after downscaling


def open_image(
    data: bytes | Path,
    *,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
    max_side: int = MAX_SIDE,
    formats: tuple[str, ...] = FORMATS,
) -> Image.Image:
    """The first frame of a PNG, JPEG or WebP picture as RGB, upright, at most 2048 pixels a side.

    The bounds are those of uploads; benchmarks, whose pictures a user chose to load, have wider ones.

    Raises:
        SampleError: one line, for anything that is not such a picture or is too large.
    """
    if isinstance(data, Path):
        data = _read(data, max_bytes)
    if len(data) > max_bytes:
        raise SampleError(f"the image is larger than {max_bytes // 2**20} MB: give a smaller one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=formats)
            width, height = image.size
            if width * height > max_pixels:
                most = f"at most {max_pixels // 10**6} megapixels are taken"
                raise SampleError(f"the image has {width} x {height} pixels, {most}: scale it down")
            image.load()
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((max_side, max_side))
            return _flattened(upright)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise SampleError(f"the image declares more than {max_pixels // 10**6} megapixels: scale it down") from None
    except UnidentifiedImageError:
        raise SampleError(f"not a {_listed(formats)} picture: convert it, or choose another file") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise SampleError(f"the picture is damaged ({error}): choose another file") from error


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise SampleError(f"cannot read the image {path}: {error.strerror}") from error


def _listed(formats: tuple[str, ...]) -> str:
    *first, last = ("WebP" if f == "WEBP" else f for f in formats)
    return f"{', '.join(first)} or {last}" if first else last


def _flattened(image: Image.Image) -> Image.Image:
    """RGB, transparent parts on white; 16-bit greys scaled down instead of clipped."""
    if image.mode in ("I", "I;16", "F"):
        _low, high = image.convert("F").getextrema()
        scale = 255.0 / max(float(high), 255.0)  # type: ignore[arg-type]
        image = image.convert("F").point(lambda v: v * scale).convert("L")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return image.convert("RGB")
