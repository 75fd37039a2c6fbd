"""Questions about drawn scenes: each task asks in several wordings and knows the exact answer.

Tasks describe themselves (`@task`); their `domain` is `math`, `general`, or `None` for exercises that only training
uses. Multi-step math answers write their steps out, so that a side-by-side shows where a pruned model goes wrong.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from core.scenes.scenes import COLORS, SHAPES, Bar, Clock, Scene, Shape, TextLine, random_expression, solve


@dataclass(frozen=True)
class Question:
    task: str
    text: str
    answer: str


Fields = dict[str, object]
Asker = Callable[[Scene, random.Random], tuple[Fields, str] | None]


@dataclass(frozen=True)
class Task:
    """One kind of question: the scenes it can be asked about, its wordings, and the function that answers it."""

    name: str
    domain: str | None
    scene: str
    wordings: tuple[str, ...]
    ask: Asker

    def question(self, scene: Scene, rng: random.Random) -> Question | None:
        """A question about the scene, or None where the scene does not allow it."""
        asked = self.ask(scene, rng)
        if asked is None:
            return None
        fields, answer = asked
        return Question(self.name, rng.choice(self.wordings).format(**fields), answer)


TASKS: dict[str, Task] = {}


def task(name: str, domain: str | None, scene: str, *wordings: str) -> Callable[[Asker], Asker]:
    def register(ask: Asker) -> Asker:
        TASKS[name] = Task(name, domain, scene, wordings, ask)
        return ask

    return register


def domain_tasks(domain: str) -> tuple[str, ...]:
    return tuple(t.name for t in TASKS.values() if t.domain == domain)


def _step(a: int, op: str, b: int, result: int) -> str:
    return f"{a} {op} {b} = {result}"


def _shapes(scene: Scene) -> list[Shape]:
    return [m for m in scene.marks if isinstance(m, Shape)]


# ------------------------------------------------------------------------------------------------ math


@task("count", "math", "crowd", "How many shapes are there?", "Count the shapes.", "What is the number of shapes?")
def _count(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    return {}, str(len(scene.marks))


@task("count_kind", "math", "crowd", "How many {kind} are there?", "Count the {kind}.", "What is the number of {kind}?")
def _count_kind(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    marks = _shapes(scene)
    if rng.random() < 0.5:
        shape = rng.choice(SHAPES) if rng.random() < 0.15 else rng.choice(marks).shape
        return {"kind": plural(shape)}, str(sum(m.shape == shape for m in marks))
    color = rng.choice(list(COLORS)) if rng.random() < 0.15 else rng.choice(marks).color
    return {"kind": f"{color} shapes"}, str(sum(m.color == color for m in marks))


def plural(shape: str) -> str:
    return shape + ("es" if shape == "cross" else "s")


@task(
    "how_many_more",
    "math",
    "crowd",
    "How many more {a} than {b}?",
    "How many more {a} are there than {b}?",
    "By how many do the {a} outnumber the {b}?",
)
def _how_many_more(scene: Scene, rng: random.Random) -> tuple[Fields, str] | None:
    counts = Counter(m.shape for m in _shapes(scene))
    pairs = [(a, b) for a in counts for b in counts if counts[a] > counts[b]]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    return {"a": plural(a), "b": plural(b)}, _step(counts[a], "-", counts[b], counts[a] - counts[b])


def _line(scene: Scene, rng: random.Random, *kinds: str) -> tuple[Fields, TextLine] | None:
    lines = [m for m in scene.marks if isinstance(m, TextLine) and m.kind in kinds]
    if not lines:
        return None
    line = rng.choice(lines)
    alone = len(scene.marks) == 1
    return {"which": "" if alone and rng.random() < 0.7 else f"{line.color} "}, line


def steps_text(expression: str) -> str:
    """Every step written out: "7 + 8 = 15, 15 - 2 = 13"."""
    return ", ".join(_step(*step) for step in solve(expression))


def _expression(kind: str) -> Asker:
    def ask(scene: Scene, rng: random.Random) -> tuple[Fields, str] | None:
        found = _line(scene, rng, kind)
        return None if found is None else (found[0], steps_text(found[1].text))

    return ask


EXPRESSION_WORDINGS = (
    "What is the result of the {which}expression?",
    "Work out the {which}expression.",
    "Calculate the {which}expression.",
)
task("expression_1", "math", "lines", *EXPRESSION_WORDINGS)(_expression("expr1"))
task("expression_2", "math", "lines", *EXPRESSION_WORDINGS)(_expression("expr2"))


def _bar_pair(scene: Scene, rng: random.Random) -> tuple[Bar, Bar]:
    a, b = rng.sample([m for m in scene.marks if isinstance(m, Bar)], 2)
    return a, b


@task(
    "bar_value",
    "math",
    "bars",
    "What is the value of the {a} bar?",
    "How high is the {a} bar?",
    "Read the {a} bar.",
)
def _bar_value(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    bar, _ = _bar_pair(scene, rng)
    return {"a": bar.color}, str(bar.value)


@task(
    "bar_sum",
    "math",
    "bars",
    "What is the sum of the {a} bar and the {b} bar?",
    "Add the {a} bar and the {b} bar.",
    "How much are the {a} bar and the {b} bar together?",
)
def _bar_sum(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    a, b = _bar_pair(scene, rng)
    return {"a": a.color, "b": b.color}, _step(a.value, "+", b.value, a.value + b.value)


@task(
    "bar_difference",
    "math",
    "bars",
    "What is the difference between the {a} bar and the {b} bar?",
    "How much higher is the {a} bar than the {b} bar?",
    "Subtract the {b} bar from the {a} bar.",
)
def _bar_difference(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    a, b = sorted(_bar_pair(scene, rng), key=lambda bar: -bar.value)
    return {"a": a.color, "b": b.color}, _step(a.value, "-", b.value, a.value - b.value)


def _the_clock(scene: Scene) -> Clock:
    (clock,) = (m for m in scene.marks if isinstance(m, Clock))
    return clock


@task("clock", "math", "clock", "What time is it?", "What time does the clock show?", "Read the clock.")
def _clock(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    clock = _the_clock(scene)
    return {}, f"{clock.hour}:{clock.minute:02d}"


# ------------------------------------------------------------------------------------------------ general


@task(
    "color_of_shape",
    "general",
    "layout",
    "What colour is the {shape}?",
    "Which colour does the {shape} have?",
    "Name the colour of the {shape}.",
)
def _color_of_shape(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    m = rng.choice(_shapes(scene))
    return {"shape": m.shape}, m.color


@task(
    "shape_of_color",
    "general",
    "layout",
    "What shape is {color}?",
    "Which shape is the {color} one?",
    "Name the {color} shape.",
)
def _shape_of_color(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    m = rng.choice(_shapes(scene))
    return {"color": m.color}, m.shape


@task("exists", "general", "layout", "Is there a {what}?", "Do you see a {what}?", "Does the picture show a {what}?")
def _exists(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    marks = _shapes(scene)
    present = {m.name for m in marks}
    if rng.random() < 0.5:
        return {"what": rng.choice(sorted(present))}, "yes"
    # Half of the absent ones combine a colour and a shape that are both there, so that seeing each is not enough.
    mixed = sorted({f"{a.color} {b.shape}" for a in marks for b in marks} - present)
    anything = sorted({f"{c} {s}" for c in COLORS for s in SHAPES} - present)
    return {"what": rng.choice(mixed if rng.random() < 0.5 else anything)}, "no"


PLACES = (
    ("top left", "top", "top right"),
    ("left", "center", "right"),
    ("bottom left", "bottom", "bottom right"),
)


@task(
    "where",
    "general",
    "layout",
    "Where is the {shape}?",
    "In which place is the {shape}?",
    "Say where the {shape} is.",
)
def _where(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    m = rng.choice(_shapes(scene))
    return {"shape": m.shape}, PLACES[m.cell[0]][m.cell[1]]


@task(
    "beside",
    "general",
    "layout",
    "What is {side} of the {shape}?",
    "Which shape is {side} of the {shape}?",
    "Name what is {side} of the {shape}.",
)
def _beside(scene: Scene, rng: random.Random) -> tuple[Fields, str] | None:
    marks = sorted(_shapes(scene), key=lambda m: m.cell)
    neighbours = [(a, b) for a, b in itertools.pairwise(marks) if a.cell[0] == b.cell[0]]
    if not neighbours:
        return None
    a, b = rng.choice(neighbours)
    if rng.random() < 0.5:
        return {"side": "left", "shape": b.shape}, a.name
    return {"side": "right", "shape": a.shape}, b.name


@task(
    "extreme",
    "general",
    "layout",
    "Which shape is the {which}?",
    "What is the {which} shape?",
    "Name the {which} shape.",
)
def _extreme(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    marks = sorted(_shapes(scene), key=lambda m: m.radius)
    if rng.random() < 0.5:
        return {"which": "largest"}, marks[-1].name
    return {"which": "smallest"}, marks[0].name


@task(
    "read_word",
    "general",
    "lines",
    "What does the {which}word say?",
    "Read the {which}word.",
    "Which {which}word is written here?",
)
def _read_word(scene: Scene, rng: random.Random) -> tuple[Fields, str] | None:
    found = _line(scene, rng, "word")
    return None if found is None else (found[0], found[1].text)


# ------------------------------------------------------------------------------------------------ exercises


@task(
    "spell", None, "lines", "Spell the {which}letters.", "Read the {which}letters.", "Which {which}letters are these?"
)
def _spell(scene: Scene, rng: random.Random) -> tuple[Fields, str] | None:
    found = _line(scene, rng, "letters")
    return None if found is None else (found[0], found[1].text)


@task(
    "read_expression",
    None,
    "lines",
    "Read the {which}expression aloud.",
    "Write down the {which}expression.",
    "Copy the {which}expression.",
)
def _read_expression(scene: Scene, rng: random.Random) -> tuple[Fields, str] | None:
    found = _line(scene, rng, "expr1", "expr2")
    if found is None:
        return None
    text = found[1].text
    for op in "+-×":
        text = text.replace(op, f" {op} ")
    return found[0], text


@task("clock_hand", None, "clock", "Where does the {hand} hand point?", "What does the {hand} hand show?")
def _clock_hand(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    clock = _the_clock(scene)
    if rng.random() < 0.5:
        return {"hand": "long"}, f"{clock.minute:02d}"
    return {"hand": "short"}, str(clock.hour)


@task("arithmetic", None, "any", "What is {text}?", "Calculate {text}.", "How much is {text}?")
def _arithmetic(scene: Scene, rng: random.Random) -> tuple[Fields, str]:
    """Text-only sums: the arithmetic of the expressions, learnt without having to read a picture."""
    text = random_expression(rng, rng.choice((1, 2, 2)))
    shown = text
    for op in "+-×":
        shown = shown.replace(op, f" {op} ")
    return {"text": shown}, steps_text(text)
