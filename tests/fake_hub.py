"""A Hub on this machine: it serves a folder's files as datasets, and its refusals, over the Hub's own protocol."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def fake_hub(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve root/<owner>/<name>/... under one commit; yields the address and the log of requested paths.

    Datasets of the owner "gated" ask for terms to be accepted; those that are not there do not exist.
    """
    log: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            log.append(path)
            parts = path.strip("/").split("/")
            if parts[:2] == ["api", "datasets"]:
                self._api("/".join(parts[2:4]), parts[4:])
            elif parts[0] == "datasets" and parts[3] == "resolve":
                self._file(root / parts[1] / parts[2] / "/".join(parts[5:]))
            else:
                self._send(404, b"{}")

        do_GET = do_HEAD = _answer

        def _api(self, dataset: str, rest: list[str]) -> None:
            folder = root / dataset
            files = sorted(p for p in folder.rglob("*") if p.is_file())
            names = [p.relative_to(folder).as_posix() for p in files]
            if dataset.startswith("gated/"):
                self._send(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "terms"})
            elif not files:
                self._send(401, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no such thing"})
            elif rest[:1] in (["revision"], ["tree"]) and rest[1] not in ("main", COMMIT):
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "no such revision"})
            elif rest[:1] == ["tree"]:
                under = "/".join(rest[2:])
                entries = [
                    {"type": "file", "path": n, "oid": _oid(p), "size": p.stat().st_size}
                    for n, p in zip(names, files, strict=True)
                    if n.startswith(under)
                ]
                self._send(200, json.dumps(entries).encode())
            elif rest[:1] == ["paths-info"]:
                self._send(404, b"{}")
            else:
                info = {"id": dataset, "sha": COMMIT, "siblings": [{"rfilename": n} for n in names], "tags": []}
                self._send(200, json.dumps(info).encode())

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            path = unquote(urlsplit(self.path).path)
            log.append(path)
            parts = path.strip("/").split("/")
            asked = json.loads(body or b"{}").get("paths", [])
            folder = root / "/".join(parts[2:4])
            entries = [
                {"type": "file", "path": n, "oid": _oid(folder / n), "size": (folder / n).stat().st_size}
                for n in asked
                if (folder / n).is_file()
            ]
            self._send(200, json.dumps(entries).encode())

        def _file(self, path: Path) -> None:
            if not path.is_file():
                self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            data, status, headers = path.read_bytes(), 200, {"ETag": f'"{_oid(path)}"', "X-Repo-Commit": COMMIT}
            asked = self.headers.get("Range")
            if asked:
                first, _, last = asked.removeprefix("bytes=").partition("-")
                total = len(data)
                stop = min(int(last) + 1 if last else total, total)
                headers["Content-Range"] = f"bytes {first}-{stop - 1}/{total}"
                data, status = data[int(first) : stop], 206
            self._send(status, data, headers)

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), "Accept-Ranges": "bytes", **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", log
    finally:
        server.shutdown()
        server.server_close()


def _oid(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()
