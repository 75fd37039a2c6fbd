"""How long each page takes to run: `python -m dashboard.bench ROUNDS`, read by `python -m core bench ui`."""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

PAGES = ("overview", "similarity", "prune", "compare", "benchmarks", "runs")


def page_times(rounds: int) -> dict[str, dict[str, Any]]:
    """Of each page: seconds of the first run, the median of `rounds` reruns, and how many exceptions it showed."""
    found = {}
    for page in PAGES:
        app = AppTest.from_file(str(Path(__file__).with_name("router.py")), default_timeout=120)
        app.switch_page(f"views/{page}/page.py")
        seconds = []
        for _ in range(rounds + 1):
            started = time.perf_counter()
            app.run()
            seconds.append(time.perf_counter() - started)
        found[page] = {
            "first_s": seconds[0],
            "rerun_s": statistics.median(seconds[1:]),
            "exceptions": len(app.exception),
        }
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(page_times(int(sys.argv[1]))) + "\n")
