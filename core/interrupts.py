"""Stops from outside (a job system, a container): SIGTERM becomes the KeyboardInterrupt of Ctrl-C, and none gets lost.

Python drops what is raised in callbacks of imports and of its garbage, and a library may catch everything. The first
is asked again in a moment; the second is heard at the next `check`.
"""

import signal
import sys

AGAIN_S = 0.1  # of processor time after a stop was dropped; the callback has returned by then

_asked = False
_hook = sys.unraisablehook


def listen() -> None:
    """Take stops from now on."""
    global _asked  # noqa: PLW0603  # signals belong to the process
    _asked = False
    sys.unraisablehook = _dropped
    for number in (signal.SIGTERM, signal.SIGPROF):
        signal.signal(number, _interrupt)


def check() -> None:
    """For the steps of long work.

    Raises:
        KeyboardInterrupt: a stop was asked for, and the work went on all the same.
    """
    if _asked:
        raise KeyboardInterrupt


def _interrupt(*_: object) -> None:
    global _asked  # noqa: PLW0603
    _asked = True
    raise KeyboardInterrupt


def _dropped(what: "sys.UnraisableHookArgs") -> None:
    if issubclass(what.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_PROF, AGAIN_S)
    else:
        _hook(what)
