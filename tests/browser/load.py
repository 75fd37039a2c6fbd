"""Many sessions at once on the real app: `python -m tests.browser.load [--sessions 8] [--actions 50] [--loads 1]`.

Every session does random things that users do: pages, sliders, questions, stops in mid-answer, closed tabs. Prints
latencies and what is left afterwards: exceptions, engine threads, memory.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.browser.serve import running_server
from tests.browser.sessions import Session

# What the app's process does first: on SIGUSR1 it collects, and gives back what the allocator holds without need.
COLLECTING = """
import ctypes, gc, signal
signal.signal(signal.SIGUSR1, lambda *_: (gc.unfreeze(), gc.collect(), gc.freeze(), ctypes.CDLL(None).malloc_trim(0)))
"""
KEPT_S = 130.0  # Streamlit keeps the session of a closed tab for two minutes, so that it could come back
PAGES = ("", "similarity", "prune", "compare", "benchmarks", "runs")


def change_page(session: Session, rng: random.Random) -> tuple[str, float]:
    path = rng.choice(PAGES)
    return f"open {path or 'overview'}", session.open(path)


def move_slider(session: Session, rng: random.Random) -> tuple[str, float]:
    session.open("prune")
    return "move the budget slider", session.set("budget", double_array_value=[float(rng.randint(1, 12))])


def ask(session: Session, rng: random.Random) -> tuple[str, float]:
    session.open("compare")
    session.set("budget", double_array_value=[float(rng.randint(1, 12))])
    return "ask, until the answers are whole", session.click("ask")


def ask_and_stop(session: Session, rng: random.Random) -> tuple[str, float]:
    session.open("compare")
    session.click("ask", until=lambda s: "stop" in s.widgets)
    return "stop, until the page is whole", session.click("stop")


def ask_and_close(session: Session, rng: random.Random) -> tuple[str, float]:
    session.open("compare")
    session.click("ask", until=lambda s: "stop" in s.widgets)
    began = time.perf_counter()
    session.__exit__()
    session.restart()
    session.open()
    return "close the tab, open a new one", time.perf_counter() - began


ACTIONS = (change_page, change_page, move_slider, move_slider, ask, ask_and_stop, ask_and_close)


def run_load(address: str, pid: int, n_sessions: int, n_actions: int, seconds: float, seed: int) -> dict[str, Any]:
    """Warm up with one session, then load; `seconds` > 0 limits the time instead of the number of actions."""
    with Session(address) as first:
        for path in PAGES:
            first.open(path)
        for action in ACTIONS:
            action(first, random.Random(seed))
    before = collected(pid)
    latencies: dict[str, list[float]] = defaultdict(list)
    problems: list[str] = []
    lock = threading.Lock()
    until = time.monotonic() + seconds if seconds else float("inf")

    def user(number: int) -> None:
        rng = random.Random(f"{seed}/{number}")
        try:
            with Session(address) as session:
                session.open()
                for _ in range(n_actions if not seconds else 10**6):
                    if time.monotonic() > until:
                        break
                    name, took = rng.choice(ACTIONS)(session, rng)
                    with lock:
                        latencies[name].append(took)
                with lock:
                    problems.extend(session.exceptions)
        except Exception as error:
            with lock:
                problems.append(f"session {number}: {error!r}")

    users = [threading.Thread(target=user, args=(i,)) for i in range(n_sessions)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join()
    idle_after = wait_until_idle(address)
    at_end = memory(pid)
    time.sleep(KEPT_S)
    with Session(address) as last:  # whose coming makes the server look for what has expired
        last.open()
    return {
        "sessions": n_sessions,
        "actions": sum(map(len, latencies.values())),
        "latencies": {
            name: {"n": len(v), "median_s": np.median(v), "p95_s": np.quantile(v, 0.95)}
            for name, v in sorted(latencies.items())
        },
        "exceptions": problems,
        "engine": ready(address),
        "idle_after_s": idle_after,
        "memory_before_mb": before,
        "memory_at_end_mb": at_end,
        "memory_after_mb": collected(pid),
    }


def wait_until_idle(address: str, timeout: float = 60.0) -> float:
    """Seconds until the engine has nothing left to do."""
    began = time.monotonic()
    while (state := ready(address))["active"] or state["waiting"]:
        if time.monotonic() - began > timeout:
            raise TimeoutError(f"the engine still works for nobody: {state}")
        time.sleep(0.05)
    return time.monotonic() - began


def ready(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}/readyz", timeout=60) as answer:
        return dict(json.load(answer)["engine"])


def memory(pid: int) -> float:
    """Resident memory of a process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def collected(pid: int, settle_s: float = 3.0) -> float:
    """Resident memory after a collection, MB; of an app that was started with COLLECTING."""
    os.kill(pid, signal.SIGUSR1)
    time.sleep(settle_s)
    return memory(pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--actions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--loads", type=int, default=1, help="one after the other, in one process")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as home,
        running_server({"STRATA_HOME": home}, before=COLLECTING) as (
            address,
            pid,
        ),
    ):
        reports = [
            run_load(address, pid, options.sessions, options.actions, options.seconds, options.seed + n)
            for n in range(options.loads)
        ]
    json.dump(reports if options.loads > 1 else reports[0], sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
