"""Are two LaTeX answers the same value, set, interval, point or equation? Decided by value.

math-verify reads the LaTeX (`core.scoring.latex`), but its `verify` is not used: it simplifies and solves whatever
differs, which kept it busy for minutes on answers of sixty characters. By value, two expressions are the same if they
agree at fixed points of their variables; floats overflow, but they never hang. `verify` is the yardstick of the tests.
"""

import cmath
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from core.scoring.latex import MAX_DIGITS, latex_in, parse_latex

POINTS = 4  # values that each variable takes, of both signs


def same_value(gold: str, given: str, precision: int | None = None) -> bool | None:
    """Is an answer the same as the gold one, by value? None: one of them is no formula that can be compared.

    Args:
        precision: decimals to which values may differ by rounding; None: six where a decimal is involved, as in
            math-verify, else exactly (to nine digits).
    Raises:
        SampleError: math-verify is not installed.
    """
    gold_latex, given_latex = latex_in(gold), latex_in(given)
    if not gold_latex or not given_latex:
        return None
    wanted, found = parse_latex(gold_latex), parse_latex(given_latex)
    if wanted is None or found is None:
        return None
    try:
        return _same(wanted, found, None if precision is None else 0.5 * 10.0 ** -min(max(precision, 0), MAX_DIGITS))
    except (_IncomparableError, ArithmeticError, ValueError):
        return None


# ------------------------------------------------------------------------------------------------ by value


class _IncomparableError(Exception):
    """An expression with a part that has no value here."""


def _same(gold: Any, given: Any, slack: float | None) -> bool:
    golds, givens = _relations(gold), _relations(given)
    if givens and not golds and all(_kind(r) == "Equality" for r in givens):
        given, givens = givens[-1].rhs, []  # x = 5 answers 5
    elif golds and not givens and all(_kind(r) == "Equality" for r in golds) and _is_name(golds[0].lhs):
        gold, golds = golds[-1].rhs, []  # and 5 answers x = 5
    if golds or givens:
        return _matched(golds, givens, _same_relation)
    kinds = {_kind(gold), _kind(given)}
    if kinds & {"FiniteSet", "Tuple", "Interval", "Union", "EmptySet"}:
        return _same_set(gold, given, slack)
    return _same_number(gold, given, slack)


def _same_set(gold: Any, given: Any, slack: float | None) -> bool:
    def same(a: Any, b: Any) -> bool:
        return _same(a, b, slack)

    if _kind(gold) == _kind(given) == "Interval":
        flags = (gold.left_open, gold.right_open) == (given.left_open, given.right_open)
        return bool(flags) and same(gold.start, given.start) and same(gold.end, given.end)
    if _kind(gold) == _kind(given) and _kind(gold) in ("FiniteSet", "Union", "EmptySet"):
        return _matched(gold.args, given.args, same)
    a, b = _in_order(gold), _in_order(given)  # a point: (1, 2) is read as an open interval
    return bool(a) and len(a) == len(b) and all(map(same, a, b))


def _in_order(node: Any) -> Sequence[Any]:
    if _kind(node) == "Interval":
        return [node.start, node.end] if node.left_open and node.right_open else []
    return getattr(node, "_unsorted_args", node.args) if _kind(node) in ("FiniteSet", "Tuple") else []


def _matched(golds: Sequence[Any], givens: Sequence[Any], same: Callable[[Any, Any], bool]) -> bool:
    """Does each gold element have one of its own among the given ones?"""
    left = list(givens)
    for gold in golds:
        twin = next((i for i, given in enumerate(left) if same(gold, given)), None)
        if twin is None:
            return False
        del left[twin]
    return not left


def _same_relation(gold: Any, given: Any) -> bool:
    """y = 2x + 3 is 2x - y + 3 = 0 and -2x + y > 3 is 2x - y < -3: the same but for a factor."""
    (sign, a), (other, b) = _difference(gold), _difference(given)
    if sign != other:
        return False
    pairs = [p for p in zip(_values(a), _values(b), strict=True) if None not in p]
    top = max(pairs, key=lambda p: abs(p[0] or 0), default=(0, 0))
    if not top[0] or not top[1]:
        return False
    factor = top[1] / top[0]
    ordered = sign in ("Equality", "Unequality") or (factor.real > 0 and abs(factor.imag) < 1e-9)
    return ordered and all(_close((x or 0) * factor, y or 0, 0.0) for x, y in pairs)


def _difference(relation: Any) -> tuple[str, list[tuple[int, Any]]]:
    kind, left, right = _kind(relation), relation.lhs, relation.rhs
    if kind in ("StrictGreaterThan", "GreaterThan"):
        kind, left, right = kind.replace("GreaterThan", "LessThan"), right, left
    return kind, [(1, left), (-1, right)]


def _same_number(gold: Any, given: Any, slack: float | None) -> bool:
    if slack is None:
        has_decimals = any(_kind(leaf) == "Float" for node in (gold, given) for leaf in node.atoms())
        slack = 5e-7 if has_decimals else 0.0
    pairs = list(zip(_values([(1, gold)]), _values([(1, given)]), strict=True))
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not known:
        raise _IncomparableError
    return all(_close(a, b, slack) for a, b in known)


def _close(a: complex, b: complex, slack: float) -> bool:
    return a == b or abs(a - b) <= slack + 1e-9 * max(abs(a), abs(b)) + 1e-12


def _values(terms: list[tuple[int, Any]]) -> list[complex | None]:
    """A sum at each point, None where it is not defined (or too large)."""
    found: list[complex | None] = []
    for k in range(POINTS):
        try:
            value = sum((sign * _value(node, k) for sign, node in terms), 0j)
            found.append(None if cmath.isnan(value) else value)
        except (ArithmeticError, ValueError):
            found.append(None)
    return found


def _symbol(name: str, k: int) -> complex:
    """What a variable is at a point: between 0.5 and 2.5, of either sign, from its name alone."""
    code = zlib.crc32(name.encode())
    return (0.5 + 2 * (code * (k + 1) * 0.6180339887 % 1)) * (-1 if (code + k) % 2 else 1)


_CONSTANTS: dict[str, complex] = {"Pi": math.pi, "Exp1": math.e, "ImaginaryUnit": 1j, "Infinity": math.inf}
_FUNCTIONS: dict[str, Callable[..., complex]] = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "asin": cmath.asin, "acos": cmath.acos, "atan": cmath.atan,
    "cot": lambda z: 1 / cmath.tan(z), "sec": lambda z: 1 / cmath.cos(z), "csc": lambda z: 1 / cmath.sin(z),
    "log": cmath.log, "exp": cmath.exp, "Abs": abs, "factorial": lambda z: math.gamma(z.real + 1),
    "UnevaluatedExpr": lambda z: z,
}  # fmt: skip


def _value(node: Any, k: int) -> complex:
    kind = _kind(node)
    if kind in _CONSTANTS:
        return _CONSTANTS[kind]
    if kind == "NegativeInfinity":
        return -math.inf
    if node.is_Number:
        return complex(float(node))
    if node.is_Symbol:
        return _symbol(node.name, k)
    if kind == "Pow":
        return _power(_value(node.base, k), _value(node.exp, k), node.exp)
    parts = [_value(arg, k) for arg in node.args]
    if kind == "Add":
        return sum(parts, 0j)
    if kind == "Mul":
        return complex(math.prod(parts, start=1 + 0j))
    if kind in _FUNCTIONS:
        return complex(_FUNCTIONS[kind](*parts))
    if kind == "UndefinedFunction" or getattr(node, "is_Function", False):
        return complex(math.prod(parts, start=_symbol(kind, k)))  # f(x); a(1) is read as one, too
    raise _IncomparableError


def _power(base: complex, exponent: complex, written: Any) -> complex:
    if base.imag == 0 and base.real < 0 and written.is_Rational and written.q % 2 and written.q > 1:
        return complex((-1) ** (written.p % 2) * abs(base.real) ** exponent.real)  # the real root of -8 is -2
    return base**exponent


def _kind(node: Any) -> str:
    return str(type(node).__name__)


def _relations(node: Any) -> list[Any]:
    """A relation, or the links of a chain such as 1 < x < 2."""
    links = getattr(node, "_unsorted_args", []) if _kind(node) == "And" else [node]
    return list(links) if links and all(getattr(link, "is_Relational", False) for link in links) else []


def _is_name(node: Any) -> bool:
    return all(leaf.is_Symbol for leaf in node.atoms())
