"""How long a user waits, warm: `python -m tests.browser.latency [--rounds 30] [--json]`.

In the browser, from the key or the mouse button going down to the frame that shows the result; at the server, from
the rerun request to the end of the script. Medians and 95th percentiles.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
from playwright.sync_api import Page
from rich.console import Console
from rich.table import Table

from tests.browser.load import ready
from tests.browser.serve import browser_page, running_app
from tests.browser.sessions import Session

PAGES = {
    "Overview": "",
    "Similarity": "similarity",
    "Prune": "prune",
    "Compare": "compare",
    "Benchmarks": "benchmarks",
    "Runs": "runs",
}
WAIT = 120_000  # ms
CLOCK = """() => {
  window.began = null;
  for (const kind of ['keydown', 'mousedown'])
    addEventListener(kind, () => { window.began ??= performance.now(); }, {capture: true, once: true});
}"""
IDLE = "document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"
PANES = "[...document.querySelectorAll('[data-testid=stColumn] [data-testid=stText]')].map(e => e.innerText)"
CROSSES = "[...document.querySelectorAll('[data-testid=stVegaLiteChart] svg text')].filter(e => e.textContent === '×')"


def timed(page: Page, act: Callable[[], object], done: str) -> float:
    """Seconds from the input event that `act` causes until `done` (JavaScript) is true in an animation frame."""
    page.evaluate(CLOCK)
    act()
    found = page.wait_for_function(f"() => ({done}) && performance.now() - window.began", polling="raf", timeout=WAIT)
    return float(found.json_value()) / 1000


def in_browser(address: str, rounds: int) -> dict[str, list[float]]:
    """Page switches, the budget slider and first tokens, each `rounds` times after some that are not counted."""
    found: dict[str, list[float]] = {}
    with browser_page() as page:
        page.set_default_timeout(WAIT)
        page.goto(address)
        page.get_by_role("heading", level=1).wait_for()
        switches = []
        for n in range(rounds + len(PAGES)):
            name = list(PAGES)[(n + 1) % len(PAGES)]
            link = page.locator("header, [data-testid=stHeader]").get_by_role("link", name=name).first
            heading = json.dumps(page.locator("h1").first.inner_text())  # of the page that is left
            other = f"document.querySelector('h1') && document.querySelector('h1').innerText !== {heading}"
            at = f"location.pathname === '/{PAGES[name]}' && {other} && {IDLE}"
            switches.append(timed(page, link.click, at))
        found["page switch"] = switches[len(PAGES) :]

        page.goto(f"{address}/prune?budget=4")
        page.wait_for_function(f"() => {CROSSES}.length === 16", timeout=WAIT)  # four plans
        slider = page.locator("[data-testid=stSlider] input[type=range]").first
        slider.focus()
        moves = []
        for n in range(rounds + 2):
            up = n % 2 == 0
            wanted = 20 if up else 16
            press = "ArrowRight" if up else "ArrowLeft"
            moves.append(timed(page, lambda key=press: slider.press(key), f"{CROSSES}.length === {wanted} && {IDLE}"))
        found["slider release to redrawn charts"] = moves[2:]

        firsts = []
        for _ in range(rounds + 1):
            page.goto(f"{address}/compare?budget=4&b=deepest")
            page.wait_for_function(f"() => {PANES}.length === 3 && {IDLE}", timeout=WAIT)
            ask = page.get_by_role("button", name="Ask", exact=True)
            firsts.append(timed(page, ask.click, f"{PANES}.some(t => t !== 'not asked yet' && t !== '…' && t.trim())"))
        found["first token after pressing Ask"] = firsts[1:]
    return found


def stop_to_idle(session: Session) -> float | None:
    """Seconds from pressing Stop, as soon as it is there, until the engine has nothing to do; None: it had finished."""
    session.open("compare", budget="4", b="deepest")
    session.click("ask", until=lambda s: "stop" in s.widgets)
    if not ready(session.address)["active"]:
        session.read()
        return None
    with ThreadPoolExecutor(1) as apart:
        began = time.perf_counter()
        pressed = apart.submit(session.click, "stop")
        while ready(session.address)["active"]:
            time.sleep(0.002)
        seconds = time.perf_counter() - began
        pressed.result()
    return seconds


def at_server(address: str, rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"page switch": [], "slider release to redrawn charts": []}
    with Session(address) as session:
        for n in range(rounds + len(PAGES)):
            seconds = session.open(list(PAGES.values())[n % len(PAGES)])
            if n >= len(PAGES):
                found["page switch"].append(seconds)
        session.open("prune")
        for n in range(rounds + 1):
            seconds = session.set("budget", double_array_value=[float(4 + n % 2)])
            if n:
                found["slider release to redrawn charts"].append(seconds)
        stops = (stop_to_idle(session) for _ in range(4 * rounds))
        found["stop to idle"] = list(islice((s for s in stops if s is not None), rounds))
    return found


def measure(rounds: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as home, running_app({"STRATA_HOME": home}) as address:
        places = {"server": at_server(address, rounds), "browser": in_browser(address, rounds)}
    return [
        {
            "what": what,
            "where": where,
            "n": len(seconds),
            "median_ms": round(1000 * float(np.median(seconds))),
            "p95_ms": round(1000 * float(np.quantile(seconds, 0.95))),
        }
        for where, found in places.items()
        for what, seconds in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.rounds)
    if options.json:
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
