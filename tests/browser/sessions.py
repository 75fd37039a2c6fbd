"""Sessions without a browser: Streamlit's own protocol over a websocket, for many users at once on a small machine.

A `Session` does what a page does in a browser: it keeps the state of the widgets, sends it with every rerun, and reads
the elements that come back until the script has finished.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import ClientConnection, connect

KEY = re.compile(r"^\$\$ID-[0-9a-f]+-(.+)$")
INTERRUPTED = ForwardMsg.FINISHED_EARLY_FOR_RERUN
TIMEOUT = 180.0  # s; the machine may be busy


@dataclass
class Session:
    """One user. `elements` are those of the last finished run, `exceptions` those of all runs."""

    address: str  # http://host:port
    page: str = ""  # script hash of the current page
    query: str = ""
    pages: dict[str, str] = field(default_factory=dict)  # url path -> script hash
    elements: list[tuple[str, Any]] = field(default_factory=list)
    widgets: dict[str, tuple[str, Any]] = field(default_factory=dict)  # key -> (widget id, element)
    states: dict[str, WidgetState] = field(default_factory=dict)  # widget id -> what the user set it to
    exceptions: list[str] = field(default_factory=list)
    _held: dict[str, ForwardMsg] = field(default_factory=dict, repr=False)
    _socket: ClientConnection | None = field(default=None, repr=False)

    def __enter__(self) -> "Session":
        self._socket = connect(
            self.address.replace("http", "ws", 1) + "/_stcore/stream",
            subprotocols=["streamlit"],  # type: ignore[list-item]
            max_size=None,
            close_timeout=0.2,
            legacy=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        """Close the tab."""
        if self._socket:
            self._socket.close()

    def restart(self) -> None:
        """A new tab: nothing of the old one is known."""
        exceptions = self.exceptions
        self.__init__(self.address)  # type: ignore[misc]
        self.exceptions = exceptions
        self.__enter__()

    # -------------------------------------------------------------------------------------------- what a user does

    def open(self, path: str = "", **query: str | Sequence[str]) -> float:
        """Go to a page; returns seconds until it was whole."""
        self.query = urlencode(query, doseq=True)
        self.page = self.pages.get(path, "")
        return self.run(page_name="" if self.page else path)

    def set(self, key: str, **value: Any) -> float:
        """Set a widget by its key, `value` being a field of WidgetState (int_value=3, double_array_value=[6.0])."""
        self._state(key, **value)
        return self.run()

    def click(self, key: str, until: Callable[["Session"], bool] | None = None) -> float:
        """Press a button; with `until`, stop reading once it is true (the script goes on)."""
        state = self._state(key, trigger_value=True)
        try:
            return self.run(until=until)
        finally:
            self.states.pop(state.id)

    def _state(self, key: str, **value: Any) -> WidgetState:
        state = WidgetState(id=self.widgets[key][0])
        for name, content in value.items():
            if isinstance(content, list):
                getattr(state, name).data.extend(content)
            else:
                setattr(state, name, content)
        self.states[state.id] = state
        return state

    # -------------------------------------------------------------------------------------------- the protocol

    def run(self, page_name: str = "", until: Callable[["Session"], bool] | None = None) -> float:
        assert self._socket is not None
        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.page_script_hash = self.page
        message.rerun_script.page_name = page_name
        for state in self.states.values():
            message.rerun_script.widget_states.widgets.append(state)
        began = time.perf_counter()
        self._socket.send(message.SerializeToString())
        self.read(until)
        return time.perf_counter() - began

    def read(self, until: Callable[["Session"], bool] | None = None) -> None:
        """Take messages until the new run of the script has finished (a rerun that it asks for itself included)."""
        assert self._socket is not None
        started = False  # what is still on its way may be the end of a run that this one interrupted
        while True:
            message = ForwardMsg()
            message.ParseFromString(self._socket.recv(timeout=TIMEOUT))  # type: ignore[arg-type]
            if message.WhichOneof("type") == "ref_hash":
                message = self._held[message.ref_hash]
            elif message.metadata.cacheable:
                self._held[message.hash] = message
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.elements, self.widgets, started = [], {}, True
            elif kind == "navigation":
                self.pages = {p.url_pathname: p.page_script_hash for p in message.navigation.app_pages}
                self.page = message.navigation.page_script_hash or self.page
            elif kind == "page_info_changed":
                self.query = message.page_info_changed.query_string
            elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                self._take(message.delta.new_element)
            elif kind == "script_finished" and started and message.script_finished != INTERRUPTED:
                return
            if started and until is not None and until(self):
                return

    def _take(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        content = getattr(element, kind)
        self.elements.append((kind, content))
        if kind == "exception":
            self.exceptions.append(f"{content.type}: {content.message}")
        found = KEY.match(getattr(content, "id", "") or "")
        if found:
            self.widgets[found[1]] = (content.id, content)

    def texts(self, kind: str = "text") -> list[str]:
        return [str(content.body) for name, content in self.elements if name == kind]
