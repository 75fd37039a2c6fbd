"""Random query strings: whatever a link says, every page renders, and nobody reads a traceback.

`STRATA_QUERY_STRINGS=1000 pytest tests/app/test_query_strings.py` tries more of them.
"""

import os
import random
import string

import pytest

from core.pruning import list_criteria

PAGES = ("overview", "similarity", "prune", "compare", "benchmarks", "runs")
KEYS = [
    "model",
    "quantity",
    "text_tokens",
    "image_tokens",
    "new_tokens",
    "batch",
    "take",
    "budget",
    "criteria",
    "manual",
    "kind",
    "domain",
    "curves",
    "measure",
    "data",
    "by",
    "task",
    "interval",
    "tasks",
    "layer",
    "sample",
    "a",
    "b",
    "picture",
    "question",
    "benchmark",
    "point",
    "nonsense",
]
N = int(os.environ.get("STRATA_QUERY_STRINGS", "60"))

SENSIBLE = [
    *(c.name for c in list_criteria()),
    *(
        [
            "tiny",
            "math",
            "general",
            "all",
            "image",
            "answer",
            "last",
            "score",
            "retention",
            "bands",
            "bars",
            "none",
            "true",
            "false",
            "task",
            "domain",
            "manual",
        ]
    ),
    *map(str, range(-1, 18)),
]
HOSTILE = [
    "",
    " ",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "![x](http://example.invalid/x.png)",
    "$\\frac{1}{0}$",
    "'; DROP TABLE runs; --",
    "\x00\x1f",
    "\u202e\U0001f9e8" * 20,
    "9" * 400,
    "1e309",
    "NaN",
    "-0",
    "0x10",
    "[1,2",
    "null",
    "%00%ff",
    "domain:" * 50,
    "spaced:spaced:mixed",
    "a" * 5000,
]


def random_value(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(SENSIBLE)
    if kind < 0.85:
        return rng.choice(HOSTILE)
    return "".join(rng.choices(string.printable, k=rng.randint(0, 30)))


def random_query(rng: random.Random) -> dict[str, str | list[str]]:
    query: dict[str, str | list[str]] = {}
    for key in rng.sample(KEYS, rng.randint(1, 6)):
        values = [random_value(rng) for _ in range(rng.choice((1, 1, 1, 2, 5)))]
        query[key] = values[0] if len(values) == 1 else values
    return query


@pytest.mark.parametrize("value", ["9" * 400, "1e309", "inf", "NaN"])
def test_a_number_without_end_is_no_number(recorded, engine, open_page, value):
    """Found by 1,000 random links: Streamlit raised OverflowError on an infinite whole number."""
    at = open_page("prune", text_tokens=value)
    assert not at.exception
    assert at.number_input(key="text_tokens").value == 32
    assert "It is a number from 1 to 100000" in at.warning[0].value


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_renders_whatever_the_link_says(recorded, engine, open_page, page):
    for number in range(PAGES.index(page), N, len(PAGES)):
        query = random_query(random.Random(number))
        at = open_page(page, **query)
        assert not at.exception, (number, query, at.exception[0].value)
        assert at.title or at.error or at.warning, (number, query)
