"""A stop is heard at once, even where Python drops what a signal raises or where a library catches everything."""

import signal
import subprocess
import sys

import pytest

from core import interrupts, settings

WORK = """
import signal, sys, time
from core import interrupts
from core.cli import main as cli, plans, shared

class Garbage:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

def dropped(*_):
    Garbage()
    until = time.monotonic() + 20
    while time.monotonic() < until:
        pass

def caught(*_):
    try:
        signal.raise_signal(signal.SIGTERM)
    except BaseException:
        pass
    with shared.progress_bar("working") as progress:
        progress(1, 2)

plans.load_model = {work}
sys.argv = ["strata", "calibrate", "--progress-file", {path!r}]
cli.main()
"""


@pytest.mark.parametrize("work", ["dropped", "caught"])
def test_a_stop_that_was_lost_is_heard_all_the_same(work: str, tmp_path) -> None:
    """A job that was cancelled while it imported its libraries went on for minutes: the callback of a lock of the
    import system had dropped the KeyboardInterrupt."""
    script = WORK.format(work=work, path=str(tmp_path / "progress.json"))
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=settings.ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 2 and "stopped; finished items are kept" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert '"status": "cancelled"' in (tmp_path / "progress.json").read_text()


def test_nobody_asked_for_a_stop() -> None:
    interrupts.listen()
    interrupts.check()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        interrupts.check()
    interrupts.listen()  # the next command of this process
    interrupts.check()
