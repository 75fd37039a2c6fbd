"""One journey through the real app in Chromium: tour, slider, two streamed answers, the regime chart."""

import re
import shutil

import pytest

from core import settings
from tests.browser.conftest import WAIT
from tests.browser.screenshots import settle
from tests.browser.serve import browser_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="Debian package chromium is not installed"),
]


def test_tour_slider_answers_and_regimes(page):
    page.get_by_role("link", name="2 · Choose what to drop").click()
    page.get_by_role("heading", name="What would a budget remove?").wait_for()
    page.wait_for_url(re.compile(r"/prune\?budget=6"))

    slider = page.locator("[data-testid=stSlider] input[type=range]")
    slider.focus()
    slider.press("ArrowRight")
    page.get_by_text(re.compile(r"^7 of \d+ layers")).wait_for()
    page.wait_for_url(re.compile(r"budget=7"))

    page.get_by_role("link", name="Compare these").click()
    page.get_by_role("heading", name="Where does the pruned model go wrong?").wait_for()
    assert page.locator("[data-testid=stSlider] input[type=range]").first.input_value() == "7"
    if any(settings.TINY_DIR.glob("*.safetensors")):
        page.get_by_role("button", name="Ask", exact=True).click()
        page.get_by_text("decoded together").wait_for()
        page.get_by_role("heading", name="First token that differs").wait_for()

    page.get_by_role("link", name="Benchmarks").first.click()
    page.get_by_role("heading", name="How much does each criterion keep?").wait_for()
    page.locator("[data-testid=stVegaLiteChart] svg, [data-testid=stVegaLiteChart] canvas").first.wait_for()
    page.get_by_text("ranking-sensitive").first.wait_for()


def test_a_click_on_a_strip_makes_a_plan_by_hand(page, app):
    page.goto(f"{app}/prune?budget=3&criteria=deepest")
    page.get_by_text(re.compile(r"^3 of \d+ layers")).wait_for()
    cells = page.locator("[data-testid=stVegaLiteChart] svg .mark-rect path")
    cells.first.wait_for()
    settle(page)
    cells.nth(2).click()
    page.wait_for_url(re.compile(r"manual="))
    page.get_by_text("by hand").first.wait_for()
    page.get_by_role("button", name="Undo").click()
    page.wait_for_url(lambda url: "manual=" not in url)


def test_bad_links_do_not_break_a_page(page, app):
    page.goto(f"{app}/prune?budget=abc&criteria=nothing&manual=99")
    page.get_by_text("The link asks for budget = abc").wait_for()
    page.locator("[data-testid=stVegaLiteChart]").first.wait_for()


def test_the_phone_does_not_scroll_sideways(app):
    with browser_page(width=390) as page:
        page.set_default_timeout(WAIT)
        for path in ("", "similarity", "prune", "compare", "benchmarks", "runs"):
            page.goto(f"{app}/{path}")
            settle(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_an_upload_reaches_the_page(page, app, tmp_path):
    from PIL import Image

    picture = tmp_path / "red.png"
    Image.new("RGB", (80, 80), "red").save(picture)
    page.goto(f"{app}/compare")
    page.get_by_role("button", name="upload").or_(page.get_by_role("radio", name="upload")).first.click()
    page.locator("input[type=file]").set_input_files(str(picture))
    page.get_by_text("Ask a question about the picture.").wait_for()
    page.get_by_label("Question").fill("What colour is the square?")
    page.get_by_label("Question").press("Enter")
    page.get_by_text("What colour is the square?").first.wait_for()
