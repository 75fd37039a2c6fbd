"""The one look of all charts: colours, marks and dashes of criteria and domains, the ink of text.

Colours are mid-tones that keep a contrast of at least 3:1 on the light and on the dark background; every distinction is
made a second time by shape, dash, outline or text. No mid-tone reaches the 4.5:1 of text on both, so text has one ink
for each (`INK`, chosen in the browser). Grid and background come from the theme. Nothing here knows Streamlit.
"""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import altair as alt

Drawn = alt.Chart | alt.LayerChart | alt.FacetChart


ACCENT = "#2b8ca4"
NEUTRAL = "#7b8894"
INKS = ("#3d4a55", "#c9d2d9")  # of text, on the light and on the dark background
INK = alt.ExprRef(f"luminance(background) > 0.4 ? '{INKS[0]}' : '{INKS[1]}'")
SCALE: Final = "cividis"
ROW = 34  # px, the height of a heatmap row or a strip
HIGH, LOW = "#c8553d", "#2f78b7"  # the two ends of the diverging scale


@dataclass(frozen=True)
class Style:
    """How a criterion looks on every page."""

    color: str
    dash: tuple[int, ...]
    shape: str


SOLID, DASHED, DOTTED, DOT_DASH = (1, 0), (6, 4), (2, 3), (8, 3, 2, 3)
STYLES = {
    "math_aware": Style("#c8553d", SOLID, "circle"),
    "non_math_aware": Style("#0f7c95", SOLID, "square"),
    "mixed": Style("#8a63b5", SOLID, "diamond"),
    "random": Style(NEUTRAL, DOTTED, "stroke"),
    "uniform": Style("#a37a00", DASHED, "triangle-up"),
    "deepest": Style("#3f74c9", DASHED, "triangle-down"),
    "block": Style("#4f8a3c", DASHED, "cross"),
    "interlace": Style("#c0487f", DOT_DASH, "triangle-right"),
    "shortgpt": Style("#8a6d4b", DOT_DASH, "triangle-left"),
    "greedy": Style("#5b6ee1", DOT_DASH, "wedge"),
    "search": Style("#00896b", SOLID, "arrow"),
    "manual": Style("#66788a", SOLID, "triangle"),
    "full": Style("#66788a", SOLID, "circle"),
}
SPARE = ("#b0643c", "#5c7f9e", "#94558d", "#6b8e23", "#c2577a", "#477d7d")


def style_of(criterion: str) -> Style:
    """The fixed look of a criterion; one that has none of its own gets one that depends on its name only."""
    if criterion in STYLES:
        return STYLES[criterion]
    if criterion.startswith("search:"):
        return STYLES["search"]
    base = criterion.rpartition(":")[2]
    if base in STYLES:  # "spaced:math_aware" is a variant of math_aware
        return Style(STYLES[base].color, DOT_DASH, "wedge")
    if searched(criterion):
        return Style(STYLES["search"].color, DOTTED, {"math": "arrow", "general": "wedge"}.get(base, "triangle-up"))
    digest = hashlib.sha256(criterion.encode()).digest()
    return Style(SPARE[digest[0] % len(SPARE)], DOT_DASH, "arrow")


def searched(criterion: str) -> bool:
    """Plans that a search found are marks without a line: each was looked for by itself."""
    return criterion.partition(":")[0] == "search"


GLYPHS = {  # of the marks, in a box of 12 by 12 around (0, 0), as Vega draws them
    "circle": '<circle r="4.5"/>',
    "square": '<rect x="-4" y="-4" width="8" height="8"/>',
    "diamond": '<path d="M0,-5.5L5,0L0,5.5L-5,0Z"/>',
    "cross": '<path d="M-5,-1.7H-1.7V-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5Z"/>',
    "triangle-up": '<path d="M0,-5L5,4.5H-5Z"/>',
    "triangle-down": '<path d="M0,5L5,-4.5H-5Z"/>',
    "triangle-right": '<path d="M5,0L-4.5,5V-5Z"/>',
    "triangle-left": '<path d="M-5,0L4.5,5V-5Z"/>',
    "wedge": '<path d="M0,-5.5L2.5,5.5H-2.5Z"/>',
    "arrow": '<path d="M0,-5.5L5,0H1.5V5.5H-1.5V0H-5Z"/>',
    "stroke": "",
}


def legend_key(criterion: str) -> str:
    """The line and the mark of a criterion as a small SVG (Vega would split colour and shape in two legends)."""
    style = style_of(criterion)
    dash = ",".join(map(str, style.dash)) if style.dash != SOLID else "none"
    line = f'<path d="M-16,0H16" stroke="{style.color}" stroke-width="2" stroke-dasharray="{dash}"/>'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="32" height="12" viewBox="-16 -6 32 12">'
        f"{'' if searched(criterion) else line}"
        f'<g fill="{style.color}">{GLYPHS.get(style.shape, GLYPHS["circle"])}</g></svg>'
    )


def layer_axis(title: str | None = "decoder layer", field: str = "layer") -> alt.X:
    return alt.X(f"{field}:O", title=title, axis=alt.Axis(labelAngle=0, labelPadding=6, titlePadding=8))


def domain_colors(domains: Sequence[str]) -> list[str]:
    """math is warm and general is cool wherever domains are coloured; a user's own domains follow."""
    known = {"math": HIGH, "general": LOW}
    rest = itertools.cycle(SPARE)
    return [known.get(d) or next(rest) for d in domains]
