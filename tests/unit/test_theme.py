"""The theme can be read: contrast of text, marks and controls in both modes (WCAG 2.2: 4.5:1 text, 3:1 graphics)."""

import re
import tomllib
from itertools import product

import pytest

from core import settings
from core.analysis import plan_tables
from core.charts import plans as plan_charts
from core.charts import scores as score_charts
from core.charts import style
from core.records.plan import PruningPlan
from dashboard import charts

THEME = tomllib.loads((settings.ROOT / ".streamlit" / "config.toml").read_text())["theme"]
MODES = ("light", "dark")
TEXT, GRAPHIC = 4.5, 3.0
CAPTION = 0.6  # opacity of Streamlit's captions
TINT = 0.1  # of the primary colour behind a chosen pill or segment


def rgb(color: str) -> tuple[int, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def over(color: str, background: str, opacity: float) -> str:
    """A translucent colour as it is seen on a background."""
    mixed = [round(opacity * c + (1 - opacity) * b) for c, b in zip(rgb(color), rgb(background), strict=True)]
    return "#" + "".join(f"{v:02x}" for v in mixed)


def contrast(a: str, b: str) -> float:
    def luminance(color: str) -> float:
        r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in rgb(color)))
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert over("#000000", "#ffffff", 0.6) == "#666666"


def backgrounds(mode: str) -> tuple[str, str]:
    return THEME[mode]["backgroundColor"], THEME[mode]["secondaryBackgroundColor"]


@pytest.mark.parametrize("mode", MODES)
def test_text_links_and_controls(mode):
    theme = THEME[mode]
    for background in backgrounds(mode):
        for name in ("textColor", "linkColor", "primaryColor", "codeTextColor", "blueColor", "grayColor"):
            assert contrast(theme[name], background) >= TEXT, (name, background)
        assert contrast(over(theme["textColor"], background, CAPTION), background) >= TEXT, ("caption", background)
        tint = over(theme["primaryColor"], background, TINT)
        assert contrast(theme["primaryColor"], tint) >= TEXT, ("chosen pill", background)
    assert contrast(theme["dataframeHeaderTextColor"], theme["dataframeHeaderBackgroundColor"]) >= TEXT
    assert contrast("#ffffff", theme["primaryColor"]) >= GRAPHIC  # the check mark in a box, the knob of a toggle


def test_no_button_writes_white_on_the_primary_colour():
    """It would be 3:1 in the dark mode: no colour is 4.5:1 from white and, on a chosen pill, from a dark background."""
    assert contrast("#ffffff", THEME["dark"]["primaryColor"]) < TEXT
    for path in (settings.ROOT / "dashboard").rglob("*.py"):
        assert not re.search(r"type=[^,)\n]*\"primary\"", path.read_text()), path.name


@pytest.mark.parametrize(("mode", "ink"), list(zip(MODES, style.INKS, strict=True)))
def test_text_in_charts(mode, ink):
    page, _ = backgrounds(mode)
    assert contrast(ink, page) >= TEXT
    for color in score_charts.REGIME_COLORS.values():
        assert contrast(ink, over(color, page, 0.25)) >= TEXT, "a letter in the row of regimes"
    assert contrast(ink, over(style.ACCENT, page, 0.42)) >= TEXT, "a number in the map of overlaps"


def test_the_ink_is_chosen_by_the_background():
    light, dark = style.INKS
    ink = {"expr": f"luminance(background) > 0.4 ? '{light}' : '{dark}'"}
    overlaps = plan_tables.overlaps([PruningPlan("m", 8, (1, 2), "block"), PruningPlan("m", 8, (2, 3), "uniform")])
    config = charts.drawn(plan_charts.overlap_map, overlaps)["config"]
    assert config["axis"]["labelColor"] == config["axis"]["titleColor"] == config["legend"]["labelColor"] == ink


MARKS = {
    **{name: look.color for name, look in style.STYLES.items()},
    **{f"spare {c}": c for c in style.SPARE},
    **plan_charts.PART_COLORS,
    **score_charts.REGIME_COLORS,
    "accent": style.ACCENT,
    "neutral": style.NEUTRAL,
    "high": style.HIGH,
    "low": style.LOW,
}


@pytest.mark.parametrize(("name", "mode"), list(product(MARKS, MODES)))
def test_marks_in_charts(name, mode):
    assert contrast(MARKS[name], backgrounds(mode)[0]) >= GRAPHIC


def test_the_bar_of_a_protected_layer_is_seen_on_every_strip():
    for look in style.STYLES.values():
        assert contrast("#ffffff", look.color) >= GRAPHIC


@pytest.mark.parametrize("mode", MODES)
def test_the_palette_for_other_charts(mode):
    for color in THEME[mode]["chartCategoricalColors"]:
        assert contrast(color, backgrounds(mode)[0]) >= GRAPHIC
