"""The static report opens from the file system, without network, and its charts are drawn."""

import subprocess
import sys
from pathlib import Path

import pytest

from core import settings
from tests.browser.serve import browser_page

pytest.importorskip("vl_convert")


def test_the_report_opens_from_the_file_system_with_working_charts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "core", "report", "--model", "tiny", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=settings.ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["index.html"]
    problems, asked = [], []
    with browser_page() as page:
        page.context.set_offline(True)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("request", lambda r: asked.append(r.url))
        page.goto(f"file://{tmp_path}/index.html")
        for name in ("score-0", "score-1", "layers"):
            canvas = page.locator(f"#{name} canvas, #{name} svg").first
            canvas.wait_for(timeout=60_000)
            assert canvas.bounding_box()["width"] > 300
        points = page.locator("#score-0 svg .mark-symbol path[aria-roledescription=point]")
        assert points.count() > 50  # of many criteria and budgets, not an empty frame
        drawn = {p.get_attribute("fill") for p in points.all()[:200]}
        assert len(drawn) > 3, drawn
        assert page.locator("body > details").count() == 3
    assert not problems
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
