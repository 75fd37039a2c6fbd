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


def open_image(data: bytes | Path) -> Image.Image:
    """The first frame of a PNG, JPEG or WebP picture as RGB, upright, at most 2048 pixels a side.

    Raises:
        SampleError: one line, for anything that is not such a picture or is too large.
    """
    if isinstance(data, Path):
        data = _read(data)
    if len(data) > MAX_BYTES:
        raise SampleError(f"the image is larger than {MAX_BYTES // 2**20} MB: give a smaller one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            width, height = image.size
            if width * height > MAX_PIXELS:
                most = f"at most {MAX_PIXELS // 10**6} megapixels are taken"
                raise SampleError(f"the image has {width} x {height} pixels, {most}: scale it down")
            image.load()
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((MAX_SIDE, MAX_SIDE))
            return _flattened(upright)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise SampleError(f"the image declares more than {MAX_PIXELS // 10**6} megapixels: scale it down") from None
    except UnidentifiedImageError:
        raise SampleError("not a PNG, JPEG or WebP picture: convert it, or choose another file") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise SampleError(f"the picture is damaged ({error}): choose another file") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SampleError(f"cannot read the image {path}: {error.strerror}") from error


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
