"""From a mark of a curve to an item in Compare in two clicks; and a question that is stopped, left or closed."""

import io
import json
import re
import shutil
import time
import urllib.request

import pytest

from core import settings
from tests.app.synthetic import write_recording
from tests.browser.serve import browser_page, running_app

WAIT = 120_000  # ms; the machine may be busy
# A second for each token, and every token repeats the question.
SLOWLY = """
import dataclasses, time
import core.vlm.engine as engine
def slowly(vlm, plans, prompt, config, answers=engine.stream_answers):
    for event in answers(vlm, plans, prompt, config):
        time.sleep(1)
        yield event if hasattr(event, "answer") else dataclasses.replace(event, text=event.text + prompt.questions[0])
engine.stream_answers = slowly
"""
HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> "
    "![x](http://e.invalid/x.png) $\\frac{1}{2}$ :material/home: :red[hi] http://e.invalid/y " + "w" * 120
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not shutil.which("chromium"), reason="Debian package chromium is not installed"),
]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The real app over the recorded runs that ship, or synthetic ones; its model takes a second for each token."""
    environment = {"STRATA_HOME": str(tmp_path_factory.mktemp("home"))}
    if not (settings.RECORDED_DIR / "tiny.runs.parquet").exists():
        recording = tmp_path_factory.mktemp("recording")
        write_recording(recording)
        environment["STRATA_RECORDED"] = str(recording)
    live = any(settings.TINY_DIR.glob("*.safetensors"))
    with running_app(environment, SLOWLY if live else "") as address:
        yield address


@pytest.fixture
def page(app):
    with browser_page() as opened:
        opened.set_default_timeout(WAIT)
        yield opened
        assert opened.is_closed() or opened.locator("[data-testid=stException]").count() == 0


def idle(app: str) -> bool:
    with urllib.request.urlopen(f"{app}/readyz", timeout=10) as answer:
        engine = json.load(answer)["engine"]
    return engine["active"] == engine["waiting"] == 0


def until(condition, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.2)
    return condition()


def at_rest(page) -> None:
    """Streamlit may lose a change of page that is asked for while a script still runs."""
    page.wait_for_function("document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'")


def test_from_a_curve_to_an_item_in_two_clicks(page, app):
    page.goto(f"{app}/benchmarks?curves=math_aware&curves=uniform")
    mark = page.locator("[data-testid=stVegaLiteChart]").first.locator(
        "svg .mark-symbol path[aria-label*='criterion: uniform; layers dropped: 4;']"
    )
    mark.wait_for()
    page.get_by_text("math_aware at budget 4 drops").wait_for()
    at_rest(page)
    mark.click()  # one
    page.get_by_text("uniform at budget 4 drops").wait_for()
    at_rest(page)
    page.wait_for_url(re.compile("plan=uniform"))
    page.get_by_role("link", name="Compare", exact=True).nth(1).click()  # two; the first is the page's own link
    page.get_by_role("heading", name="Where does the pruned model go wrong?").wait_for()
    page.wait_for_url(re.compile("/compare.*a=uniform|a=manual"))
    assert re.search(r"sample=[0-9a-f]{16}", page.url)
    page.get_by_text("uniform, −4").or_(page.get_by_text("by hand, −4")).first.wait_for()


@pytest.mark.skipif(not any(settings.TINY_DIR.glob("*.safetensors")), reason="the embedded model has no weights")
def test_an_upload_is_asked_and_stopped_and_hostile_text_stays_text(app):
    from PIL import Image

    picture = io.BytesIO()
    Image.new("RGB", (80, 80), "red").save(picture, "PNG")
    with browser_page(width=390) as page:
        page.set_default_timeout(WAIT)
        asked_for: list[str] = []
        page.on("request", lambda request: asked_for.append(request.url))
        page.goto(f"{app}/compare?budget=4&a=deepest&b=uniform")
        page.get_by_role("button", name="upload").or_(page.get_by_role("radio", name="upload")).first.click()
        page.locator("input[type=file]").set_input_files(
            [{"name": "red.png", "mimeType": "image/png", "buffer": picture.getvalue()}]
        )
        page.get_by_label("Question").fill(HOSTILE)
        page.get_by_label("Question").press("Enter")
        page.get_by_role("button", name="Ask", exact=True).click()
        page.get_by_text(re.compile(r"\w*<script>")).nth(1).wait_for()  # the question, and a first token in a pane
        page.get_by_test_id("stMainBlockContainer").get_by_role("button", name="Stop").click()
        page.get_by_text("stopped").first.wait_for()
        assert until(lambda: idle(app)), "a stopped question still runs"
        assert page.locator("[data-testid=stMain] .katex").count() == 0
        assert page.title() != "owned" and not [url for url in asked_for if "e.invalid" in url]
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.locator("[data-testid=stException]").count() == 0


@pytest.mark.skipif(not any(settings.TINY_DIR.glob("*.safetensors")), reason="the embedded model has no weights")
def test_leaving_the_page_or_closing_the_tab_stops_the_work(page, app):
    def ask() -> None:
        page.goto(f"{app}/compare?budget=4&a=deepest&b=uniform")
        page.get_by_role("button", name="Ask", exact=True).click()
        assert until(lambda: not idle(app), 60)

    ask()
    page.get_by_role("link", name="Runs").first.click()
    page.get_by_role("heading", name="What has been measured?").wait_for()
    assert until(lambda: idle(app)), "a question goes on after its page was left"
    ask()
    page.close()
    assert until(lambda: idle(app)), "a question goes on after its tab was closed"
