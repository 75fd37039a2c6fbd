"""Scenes drawn by code: what the embedded model looks at.

A scene is a small frozen record of integers and names, so its content hash is stable across machines and library
versions, and the picture is a pure function of it. Nothing here knows questions or torch.
"""

import hashlib
import math
import random
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

SIZE = 80  # pixels, the side of every drawn image
CELL = 16  # pixels between characters of a text line
SCALE = 2  # drawn at twice the size and averaged down, so that edges are smooth

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (214, 45, 45),
    "green": (40, 150, 70),
    "blue": (45, 90, 215),
    "yellow": (235, 195, 30),
    "purple": (135, 60, 175),
    "orange": (240, 125, 25),
    "black": (35, 35, 40),
}
SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross")
BACKGROUNDS = ((255, 255, 255), (246, 246, 240), (236, 242, 248), (244, 238, 246), (238, 246, 238))
_WORDS = """
ACE ACID AGE AIR ANT APPLE ARM ART ATOM BABY BALL BANK BARN BEACH BEAR BED BEE BELL BIRD BOAT BONE BOOK BOX BOY
BREAD BRICK BUS CAKE CAMP CAR CASH CAT CHAIR CITY CLAY CLOCK CLOUD COAT COIN CORN COW CROW CUP DAY DEER DESK DISH
DOG DOOR DRUM DUCK DUST EAGLE EAR EARTH EGG EYE FACE FARM FIELD FIRE FISH FLAG FLOOR FOG FOOT FORK FOX FROG FRUIT
GAME GATE GIFT GLASS GOAT GOLD GRAPE GRASS HAIR HAND HAT HEART HILL HOME HORSE HOUSE ICE INK IRON JAM JAR JET JUICE
KEY KING KITE KNEE KNIFE LAKE LAMP LEAF LEMON LIGHT LION LOCK MAP MILK MONEY MOON MOUSE MUSIC NAIL NEST NIGHT NOSE
NUT OAK OCEAN OIL ONION OVEN OWL PAGE PAPER PARK PEN PHONE PIANO PIG PLANE PLANT POOL QUEEN RAIN RING RIVER ROAD
ROBOT ROCK ROOF ROOM ROPE ROSE SALT SAND SEA SEED SHEEP SHIP SHOE SKY SNAKE SNOW SOAP SOCK SONG SPOON STAR STONE SUN
SWAN TABLE TEA TENT TIGER TOWN TRAIN TREE TRUCK VASE VOICE WALL WATER WAVE WHALE WHEEL WIND WOLF WOOD YARD ZEBRA ZOO
"""
WORDS = _WORDS.split()


@dataclass(frozen=True)
class Shape:
    """A filled shape: centre and radius in pixels, and the grid cell (row, column) that it was put in."""

    shape: str
    color: str
    x: int
    y: int
    radius: int
    cell: tuple[int, int]

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"


@dataclass(frozen=True)
class Bar:
    color: str
    value: int  # 1 to 9, 7 pixels each
    x: int
    width: int


@dataclass(frozen=True)
class TextLine:
    text: str
    kind: str  # word | letters | expr1 | expr2
    color: str
    x: int  # left edge of the first character cell
    y: int  # middle of the line
    font_size: int


@dataclass(frozen=True)
class Clock:
    hour: int  # 1 to 12
    minute: int  # a multiple of 5
    color: str
    x: int
    y: int
    radius: int


Mark = Shape | Bar | TextLine | Clock


@dataclass(frozen=True)
class Scene:
    kind: str
    background: int  # index into BACKGROUNDS
    marks: tuple[Mark, ...]

    @property
    def content_hash(self) -> str:
        """sha256 (hex) of the scene record, which determines every pixel."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------ making scenes


def _layout(rng: random.Random) -> tuple[Mark, ...]:
    """Three to five shapes on a 3 x 3 grid: distinct colours and shapes, one clearly largest and one smallest."""
    n = rng.randint(3, 5)
    cells = rng.sample([(r, c) for r in range(3) for c in range(3)], n)
    radii = [12, 5] + [rng.choice((8, 9)) for _ in range(n - 2)]
    return tuple(
        Shape(shape, color, 14 + 26 * c + rng.randint(-1, 1), 14 + 26 * r + rng.randint(-1, 1), radius, (r, c))
        for (r, c), radius, shape, color in zip(
            cells, radii, rng.sample(SHAPES, n), rng.sample(list(COLORS), n), strict=True
        )
    )


def _crowd(rng: random.Random) -> tuple[Mark, ...]:
    """Two to nine shapes of a few kinds on a 4 x 4 grid, for counting."""
    n = rng.randint(2, 9)
    shapes = rng.sample(SHAPES, rng.randint(2, 3))
    colors = rng.sample(list(COLORS), rng.randint(2, 3))
    marks: list[Mark] = []
    for r, c in rng.sample([(r, c) for r in range(4) for c in range(4)], n):
        radius, shake = rng.choice((6, 7, 8)), rng.randint(-2, 2)
        marks.append(
            Shape(
                rng.choice(shapes),
                rng.choice(colors),
                10 + 20 * c + shake,
                10 + 20 * r + rng.randint(-2, 2),
                radius,
                (r, c),
            )
        )
    return tuple(marks)


def _bars(rng: random.Random) -> tuple[Mark, ...]:
    """Three or four bars of distinct colours, values 1 to 9."""
    n = rng.randint(3, 4)
    pitch, left = 68 // n, 8 + rng.randint(0, 3)
    return tuple(
        Bar(color, rng.randint(1, 9), left + i * pitch, pitch - rng.randint(4, 6))
        for i, color in enumerate(rng.sample(list(COLORS), n))
    )


def random_expression(rng: random.Random, n_steps: int) -> str:
    """An expression over + - × of at most five characters; no step gives a negative number or a fraction."""
    if n_steps == 1:
        op = rng.choice("+-×")
        if op == "×":
            return f"{rng.randint(1, 9)}×{rng.randint(1, 9)}"
        a, b = rng.randint(1, 20), rng.randint(1, 20)
        return f"{a}+{b}" if op == "+" else f"{max(a, b)}-{min(a, b)}"
    while True:
        a, b, c = (rng.randint(1, 9) for _ in range(3))
        first, second = rng.choice(("++", "+-", "-+", "--", "×+", "×-", "+×", "-×"))
        text = f"{a}{first}{b}{second}{c}"
        if all(result >= 0 for *_, result in solve(text)):
            return text


def solve(expression: str) -> list[tuple[int, str, int, int]]:
    """The steps (a, op, b, result) that work an expression out, × before + and -."""
    numbers: list[int] = []
    ops: list[str] = []
    digits = ""
    for ch in expression:
        if ch.isdigit():
            digits += ch
        else:
            numbers.append(int(digits))
            ops.append(ch)
            digits = ""
    numbers.append(int(digits))
    steps = []
    while ops:
        i = ops.index("×") if "×" in ops else 0
        a, b, op = numbers[i], numbers[i + 1], ops[i]
        result = a * b if op == "×" else a + b if op == "+" else a - b
        steps.append((a, op, b, result))
        numbers[i : i + 2] = [result]
        del ops[i]
    return steps


def _lines(rng: random.Random) -> tuple[Mark, ...]:
    """One to three lines of distinct colours, each an expression or a word, in rows of 16 pixels."""
    n = rng.choice((1, 1, 2, 3))
    marks: list[Mark] = []
    for row, color in zip(sorted(rng.sample(range(5), n)), rng.sample(list(COLORS), n), strict=True):
        kind = rng.choice(("expr1", "expr1", "expr2", "expr2", "expr2", "word", "word", "letters"))
        if kind == "word":
            text = rng.choice(WORDS)
        elif kind == "letters":
            text = "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(2, 5)))
        else:
            text = random_expression(rng, int(kind[-1]))
        x = CELL * rng.randint(0, 5 - len(text)) + rng.randint(-1, 1)
        marks.append(TextLine(text, kind, color, x, CELL * row + 8 + rng.randint(-1, 1), rng.choice((16, 17, 18))))
    return tuple(marks)


def _clock(rng: random.Random) -> tuple[Mark, ...]:
    return (
        Clock(
            rng.randint(1, 12),
            5 * rng.randint(0, 11),
            rng.choice(list(COLORS)),
            40 + rng.randint(-3, 3),
            40 + rng.randint(-3, 3),
            rng.randint(31, 36),
        ),
    )


SCENE_KINDS = {"layout": _layout, "crowd": _crowd, "bars": _bars, "lines": _lines, "clock": _clock}


def random_scene(kind: str, rng: random.Random) -> Scene:
    return Scene(kind, rng.randrange(len(BACKGROUNDS)), SCENE_KINDS[kind](rng))


# ------------------------------------------------------------------------------------------------ drawing


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _polygon(cx: float, cy: float, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points (angle in degrees from the top, distance in pixels) around a centre."""
    return [(cx + d * math.sin(math.radians(a)), cy - d * math.cos(math.radians(a))) for a, d in points]


def _draw_shape(draw: ImageDraw.ImageDraw, m: Shape) -> None:
    x, y, r, fill = m.x * SCALE, m.y * SCALE, m.radius * SCALE, COLORS[m.color]
    if m.shape == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    elif m.shape == "square":
        s = 0.86 * r
        draw.rectangle((x - s, y - s, x + s, y + s), fill=fill)
    elif m.shape == "triangle":
        draw.polygon(_polygon(x, y + 0.15 * r, [(0, 1.1 * r), (120, 1.1 * r), (240, 1.1 * r)]), fill=fill)
    elif m.shape == "diamond":
        draw.polygon(_polygon(x, y, [(0, 1.1 * r), (90, 0.7 * r), (180, 1.1 * r), (270, 0.7 * r)]), fill=fill)
    elif m.shape == "star":
        draw.polygon(_polygon(x, y, [(36 * i, (1.1 if i % 2 == 0 else 0.45) * r) for i in range(10)]), fill=fill)
    else:  # cross
        w = 0.33 * r
        draw.rectangle((x - w, y - r, x + w, y + r), fill=fill)
        draw.rectangle((x - r, y - w, x + r, y + w), fill=fill)


def _draw_clock(draw: ImageDraw.ImageDraw, m: Clock) -> None:
    x, y, r = m.x * SCALE, m.y * SCALE, m.radius * SCALE
    draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255), outline=COLORS["black"], width=2 * SCALE)
    for hour in range(12):
        inner = 0.76 if hour % 3 == 0 else 0.85
        draw.line(_polygon(x, y, [(30 * hour, inner * r), (30 * hour, 0.94 * r)]), fill=COLORS["black"], width=SCALE)
    hour_angle = 30 * m.hour + m.minute / 2
    draw.line([(x, y), *_polygon(x, y, [(hour_angle, 0.48 * r)])], fill=COLORS["black"], width=4 * SCALE)
    draw.line([(x, y), *_polygon(x, y, [(6 * m.minute, 0.8 * r)])], fill=COLORS[m.color], width=2 * SCALE)


def _draw_text(draw: ImageDraw.ImageDraw, m: TextLine) -> None:
    font, fill, y = _font(m.font_size * SCALE), COLORS[m.color], m.y * SCALE
    for i, ch in enumerate(m.text):
        x = (m.x + CELL * i + CELL / 2) * SCALE
        if ch == "×":  # not in Pillow's built-in font
            d = 0.24 * m.font_size * SCALE
            draw.line((x - d, y - d, x + d, y + d), fill=fill, width=2 * SCALE)
            draw.line((x - d, y + d, x + d, y - d), fill=fill, width=2 * SCALE)
        else:
            draw.text((x, y), ch, font=font, fill=fill, anchor="mm", stroke_width=1, stroke_fill=fill)


def draw(scene: Scene) -> Image.Image:
    """The scene as an RGB image of SIZE x SIZE pixels."""
    image = Image.new("RGB", (SIZE * SCALE, SIZE * SCALE), BACKGROUNDS[scene.background])
    pen = ImageDraw.Draw(image)
    if scene.kind == "bars":
        pen.line((5 * SCALE, 4 * SCALE, 5 * SCALE, 74 * SCALE), fill=COLORS["black"], width=SCALE)
        pen.line((5 * SCALE, 74 * SCALE, 78 * SCALE, 74 * SCALE), fill=COLORS["black"], width=SCALE)
        for value in range(1, 10):
            y = (74 - 7 * value) * SCALE
            pen.line((3 * SCALE, y, 5 * SCALE, y), fill=COLORS["black"], width=SCALE)
    for m in scene.marks:
        if isinstance(m, Shape):
            _draw_shape(pen, m)
        elif isinstance(m, Bar):
            box = (m.x * SCALE, (74 - 7 * m.value) * SCALE, (m.x + m.width) * SCALE, 74 * SCALE)
            pen.rectangle(box, fill=COLORS[m.color])
        elif isinstance(m, TextLine):
            _draw_text(pen, m)
        else:
            _draw_clock(pen, m)
    return image.reduce(SCALE)
