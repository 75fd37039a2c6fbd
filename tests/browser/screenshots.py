"""Pictures of the six pages in both themes: `python -m tests.browser.screenshots [--width 390] [--out DIR]`."""

import argparse
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from core import settings
from tests.browser.serve import browser_page, running_app

THEMES = ("light", "dark")
PAGES = {
    "overview": "",
    "similarity": "similarity?tasks=true",
    "prune": "prune?budget=6",
    "compare": "compare?budget=6",
    "benchmarks": "benchmarks?budget=6",
    "runs": "runs",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--theme", nargs="*", choices=THEMES, default=THEMES)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--out", type=Path, default=settings.ASSETS / "screenshots")
    parser.add_argument("--only", nargs="*", choices=list(PAGES), default=list(PAGES))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    # what ships, not what was measured here
    with (
        tempfile.TemporaryDirectory() as home,
        running_app({"HOME": home, "STRATA_HOME": f"{home}/.cache/strata"}) as address,
    ):
        for theme in options.theme:
            take(address, theme, options.width, options.only, options.out)


def take(address: str, theme: str, width: int, names: Sequence[str], out: Path) -> None:
    suffix = ("" if theme == "light" else "-dark") + ("" if width == 1280 else f"-{width}")
    with browser_page(width, theme) as page:
        for name in names:
            page.goto(f"{address}/{PAGES[name]}")
            settle(page)
            if name == "compare" and page.get_by_role("button", name="Ask", exact=True).count():
                page.get_by_role("button", name="Ask", exact=True).click()
                page.get_by_text("decoded together").first.wait_for(timeout=180_000)
                settle(page)
            height = page.evaluate(
                "Math.max(...[...document.querySelectorAll('[data-testid=stMain], main')].map(e => e.scrollHeight))"
            )
            page.set_viewport_size({"width": width, "height": min(int(height) + 8, 6000)})
            page.wait_for_timeout(1500)
            target = out / f"{name}{suffix}.png"
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            # a third of the size; no colour is more than a tenth off, which median cut would let rare ones be
            small = picture.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=5, dither=Image.Dither.NONE)
            small.save(target, optimize=True)
            page.set_viewport_size({"width": width, "height": 900})
            sys.stderr.write(f"{target}\n")


def settle(page) -> None:
    """Wait until the script has run and the charts are drawn."""
    page.locator("h1, [data-testid=stException]").first.wait_for(timeout=180_000)
    page.wait_for_timeout(500)
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'", timeout=180_000
    )
    page.locator("[data-testid=stSkeleton]").first.wait_for(state="detached", timeout=180_000)
    page.mouse.move(2, 300)
    page.wait_for_timeout(1500)


if __name__ == "__main__":
    main()
