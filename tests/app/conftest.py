"""Fixtures of the page tests: a synthetic recording, an empty user folder, and an engine that answers from a script."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core import settings
from core.errors import StrataError
from core.records.answers import Answer, PaneDone, TokenEvent
from dashboard import services
from tests.app.synthetic import SPEC, write_recording

APP = str(settings.ROOT / "dashboard" / "router.py")


@dataclass
class Divergence:
    tokens: tuple[str, ...]
    full_nll: tuple[float, ...]
    plan_nll: tuple[float, ...]
    kl: tuple[float, ...]


@dataclass
class Compared:
    pane: int
    divergence: Divergence


@dataclass
class FakeTicket:
    script: list[Any]
    cancelled: bool = False

    position: int = 0
    read: int = 0  # events that the page has taken

    def events(self) -> Iterator[Any]:
        for event in self.script:
            if isinstance(event, Exception):
                raise event
            self.read += 1
            yield event

    def beats(self, every: float) -> Iterator[Any]:
        return self.events()

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class FakeEngine:
    """Answers "7" in every pane, token by token, the pruned panes with another second token."""

    requests: list[tuple[Any, ...]] = field(default_factory=list)
    tickets: list[FakeTicket] = field(default_factory=list)
    failure: StrataError | None = None
    words: tuple[str, ...] = ("7", " <b>or</b> 8")
    compared: list[tuple[Any, ...]] = field(default_factory=list)
    spec = SPEC

    def status(self) -> dict[str, Any]:
        return {"model": "tiny", "active": 1, "waiting": 0}

    def compare(self, model_id: str, plans: list[Any], sample: Any) -> FakeTicket:
        self.compared.append((model_id, tuple(plans), sample.question, sample.answer))
        found = Divergence(("7", "<end>"), (0.1, 0.2), (0.5, 0.8), (0.3, 0.5))
        self.tickets.append(FakeTicket([Compared(pane, found) for pane in range(len(plans))]))
        return self.tickets[-1]

    def submit(self, model_id: str, plans: list[Any], image: Any, question: str, config: Any) -> FakeTicket:
        self.requests.append((model_id, tuple(plans), image, question, config))
        script: list[Any] = [self.failure] if self.failure else []
        for pane, plan in enumerate(plans):
            words = self.words[:1] if plan is None else self.words
            top5 = (("7", 0.9), ("8", 0.1))
            events = tuple(TokenEvent(pane, 10 + i, w, 0.1 * i, top5) for i, w in enumerate(words))
            answer = Answer(model_id, plan, question, "".join(words), len(words), 0.05, 20.0, "end", events)
            script += [*events, PaneDone(pane, answer)]
        self.tickets.append(FakeTicket(script))
        return self.tickets[-1]


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    write_recording(folder)
    return folder


@pytest.fixture
def recorded(recording: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The app finds the synthetic recording."""
    monkeypatch.setattr(settings, "RECORDED_DIR", recording)
    return recording


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app finds neither a recording nor weights."""
    monkeypatch.setattr(settings, "RECORDED_DIR", tmp_path / "none")
    monkeypatch.setattr(settings, "TINY_DIR", tmp_path / "none")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The model is live, and its engine is a fake one."""
    fake = FakeEngine()
    monkeypatch.setattr(services.models, "engine", lambda: fake)
    monkeypatch.setattr(services.models, "live", lambda model_id="tiny": model_id != services.models.FETCHED_MODEL)
    monkeypatch.setattr(services.models, "device", lambda: "CPU")
    return fake


@pytest.fixture
def open_page() -> Callable[..., AppTest]:
    """open_page("prune", budget="6") runs that page with those query parameters."""

    def open_it(name: str, **query: Any) -> AppTest:
        at = AppTest.from_file(APP, default_timeout=120)
        if name == "overview":
            at.query_params.update(query)
            return at.run()
        at.run()
        at.switch_page(f"views/{name}/page.py")
        for key, value in query.items():
            at.query_params[key] = value
        return at.run()

    return open_it


def texts(at: AppTest) -> str:
    """Everything that the user reads as text on a page, in one string."""
    kinds = (
        "title",
        "subheader",
        "markdown",
        "caption",
        "text",
        "info",
        "warning",
        "error",
        "success",
        "code",
        "badge",
    )
    return "\n".join(str(e.value) for kind in kinds for e in at.get(kind))
