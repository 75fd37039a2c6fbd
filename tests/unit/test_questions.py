"""Questions: every gold answer is worked out a second time, from the question's words and the scene's record alone."""

import random
import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import pytest

from core.scenes.questions import TASKS, domain_tasks, plural, steps_text
from core.scenes.samples import draw_question
from core.scenes.scenes import COLORS, SHAPES, Bar, Clock, Scene, Shape, TextLine
from tests.unit.test_scenes import value

PLURALS = {"circles": "circle", "squares": "square", "triangles": "triangle"}
PLURALS |= {"stars": "star", "diamonds": "diamond", "crosses": "cross"}
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "middle", "right")


# ------------------------------------------------------------------------------------------------ a second opinion


def words(text: str) -> list[str]:
    return re.findall(r"[a-zA-Z]+", text)


def mentioned(text: str, known: object) -> list[str]:
    return [w for w in words(text) if w in known]  # type: ignore[operator]


def the_shape(scene: Scene, text: str) -> Shape:
    (name,) = mentioned(text, SHAPES)
    (mark,) = (m for m in scene.marks if isinstance(m, Shape) and m.shape == name)
    return mark


def the_line(scene: Scene, text: str) -> TextLine:
    """The line of the colour that the question names; with no colour named there must be one line only."""
    colors = mentioned(text, COLORS)
    lines = [m for m in scene.marks if isinstance(m, TextLine) and (not colors or m.color == colors[0])]
    assert len(lines) == 1, (text, scene)
    return lines[0]


def the_bars(scene: Scene, text: str) -> list[Bar]:
    by_color = {m.color: m for m in scene.marks if isinstance(m, Bar)}
    return [by_color[c] for c in mentioned(text, COLORS)]


def spoken(a: int, op: str, b: int) -> str:
    return f"{a} {op} {b} = {a + b if op == '+' else a - b}"


def check_steps(answer: str, expression: str) -> None:
    """Each written step holds, and the last result is the expression's value."""
    steps = answer.split(", ")
    for step in steps:
        left, right = step.split(" = ")
        assert value(left) == int(right), step
    assert int(steps[-1].split(" = ")[1]) == value(expression)
    assert len(steps) == len(re.findall(r"[+×-]", expression))


def count(scene: Scene, text: str) -> str:
    return str(sum(1 for _ in scene.marks))


def count_kind(scene: Scene, text: str) -> str:
    shapes, colors = mentioned(text, PLURALS), mentioned(text, COLORS)
    assert len(shapes) + len(colors) == 1
    if shapes:
        return str(len([m for m in scene.marks if isinstance(m, Shape) and m.shape == PLURALS[shapes[0]]]))
    return str(len([m for m in scene.marks if isinstance(m, Shape) and m.color == colors[0]]))


def how_many_more(scene: Scene, text: str) -> str:
    a, b = (
        len([m for m in scene.marks if isinstance(m, Shape) and m.shape == PLURALS[w]])
        for w in mentioned(text, PLURALS)
    )
    assert a > b > 0
    return spoken(a, "-", b)


def bar_value(scene: Scene, text: str) -> str:
    (bar,) = the_bars(scene, text)
    return str(bar.value)


def bar_sum(scene: Scene, text: str) -> str:
    a, b = the_bars(scene, text)
    return spoken(a.value, "+", b.value)


def bar_difference(scene: Scene, text: str) -> str:
    a, b = (bar.value for bar in the_bars(scene, text))
    if text.startswith("Subtract"):  # "the b bar from the a bar"
        a, b = b, a
    assert a >= b
    return spoken(a, "-", b)


def clock(scene: Scene, text: str) -> str:
    """The time as an angle of the short hand, in hours: what one reads off a dial."""
    (mark,) = scene.marks
    assert isinstance(mark, Clock)
    hours = Fraction(mark.hour % 12) + Fraction(mark.minute, 60)
    return f"{int(hours) or 12}:{int((hours - int(hours)) * 60):02d}"


def clock_hand(scene: Scene, text: str) -> str:
    hour, minute = clock(scene, text).split(":")
    return minute if " long " in text else hour


def color_of_shape(scene: Scene, text: str) -> str:
    return the_shape(scene, text).color


def shape_of_color(scene: Scene, text: str) -> str:
    (color,) = mentioned(text, COLORS)
    (mark,) = (m for m in scene.marks if isinstance(m, Shape) and m.color == color)
    return mark.shape


def exists(scene: Scene, text: str) -> str:
    (color,), (shape,) = mentioned(text, COLORS), mentioned(text, SHAPES)
    return "yes" if any(isinstance(m, Shape) and (m.color, m.shape) == (color, shape) for m in scene.marks) else "no"


def third(pixel: int) -> int:
    """Which third of the 80 pixels."""
    return 0 if pixel < 27 else 1 if pixel < 53 else 2


def where(scene: Scene, text: str) -> str:
    mark = the_shape(scene, text)
    row, column = ROWS[third(mark.y)], COLUMNS[third(mark.x)]
    if row == column == "middle":
        return "center"
    return " ".join(w for w in (row, column) if w != "middle")


def beside(scene: Scene, text: str) -> str:
    (side,) = mentioned(text, ("left", "right"))
    mark = the_shape(scene, text)
    sign = -1 if side == "left" else 1
    level = [
        m for m in scene.marks if isinstance(m, Shape) and third(m.y) == third(mark.y) and sign * (m.x - mark.x) > 0
    ]
    nearest = min(level, key=lambda m: abs(m.x - mark.x))
    return f"{nearest.color} {nearest.shape}"


def extreme(scene: Scene, text: str) -> str:
    (which,) = mentioned(text, ("largest", "smallest"))
    by_size = sorted((m.radius, f"{m.color} {m.shape}") for m in scene.marks if isinstance(m, Shape))
    return by_size[-1 if which == "largest" else 0][1]


def text_of(*kinds: str) -> Callable[[Scene, str], str]:
    def read(scene: Scene, text: str) -> str:
        line = the_line(scene, text)
        assert line.kind in kinds
        return line.text

    return read


def read_expression(scene: Scene, text: str) -> str:
    return re.sub(r"([+×-])", r" \1 ", the_line(scene, text).text)


ANSWERS: dict[str, Callable[[Scene, str], str]] = {
    "count": count,
    "count_kind": count_kind,
    "how_many_more": how_many_more,
    "bar_value": bar_value,
    "bar_sum": bar_sum,
    "bar_difference": bar_difference,
    "clock": clock,
    "clock_hand": clock_hand,
    "color_of_shape": color_of_shape,
    "shape_of_color": shape_of_color,
    "exists": exists,
    "where": where,
    "beside": beside,
    "extreme": extreme,
    "read_word": text_of("word"),
    "spell": text_of("letters"),
    "read_expression": read_expression,
}
STEPS = ("expression_1", "expression_2", "arithmetic")  # checked step by step
DRAWN = [name for name in TASKS if name != "arithmetic"]  # asked about a picture


# ------------------------------------------------------------------------------------------------ tests


def test_every_task_has_a_second_opinion() -> None:
    assert sorted([*ANSWERS, *STEPS]) == sorted(TASKS)


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_the_gold_answer_is_right(name: str) -> None:
    rng = random.Random(name)
    for _ in range(300):
        scene, question = draw_question(name, "train", rng)
        assert question.task == name
        assert question.answer == ANSWERS[name](scene, question.text), (question, scene)


@pytest.mark.parametrize("name", ["expression_1", "expression_2"])
def test_written_steps_are_right(name: str) -> None:
    rng = random.Random(name)
    for _ in range(300):
        scene, question = draw_question(name, "train", rng)
        line = the_line(scene, question.text)
        assert line.kind == f"expr{name[-1]}"
        check_steps(question.answer, line.text)


def test_text_only_sums_are_right() -> None:
    rng = random.Random(0)
    for _ in range(300):
        question = TASKS["arithmetic"].question(Scene("any", 0, ()), rng)
        assert question is not None
        expression = "".join(re.findall(r"[0-9+×-]", question.text))
        check_steps(question.answer, expression)


def test_steps_worked_by_hand() -> None:
    assert steps_text("7+8-2") == "7 + 8 = 15, 15 - 2 = 13"
    assert steps_text("9-2×4") == "2 × 4 = 8, 9 - 8 = 1"
    assert steps_text("6×7") == "6 × 7 = 42"


@pytest.mark.parametrize("name", DRAWN)
def test_every_wording_is_used_and_filled_in(name: str) -> None:
    rng = random.Random(name)
    patterns = [re.compile(re.sub(r"\\{\w+\\}", ".*", re.escape(w)) + "$") for w in TASKS[name].wordings]
    seen = set()
    for _ in range(120):
        _, question = draw_question(name, "train", rng)
        assert "{" not in question.text and "  " not in question.text
        matching = [p.pattern for p in patterns if p.match(question.text)]
        assert matching
        seen.update(matching)
    assert len(seen) == len(patterns)


def test_domains_share_no_task() -> None:
    math, general = domain_tasks("math"), domain_tasks("general")
    assert math and general and not set(math) & set(general)
    assert {t.name for t in TASKS.values() if t.domain is None} == set(TASKS) - set(math) - set(general)


def test_plural() -> None:
    assert {plural(s): s for s in SHAPES} == PLURALS


def test_yes_and_no_are_about_as_frequent() -> None:
    """1,000 fair coins: 500, give or take five standard deviations of 16."""
    rng = random.Random(0)
    answers = Counter(draw_question("exists", "train", rng)[1].answer for _ in range(1000))
    assert set(answers) == {"yes", "no"} and abs(answers["yes"] - 500) < 80


@pytest.mark.parametrize("name", [n for n in DRAWN if n not in ("spell", "read_expression")])
def test_no_single_answer_is_a_good_guess(name: str) -> None:
    """A model that never looks at the picture must not score well: two thirds at most, by always saying one thing."""
    rng = random.Random(name)
    answers = Counter(draw_question(name, "train", rng)[1].answer for _ in range(300))
    assert max(answers.values()) <= 200
