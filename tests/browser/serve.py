"""The real app on a free port, and a headless Chromium to look at it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page, sync_playwright

from core import settings

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_app(environment: dict[str, str] | None = None, before: str = "") -> Iterator[str]:
    """The address of the app, started as a user would start it."""
    with running_server(environment, before=before) as (address, _pid):
        yield address


@contextmanager
def running_server(
    environment: dict[str, str] | None = None, timeout: float = 180.0, before: str = ""
) -> Iterator[tuple[str, int]]:
    """Start `streamlit run`, wait until it is healthy, and stop it at the end: (address, process id).

    Args:
        before: Python code that its process runs first.
    """
    port = free_port()
    started = ["-c", f"{before}\nfrom streamlit.web.cli import main; main()"] if before else ["-m", "streamlit"]
    command = [sys.executable, *started, "run", "dashboard/app.py"]
    command += ["--server.address=127.0.0.1", f"--server.port={port}"]
    as_shipped = {"MALLOC_ARENA_MAX": "2"}  # as in Makefile, Procfile and Dockerfile
    process = subprocess.Popen(command, cwd=settings.ROOT, env={**os.environ, **as_shipped, **(environment or {})})
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + timeout
        while True:
            try:
                with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5):
                    break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.5)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def browser_page(width: int = 1280, theme: Any = "light", height: int = 900) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        try:
            yield context.new_page()
        finally:
            browser.close()
