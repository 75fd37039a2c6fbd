"""Scenes: what is written in the record is what can be seen in the picture."""

import ast
import hashlib
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.scenes.scenes import (
    BACKGROUNDS,
    COLORS,
    SCENE_KINDS,
    SHAPES,
    SIZE,
    WORDS,
    Bar,
    Clock,
    Mark,
    Scene,
    Shape,
    TextLine,
    draw,
    random_expression,
    random_scene,
    solve,
)

scenes = st.builds(
    lambda kind, seed: random_scene(kind, random.Random(seed)),
    st.sampled_from(sorted(SCENE_KINDS)),
    st.integers(0, 2**32),
)


def value(expression: str) -> int:
    """What Python's own grammar makes of an expression."""

    def walk(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp):
            a, b = walk(node.left), walk(node.right)
            return {ast.Add: a + b, ast.Sub: a - b, ast.Mult: a * b}[type(node.op)]
        assert isinstance(node, ast.Constant) and isinstance(node.value, int)
        return node.value

    return walk(ast.parse(expression.replace("×", "*"), mode="eval").body)


# ------------------------------------------------------------------------------------------------ arithmetic


@given(st.lists(st.integers(0, 99), min_size=2, max_size=6), st.data())
def test_solve_is_ordinary_arithmetic(numbers: list[int], data: st.DataObject) -> None:
    ops = data.draw(st.lists(st.sampled_from("+-×"), min_size=len(numbers) - 1, max_size=len(numbers) - 1))
    expression = str(numbers[0]) + "".join(f"{op}{n}" for op, n in zip(ops, numbers[1:], strict=True))
    steps = solve(expression)
    assert steps[-1][-1] == value(expression)
    assert len(steps) == len(ops)
    for a, op, b, result in steps:
        assert result == {"+": a + b, "-": a - b, "×": a * b}[op]


def test_solve_multiplies_first_and_then_goes_left_to_right() -> None:
    assert solve("7-2+3") == [(7, "-", 2, 5), (5, "+", 3, 8)]
    assert solve("2+3×4") == [(3, "×", 4, 12), (2, "+", 12, 14)]
    assert solve("9-2×3") == [(2, "×", 3, 6), (9, "-", 6, 3)]
    assert solve("12") == []


@given(st.integers(0, 2**32), st.sampled_from([1, 2]))
def test_expressions_fit_a_line_and_never_go_below_zero(seed: int, n_steps: int) -> None:
    text = random_expression(random.Random(seed), n_steps)
    assert len(text) <= 5
    steps = solve(text)
    assert len(steps) == n_steps
    assert min(result for *_, result in steps) >= 0


# ------------------------------------------------------------------------------------------------ records


@given(scenes)
def test_marks_lie_inside_the_picture(scene: Scene) -> None:
    for m in scene.marks:
        if isinstance(m, Shape):
            assert m.radius <= min(m.x, m.y) and max(m.x, m.y) <= SIZE - m.radius
        elif isinstance(m, Bar):
            assert m.x > 5 and m.x + m.width < SIZE and 1 <= m.value <= 9 and m.width > 3
        elif isinstance(m, TextLine):
            assert m.x >= -1 and m.x + 16 * len(m.text) <= SIZE + 1 and 7 <= m.y <= SIZE - 7
        else:
            assert m.radius < min(m.x, m.y) and max(m.x, m.y) + m.radius < SIZE


@given(st.integers(0, 2**32))
def test_layouts_can_be_asked_about_without_doubt(seed: int) -> None:
    """Colours, shapes and cells are distinct, and exactly one shape is the largest and one the smallest."""
    marks = [m for m in random_scene("layout", random.Random(seed)).marks if isinstance(m, Shape)]
    assert 3 <= len(marks) <= 5
    for values in ([m.color for m in marks], [m.shape for m in marks], [m.cell for m in marks]):
        assert len(set(values)) == len(marks)
    radii = sorted(m.radius for m in marks)
    assert radii[0] < radii[1] and radii[-2] < radii[-1]


@given(st.integers(0, 2**32), st.sampled_from(["crowd", "bars", "lines", "clock"]))
def test_other_scenes_can_be_asked_about_without_doubt(seed: int, kind: str) -> None:
    marks = random_scene(kind, random.Random(seed)).marks
    if kind == "crowd":
        assert len({m.cell for m in marks if isinstance(m, Shape)}) == len(marks) in range(2, 10)
    elif kind == "clock":
        (clock,) = marks
        assert isinstance(clock, Clock) and clock.hour in range(1, 13) and clock.minute in range(0, 60, 5)
    else:
        assert len({m.color for m in marks if isinstance(m, Bar | TextLine)}) == len(marks)
        for m in marks:
            if isinstance(m, TextLine):
                assert {"word": m.text in WORDS, "letters": m.text.isalpha()}.get(m.kind, m.text[0].isdigit())


def test_words_are_distinct_and_fit_a_line() -> None:
    assert len(set(WORDS)) == len(WORDS)
    assert all(word.isupper() and word.isalpha() and len(word) <= 5 for word in WORDS)


def test_content_hash_is_of_the_written_record() -> None:
    """Splits hang on this hash, so it must be the same everywhere and for ever."""
    scene = Scene("bars", 0, (Bar("red", 3, 8, 12),))
    record = "Scene(kind='bars', background=0, marks=(Bar(color='red', value=3, x=8, width=12),))"
    assert scene.content_hash == hashlib.sha256(record.encode()).hexdigest()


@given(scenes, st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_scene(scene: Scene, seed: int) -> None:
    again = [random_scene(scene.kind, random.Random(seed)) for _ in range(2)]
    assert again[0] == again[1] and again[0].content_hash == again[1].content_hash
    assert (again[0] == scene) == (again[0].content_hash == scene.content_hash)


# ------------------------------------------------------------------------------------------------ pictures


def near(image: Image.Image, x: float, y: float, color: tuple[int, int, int]) -> bool:
    pixel = np.array(image.getpixel((int(x), int(y))), dtype=int)
    return bool(abs(pixel - np.array(color)).max() <= 2)


@given(scenes)
def test_pictures_are_a_pure_function_of_the_scene(scene: Scene) -> None:
    image = draw(scene)
    assert (image.size, image.mode) == ((SIZE, SIZE), "RGB")
    assert image.tobytes() == draw(scene).tobytes()
    other = Scene(scene.kind, (scene.background + 1) % len(BACKGROUNDS), scene.marks)
    assert image.tobytes() != draw(other).tobytes()


@given(scenes)
def test_every_mark_can_be_seen(scene: Scene) -> None:
    """Without any one of its marks the picture is another, at least at that mark's place."""
    image = np.asarray(draw(scene), dtype=int)
    for i in range(len(scene.marks)):
        rest = scene.marks[:i] + scene.marks[i + 1 :]
        changed = (
            np.abs(image - np.asarray(draw(Scene(scene.kind, scene.background, rest)), dtype=int)).max(axis=2) > 40
        )
        assert changed.sum() >= 15, scene.marks[i]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("color", COLORS)
def test_shapes_have_their_colour_and_size(shape: str, color: str) -> None:
    image = draw(Scene("layout", 0, (Shape(shape, color, 40, 40, 12, (1, 1)),)))
    assert near(image, 40, 40, COLORS[color])
    assert near(image, 2, 2, BACKGROUNDS[0])
    changed = np.argwhere((np.asarray(image) != np.array(BACKGROUNDS[0])).any(axis=2))
    assert (abs(changed - 40).max(axis=0) <= 15).all() and (abs(changed - 40).max(axis=0) >= 7).all()


def test_shapes_differ_from_each_other() -> None:
    pictures = {draw(Scene("layout", 0, (Shape(s, "red", 40, 40, 12, (1, 1)),))).tobytes() for s in SHAPES}
    assert len(pictures) == len(SHAPES)


@pytest.mark.parametrize("bar_value", range(1, 10))
def test_bars_end_at_their_tick(bar_value: int) -> None:
    """The axis starts at 74 and each unit is 7 pixels: a bar of 3 ends at 53."""
    image = draw(Scene("bars", 0, (Bar("blue", bar_value, 20, 12),)))
    top = 74 - 7 * bar_value
    assert near(image, 26, top + 1, COLORS["blue"]) and near(image, 26, top - 2, BACKGROUNDS[0])
    assert near(image, 26, 72, COLORS["blue"]) and near(image, 40, 72, BACKGROUNDS[0])


@pytest.mark.parametrize(("hour", "minute"), [(12, 0), (3, 15), (6, 30), (9, 45), (1, 5), (10, 10)])
def test_clock_hands_point_where_the_time_says(hour: int, minute: int) -> None:
    image = draw(Scene("clock", 0, (Clock(hour, minute, "red", 40, 40, 34),)))
    angle = math.radians(6 * minute)
    assert near(image, 40 + 0.7 * 34 * math.sin(angle), 40 - 0.7 * 34 * math.cos(angle), COLORS["red"])
    angle = math.radians(30 * (hour % 12 + minute / 60))
    pixel = image.getpixel((int(40 + 12 * math.sin(angle)), int(40 - 12 * math.cos(angle))))
    assert pixel != (255, 255, 255)
    assert near(image, 40 - 12 * math.sin(angle), 40 + 12 * math.cos(angle), (255, 255, 255)) or abs(minute - 30) < 1


def test_text_has_one_glyph_per_cell() -> None:
    line: Mark = TextLine("A×9", "expr1", "green", 16, 40, 17)
    image = np.asarray(draw(Scene("lines", 0, (line,))), dtype=int)
    columns = (abs(image - np.array(COLORS["green"])).max(axis=2) < 60).any(axis=0)
    inked = [columns[16 * i : 16 * i + 16].any() for i in range(5)]
    assert inked == [False, True, True, True, False]
