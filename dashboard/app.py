"""Entry of the dashboard, started with `python -m streamlit run dashboard/app.py`: the pages, and a readiness route.

`/_stcore/health` says that the server answers; `/readyz` says what the engine behind it is doing, without any content.
"""

import threading

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from core import settings
from core.log import log_to_stderr
from dashboard import services


def ready(_request: Request) -> JSONResponse:
    """What the engine is doing; `engine` is null where only recorded runs are shown. 503: no further question fits."""
    mode = "replay" if settings.replay() else "demo" if settings.demo() else "live"
    if not services.models.live():
        return JSONResponse({"status": "ready", "mode": mode, "engine": None})
    workers = sum(t.name == "strata-engine" for t in threading.enumerate())
    engine = {**services.models.engine().status(), "workers": workers}
    busy = engine["waiting"] >= engine["queue"]
    return JSONResponse({"status": "busy" if busy else "ready", "mode": mode, "engine": engine}, 503 if busy else 200)


log_to_stderr()
app = st.App("router.py", routes=[Route("/readyz", ready)])
