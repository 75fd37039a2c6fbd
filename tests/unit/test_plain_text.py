"""Text of others stands in Markdown as it is."""

import pytest

from dashboard.text import plain


@pytest.mark.parametrize("text", ["math_aware", "Qwen/Qwen3-VL-4B", "n = 500 items", "7 of 16 layers, 2026-11-23"])
def test_ordinary_names_stay_as_they_are(text):
    assert plain(text) == text


@pytest.mark.parametrize(
    ("hostile", "broken"),
    [
        ("![x](https://e.invalid/x.png)", ("![", "](", "https://")),
        ("[x](javascript:alert(1))", ("[x]", "](")),
        ("www.e.invalid and me@e.invalid", ("www.e", "me@e")),
        (":red[danger] :material/home: :smile:", (":red", ":material", ":smile")),
    ],
)
def test_markup_is_taken_apart(hostile, broken):
    shown = plain(hostile)
    assert not [part for part in broken if part in shown]
    assert shown.replace("\\", "").replace("\u2060", "") == hostile  # and nothing of it is lost


@pytest.mark.parametrize("mark", list("`*[]<>$~#|!"))
def test_every_mark_is_escaped(mark):
    assert plain(f"a {mark}b{mark} c") == f"a \\{mark}b\\{mark} c"


def test_one_line_of_bounded_length():
    assert plain("a\n\nb\x00\x1f\tc") == "a b c"
    assert len(plain("a" * 5000)) == 400 and plain("a" * 5000).endswith("…")
    assert plain("x" * 41, 40) == "x" * 39 + "…"
