"""Entry of the dashboard, started with `python -m streamlit run dashboard/app.py`: the pages, and a readiness route.

`/_stcore/health` says that the server answers; `/readyz` says what the engine behind it is doing, without any content.
"""

import threading

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dashboard import services


def ready(_request: Request) -> JSONResponse:
    """What the engine is doing; `engine` is null where only recorded runs are shown."""
    workers = sum(t.name == "strata-engine" for t in threading.enumerate())
    engine = {**services.engine().status(), "workers": workers} if services.live() else None
    return JSONResponse({"status": "ready", "engine": engine})


app = st.App("router.py", routes=[Route("/readyz", ready)])
