"""LaTeX compared by value: as math-verify would, promptly for hostile text in any thread, never evaluating text."""

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from core.errors import SampleError
from core.records.gold import Gold
from core.scoring.judging import METRICS, score_answer
from core.scoring.latex import latex_in, parse_latex
from core.scoring.values import same_value
from tests.unit.test_architecture import loaded_by

ROOT = Path(__file__).resolve().parents[2]
MANY = 10**5
TOWERS = [
    "9^{9^{9^9}}",
    "9^9^9^9",
    "((9^{99})^{99})^{99}",
    "9^{99999}",
    "10^{999999999}",
    "1E999999999",
    "9!!!!",
    "(9^{9})!",
    "9999999!",
    "(9999999)_{2}",
    "\\sqrt[0.0001]{9}",
    "\\binom{99999999}{9999999}",
    "\\sum_{i=1}^{999999999} i",
    "\\operatorname{zeros}(99999,99999)",
    "\\exp(\\exp(\\exp(99)))",
    "x^{99}|_{x=9}",
]
CODE = ["__import__('os').system('touch pwned')", "().__class__.__bases__[0]", "open('pwned','w')", "lambda: 1"]
LONG = [
    "9" * 10**6,
    "0." + "3" * MANY,
    "1," * (MANY // 2),
    "12 " * (MANY // 3),
    "{" * MANY,
    "(" * 5000 + "1" + ")" * 5000,
    "\\boxed{" * (MANY // 7),
    "\\boxed{" + "{" * 500 + "1" + "}" * 501,
    "\\frac{1}{" * 5000 + "1" + "}" * 5000,
    "\\[ " * 6000,
    "$" * MANY,
    "=" * MANY,
    " " * MANY + "7",
    "<think>" * (MANY // 7),
    "answer is " * (MANY // 10),
    "A or " * (MANY // 5),
    "A. x " * (MANY // 5),
]
# within the bounds, and hard for algebra: math-verify's own comparison of the first with y=3 takes minutes
HARD = ["y=\\sin(((\\pi)(7)+\\sqrt{\\pi})((x+i)((2)^{2})))", "(((((1)))))", "\\{(\\{(1,2)\\})\\}", "(a+b+c)^{4999}"]
HOSTILE = [*TOWERS, *CODE, *[f"\\boxed{{{t}}}" for t in TOWERS + CODE], *LONG, *HARD]
GOLDS = [Gold("7"), Gold("x+1"), Gold("B", ("1", "$2\\sqrt{3}$", "x^2"))]


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("2\\sqrt{3}", "\\sqrt{12}", True),
        ("2\\sqrt{3}", "3\\sqrt{2}", False),
        ("\\frac{1}{3}", "0.333333", True),
        ("\\frac{1}{3}", "0.33", False),
        ("x^2-1", "(x-1)(x+1)", True),
        ("x^2-1", "(x-1)(x+2)", False),
        ("\\sin^2 x", "1-\\cos^2 x", True),
        ("x", "|x|", False),
        ("\\sqrt{x^2}", "x", False),
        ("y=2x+3", "2x-y+3=0", True),
        ("y=2x+3", "y=2x-3", False),
        ("x=3", "3", True),
        ("3", "x=3", True),
        ("x=3", "y=3", False),
        ("x<3", "3>x", True),
        ("x<3", "x \\le 3", False),
        ("[1,2)", "[1,2]", False),
        ("(-\\infty,1)\\cup(2,\\infty)", "(2,\\infty)\\cup(-\\infty,1)", True),
        ("(1,2)", "(2,1)", False),
        ("\\{1,2\\}", "\\{2,1\\}", True),
        ("\\pm 3", "3,-3", True),
        ("e^2", "e^{2}", True),
        ("\\log_2 8", "3", True),
        ("2\\frac{1}{2}", "2.5", True),
    ],
)
def test_it_agrees_with_math_verify(gold: str, answer: str, same: bool) -> None:
    from math_verify import parse, verify

    assert same_value(gold, answer) is same
    assert verify(parse(f"${gold}$"), parse(f"${answer}$")) is same


def test_where_it_means_to_differ_from_math_verify() -> None:
    assert same_value("\\sqrt[3]{-8}", "-2") is True  # the real root, as in school
    assert same_value("2d", "2") is False  # d is no unit here
    assert same_value("blue", "lube") is None  # words are no products
    assert same_value("\\sin 30^\\circ", "0.5") is None  # degrees inside a function: not decided
    assert same_value("3.46", "2\\sqrt{3}", precision=2) is True
    assert same_value("3.46", "2\\sqrt{3}", precision=3) is False


@pytest.mark.parametrize("text", [*TOWERS, *CODE])
def test_towers_and_code_are_no_formulas(text: str) -> None:
    assert latex_in(text) is None


def longest() -> float:
    """CPU seconds of the slowest verdict over all hostile texts and metrics; none of them is correct."""
    slowest = 0.0
    for metric in METRICS:
        for gold in GOLDS if "math" in metric else GOLDS[:1]:
            for text in HOSTILE:
                start = time.thread_time()
                score = score_answer(text, gold, metric)
                slowest = max(slowest, time.thread_time() - start)
                # the only right one says 7 behind a million spaces
                assert not score.correct or text.strip() == "7", (metric, gold, text[:40], score)
    return slowest


def test_hostile_answers_get_a_prompt_verdict_in_any_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert longest() < 5
    parse_latex.cache_clear()
    found: list[float] = []
    thread = threading.Thread(target=lambda: found.append(longest()))
    thread.start()
    thread.join(200)
    assert found and found[0] < 5
    assert not (tmp_path / "pwned").exists()


def test_only_digits_reach_eval() -> None:
    """The parser makes numbers through sympy, which compiles their text: nothing else of an answer is compiled."""
    program = """
import json, sys
from tests.unit.test_math_answers import CODE, HARD, TOWERS
from core.scoring.values import same_value
seen = []
def hook(event, args):
    if event == "compile" and isinstance(args[0], (str, bytes)):
        seen.append(args[0].decode() if isinstance(args[0], bytes) else args[0])
same_value("1.5", "x+1")
sys.addaudithook(hook)
for text in [*CODE, *TOWERS, *HARD, "12.25x", "(1,2]", "\\\\frac{17}{x}", "a(1)", "f(x)", "\\\\text{os}+1", "x_{os}+1"]:
    same_value(text, "x+1")
sys.stdout.write(json.dumps(seen))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=200, check=True
    )
    compiled = {source.strip() for source in json.loads(done.stdout)}
    assert {"Integer (17 )", "Float ('12.25' )"} <= compiled  # the hook sees what is compiled
    texts = compiled - {"from sympy import *"}  # the names that a number is made with
    assert {c for c in texts if not re.fullmatch(r"(Integer|Float) \(['\d.]+ \)", c)} == set()


def test_threads_read_the_same_as_one() -> None:
    parse_latex.cache_clear()
    pairs = [(f"{n}\\sqrt{{{k}}}", f"\\sqrt{{{n * n * k}}}") for n in range(2, 6) for k in (2, 3, 5)]
    found: dict[int, list[bool | None]] = {}

    def work(i: int) -> None:
        found[i] = [same_value(*pair) for pair in pairs]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert found == {i: [True] * len(pairs) for i in range(4)}


# ------------------------------------------------------------------------------------------------ without math-verify


def test_without_math_verify_only_what_needs_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers and texts get the verdict they get elsewhere; LaTeX gets one clear line, never another verdict."""
    parse_latex.cache_clear()
    monkeypatch.setitem(sys.modules, "math_verify", None)
    assert score_answer("so $x = 7$", "7", "math").correct
    assert not score_answer("8", "7", "math").correct
    assert score_answer("$2\\sqrt{3}$", "2\\sqrt{3}", "math").correct
    assert score_answer("\\boxed{B}", Gold("B", ("1", "2")), "choice_or_math").correct
    with pytest.raises(SampleError, match=r"needs math-verify: run pip install") as error:
        score_answer("\\sqrt{12}", "2\\sqrt{3}", "math")
    assert "\n" not in str(error.value)


def test_scoring_is_light_until_latex_is_compared() -> None:
    heavy = {"sympy", "math_verify", "latex2sympy2_extended", "torch", "numpy", "pandas"}
    assert not loaded_by("import core.scoring.judging") & heavy
    plain = "from core.scoring.judging import METRICS, score_answer\nfor m in METRICS: score_answer('it is 7', '7', m)"
    assert not loaded_by(plain) & heavy
    assert "sympy" in loaded_by("from core.scoring.values import same_value\nsame_value('x+1', '1+x')")
