"""Hostile and odd pictures: an answer or one clear line, and memory that stays bounded."""

import io
import random
import subprocess
import sys

import pytest
from PIL import Image

from core import settings
from core.benchmarks.images import open_image
from core.errors import SampleError
from tests.unit.test_images import declared_png, encoded

LIMIT_MB = 300


def base() -> Image.Image:
    rng = random.Random(0)
    return Image.frombytes("RGB", (64, 48), bytes(rng.randrange(256) for _ in range(64 * 48 * 3)))


def animated(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "green", "blue")]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], lossless=True)
    return buffer.getvalue()


def fuzzed() -> list[bytes]:
    """200 pictures of three formats with bytes changed, cut out or added."""
    rng = random.Random(1)
    sources = [encoded(base(), kind) for kind in ("PNG", "JPEG", "WEBP")]
    made = []
    for n in range(200):
        data = bytearray(sources[n % 3])
        for _ in range(rng.randint(1, 12)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if n % 4 == 0:
            start = rng.randrange(len(data))
            del data[start : start + rng.randint(1, 200)]
        elif n % 4 == 1:
            start = rng.randrange(len(data))
            data[start:start] = rng.randbytes(rng.randint(1, 200))
        made.append(bytes(data))
    return made


def opened(data: bytes) -> str:
    """ "picture", or the line that the user reads."""
    try:
        image = open_image(data)
    except SampleError as error:
        assert "\n" not in str(error) and len(str(error)) < 300
        return str(error)
    assert image.mode == "RGB" and max(image.size) <= 2048
    return "picture"


def test_two_hundred_fuzzed_files_give_a_picture_or_a_line() -> None:
    said = [opened(data) for data in fuzzed()]
    assert 10 < said.count("picture") < 190  # both happen, so both are tested


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    assert open_image(animated(kind)).getpixel((5, 5))[0] > 200


def test_the_extension_does_not_count_and_the_smallest_picture_is_one(tmp_path) -> None:
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encoded(base()))
    assert open_image(path).size == (64, 48)
    assert open_image(encoded(Image.new("RGB", (1, 1)))).size == (1, 1)
    assert opened(b"") != "picture" and opened(encoded(base())[:-400]) != "picture"


def test_memory_stays_bounded() -> None:
    """Bombs, the largest picture that is taken, and the fuzzed files, in a process whose peak is read at the end."""
    code = """
import io, resource
from PIL import Image
from tests.unit.test_image_faults import fuzzed, opened
from tests.unit.test_images import declared_png
idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
flat = io.BytesIO(); Image.new("1", (17_000, 17_000)).save(flat, "PNG")
made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert len(flat.getvalue()) < 100_000
for bomb in (declared_png(20_000, 20_000), flat.getvalue()):
    assert "megapixels" in opened(bomb)
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - made < 20_000
most = io.BytesIO(); Image.new("L", (4000, 4000)).save(most, "PNG")
assert opened(most.getvalue()) == "picture"
for data in fuzzed():
    opened(data)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) / 1000)
"""
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=settings.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < LIMIT_MB
    assert opened(declared_png(20_000, 20_000)) != "picture"
