"""What visitors do from end to end: the tour, a link sent to somebody else, a checkpoint, a job, the dark theme."""

import re
import shutil
import zipfile

import pytest

from core import settings
from tests.browser.conftest import WAIT
from tests.browser.screenshots import settle
from tests.browser.serve import browser_page

LIVE = any(settings.TINY_DIR.glob("*.safetensors"))
SEEN = """() => ({
  text: document.querySelector('[data-testid=stMain]').innerText,
  charts: [...document.querySelectorAll('[data-testid=stVegaLiteChart] svg')].map(e => e.getAttribute('aria-label')),
  sliders: [...document.querySelectorAll('[data-testid=stSlider] input')].map(e => e.value),
  chosen: [...document.querySelectorAll('[aria-checked=true], [aria-pressed=true]')].map(e => e.innerText),
})"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="Debian package chromium is not installed"),
]


def test_a_newcomer_takes_the_tour(page, app):
    stops = {
        "1 · See what each layer does": "Which layers change their input least?",
        "2 · Choose what to drop": "What would a budget remove?",
        "3 · Watch it answer": "Where does the pruned model go wrong?",
        "4 · Weigh the evidence": "How much does each criterion keep?",
    }
    for step, question in stops.items():
        settle(page)
        page.get_by_role("link", name=step).click()
        page.get_by_role("heading", name=question).wait_for()
        page.locator("[data-testid=stVegaLiteChart] svg, [data-testid=stImage] img").first.wait_for()
        page.get_by_role("link", name="Overview").first.click()
        page.get_by_role("heading", name="Which layers does a vision-language model need?").wait_for()


def change_prune(page):
    page.goto(f"{page.app}/prune")
    settle(page)
    slider = page.locator("[data-testid=stSlider] input[type=range]").first
    slider.focus()
    slider.press("ArrowRight")
    page.wait_for_url(re.compile("budget=5"))
    page.get_by_role("button", name="deepest", exact=True).or_(page.get_by_label("deepest", exact=True)).first.click()
    page.get_by_role("button", name="mixed", exact=True).or_(page.get_by_label("mixed", exact=True)).first.click()
    page.wait_for_url(re.compile("criteria=.*deepest"))


def change_benchmarks(page):
    page.goto(f"{page.app}/benchmarks")
    settle(page)
    page.get_by_text("general", exact=True).first.click()
    page.wait_for_url(re.compile("domain=general"))
    page.get_by_text("retention", exact=True).first.click()
    page.wait_for_url(re.compile("measure=retention"))


def change_compare(page):
    page.goto(f"{page.app}/compare?b=deepest")
    settle(page)
    page.locator("[class*=st-key-pick_] button:visible").nth(3).click()
    page.wait_for_url(re.compile("sample=[0-9a-f]{16}"))


@pytest.mark.parametrize("change", [change_prune, change_benchmarks, change_compare])
def test_a_link_shows_somebody_else_the_same_view(page, app, change):
    page.app = app
    change(page)
    settle(page)
    here = page.evaluate(SEEN)
    fresh = page.context.browser.new_context(viewport=page.viewport_size, color_scheme="light")
    other = fresh.new_page()  # without cookies or a session: it has never been here
    other.set_default_timeout(WAIT)
    other.goto(page.url)
    settle(other)
    there = other.evaluate(SEEN)
    assert len(here["text"]) > 300 and here["sliders"]
    assert there == here


@pytest.mark.skipif(not LIVE, reason="the embedded model has no weights")
def test_from_the_slider_to_a_checkpoint_that_plain_transformers_loads(page, app, tmp_path):
    page.goto(f"{app}/prune?budget=5&criteria=mixed")
    slider = page.locator("[data-testid=stSlider] input[type=range]").first
    slider.focus()
    slider.press("ArrowRight")
    page.get_by_text(re.compile(r"^6 of 16 layers")).wait_for()
    page.get_by_role("button", name="Build the checkpoint (zip)").click()
    button = page.get_by_role("button", name=re.compile(r"Checkpoint \(zip, "))
    button.wait_for()
    with page.expect_download() as fetched:
        button.click()
    assert fetched.value.suggested_filename == "tiny-mixed-6.zip"
    with zipfile.ZipFile(fetched.value.path()) as archive:
        archive.extractall(tmp_path)
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "tiny-mixed-6")
    assert len(model.get_decoder().layers) == 10


@pytest.mark.skipif(not LIVE, reason="the embedded model has no weights")
def test_a_job_survives_a_reload_and_is_cancelled_and_resumed(page, app):
    page.goto(f"{app}/runs")
    settle(page)
    page.get_by_text("Calibration", exact=True).first.click()
    samples = page.locator("[data-testid=stSlider] input[type=range]").first
    samples.wait_for()
    page.get_by_text("Also find the order of greedy removal").click()  # takes minutes
    page.get_by_role("button", name="Start the calibration").click()
    cancel = page.get_by_role("button", name="Cancel", disabled=False)
    resume = page.get_by_role("button", name="Resume", disabled=False)
    cancel.wait_for()
    page.reload()
    page.get_by_text("model tiny, samples 128, seed 1, greedy").wait_for()
    page.get_by_text(re.compile(r"^[1-9][\d,]* of \d+")).first.wait_for()  # by itself: nobody touches the page
    cancel.click()
    resume.wait_for()
    page.get_by_text("finished items are kept").wait_for()
    for _ in range(3):  # each as soon as it can be pressed
        resume.click()
        cancel.click()
    resume.wait_for()


def test_the_dark_theme_is_dark_down_to_the_charts(app):
    with browser_page(theme="dark") as page:
        page.set_default_timeout(WAIT)
        page.goto(app)
        settle(page)
        page.get_by_role("link", name="4 · Weigh the evidence").click()
        page.get_by_role("heading", name="How much does each criterion keep?").wait_for()
        settle(page)
        background = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
        assert max(map(int, re.findall(r"\d+", background)[:3])) < 60
        inks = page.evaluate(
            "[...document.querySelectorAll('[data-testid=stVegaLiteChart] .role-axis-label text')].map("
            "e => getComputedStyle(e).fill)"
        )
        assert inks and all(min(map(int, re.findall(r"\d+", ink)[:3])) > 150 for ink in inks)
