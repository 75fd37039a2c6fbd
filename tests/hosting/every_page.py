"""Render every page with what is installed, and replay an answer: run by an interpreter that has the viewer only."""

import sys
import time
from importlib.util import find_spec

from streamlit.testing.v1 import AppTest

from core import settings

PAGES = ("overview", "similarity", "prune", "compare", "benchmarks", "runs")


def words(at: AppTest) -> str:
    kinds = ("title", "markdown", "caption", "info", "error", "text", "badge")
    return "\n".join(str(e.value) for kind in kinds for e in at.get(kind))


def main() -> None:
    assert find_spec("torch") is None and find_spec("transformers") is None
    for name in PAGES:
        at = AppTest.from_file(str(settings.ROOT / "dashboard" / "router.py"), default_timeout=120).run()
        if name != "overview":
            at = at.switch_page(f"views/{name}/page.py").run()
        assert not at.exception, (name, at.exception)
        assert not at.error, (name, at.error)
        assert "recorded only" in words(at), name
        if name == "compare":
            assert at.button(key="ask").label == "Replay", words(at)
            began = time.monotonic()
            at.button(key="ask").click().run()
            assert not at.exception and not at.error
            read = words(at)
            assert "recorded 20" in read and "cpu" in read and "tokens" in read, read
            assert time.monotonic() - began > 0.02
    assert "torch" not in sys.modules
    sys.stdout.write("every page\n")


if __name__ == "__main__":
    main()
