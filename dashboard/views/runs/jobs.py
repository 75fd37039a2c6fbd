"""Background jobs as the Runs page shows them: how far they are, what they said, and what can be done about them."""

from collections.abc import Collection
from typing import Any

import streamlit as st

from core.errors import StrataError
from core.measure.jobs import Job
from dashboard import services, widgets
from dashboard.text import plain

EVERY = 1.0  # seconds between two looks at running jobs
SHOWN = 6
STATUS: dict[str, tuple[Any, str]] = {  # colour and icon
    "running": ("gray", ":material/hourglass:"),
    "done": ("green", ":material/check:"),
    "failed": ("red", ":material/error:"),
    "cancelled": ("yellow", ":material/stop:"),
    "interrupted": ("yellow", ":material/power_off:"),
}
NAMES = {"sweep": "Sweep", "calibrate": "Calibration", "search": "Search"}
NEXT = {  # where to look at what a finished job has made
    "sweep": ("views/benchmarks/page.py", "See the scores"),
    "calibrate": ("views/similarity/page.py", "See the similarities"),
    "search": ("views/benchmarks/page.py", "See the scores"),
}


def running_jobs() -> frozenset[str]:
    with widgets.show_errors():
        return frozenset(j.job_id for j in services.jobs.every_job() if j.status == "running")
    return frozenset()


def render_jobs(watched: Collection[str]) -> None:
    """The last jobs; a fragment that looks again every second while one runs.

    Args:
        watched: jobs that ran when the page was drawn. Once that changes, the page is drawn anew, because a finished
            job changes its tables.
    """
    jobs = services.jobs.every_job()
    if {j.job_id for j in jobs if j.status == "running"} != set(watched):
        st.rerun()
    if not jobs:
        widgets.note(
            "No jobs yet: start one below. It runs in the background and goes on when you leave or close this page."
        )
    notice = st.session_state.pop("job_notice", None)
    if notice:
        st.error(plain(notice), icon=":material/error:")
    for job in jobs[:SHOWN]:
        with st.container(border=True, gap="small"):
            _render_job(job)
    if len(jobs) > SHOWN:
        st.caption(f"{len(jobs) - SHOWN} older jobs are not shown.")


def _render_job(job: Job) -> None:
    kind = job.arguments[0]
    color, icon = STATUS[job.status]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{NAMES.get(kind, plain(kind))}**", width="content")
        st.badge(job.status, icon=icon, color=color)
        st.caption(f"{plain(described(job))} · started {job.started[:16].replace('T', ' ')} UTC", width="stretch")
        if job.status != "done":
            # both at any time: one that takes the other's place moves under the pointer, and the click is lost
            running = job.status == "running"
            buttons = (
                ("cancel", ":material/stop:", running, "Keeps what it has finished."),
                ("resume", ":material/play_arrow:", not running, "Goes on from where it stopped."),
            )
            for what, sign, possible, says in buttons:
                st.button(
                    what.capitalize(),
                    key=f"{what}_{job.job_id}",
                    icon=sign,
                    help=says,
                    disabled=not possible,
                    on_click=_act,
                    args=(what, job),
                )
        elif kind in NEXT:
            page, label = NEXT[kind]
            st.page_link(page, label=label, icon=":material/arrow_forward:", width="content")
    if job.status == "running":
        st.progress(min(1.0, job.done / job.total) if job.total else 0.0, text=plain(said(job)))
    elif job.message:
        st.caption(plain(job.message))
    with st.expander("Command and log", icon=":material/terminal:", key=f"log_{job.job_id}", on_change="rerun") as log:
        if log.open:
            widgets.command(job.command)
            widgets.command(services.jobs.log_end(job.job_id) or "(nothing yet)")


def _act(what: str, job: Job) -> None:
    try:
        {"cancel": services.jobs.cancel, "resume": services.jobs.resume}[what](job.job_id)
    except StrataError as error:  # in a callback nothing can be drawn
        st.session_state["job_notice"] = str(error)


def described(job: Job) -> str:
    """What a job was asked for: "model tiny, criteria uniform, budgets 1-4"."""
    words = " ".join(a.replace(",", " ") if not a.startswith("--") else f"\n{a[2:]}" for a in job.arguments[1:])
    return ", ".join(line.strip() for line in words.split("\n") if line.strip())


def said(job: Job) -> str:
    """How far a job is, in words: "1,200 of 4,800 · 7 plans on tiny-math · about 3 min left"."""
    if not job.total:
        return job.what or "starting …"
    parts = [f"{job.done:,} of {job.total:,}", job.what]
    if job.eta_s is not None:
        parts.append(f"about {job.eta_s / 60:.0f} min left" if job.eta_s >= 90 else f"about {job.eta_s:.0f} s left")
    return " · ".join(p for p in parts if p)
