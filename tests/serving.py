"""A web server on this machine that fails as it is told to."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclasses.dataclass
class Answer:
    """How one request is answered, where it is not simply the file.

    Attributes:
        status: An error instead of the file.
        headers: Further headers, and in place of the usual ones; None leaves one out.
        cut: Close the connection after so many bytes of the body.
        ranges: Whether a Range is served; else all of the file is sent.
        chunked: Send it in pieces, without saying its length.
        before: Called first.
    """

    status: int = 200
    headers: dict[str, str | None] = dataclasses.field(default_factory=dict)
    cut: int | None = None
    ranges: bool = True
    chunked: bool = False
    before: Callable[[], object] | None = None


@dataclasses.dataclass
class Site:
    """What is served, and what was asked.

    Attributes:
        files: By path without its first slash.
        answers: For the next requests of a path, in turn; later ones get the file.
        asked: (path, Range, If-Range) of each request.
        address: Of the server.
    """

    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    answers: dict[str, list[Answer]] = dataclasses.field(default_factory=dict)
    asked: list[tuple[str, str | None, str | None]] = dataclasses.field(default_factory=list)
    address: str = ""

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"

    def etag(self, path: str) -> str:
        return f'"{hashlib.md5(self.files[path]).hexdigest()}"'


@contextlib.contextmanager
def serving() -> Iterator[Site]:
    """A running server."""
    site = Site()
    handler = type("Handler", (_Handler,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        site.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path, site = self.path.lstrip("/"), self.site
        site.asked.append((path, self.headers["Range"], self.headers["If-Range"]))
        waiting = site.answers.get(path, [])
        answer = waiting.pop(0) if waiting else Answer()
        if answer.before is not None:
            answer.before()
        if path not in site.files:
            answer = Answer(status=404)
        if answer.status != 200:
            return self.send(answer.status, b"", answer, {})
        body, etag = site.files[path], site.etag(path)
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        fresh = self.headers["If-Range"] in (None, etag)
        if wanted is None or not fresh or not answer.ranges:
            return self.send(200, body, answer, {"ETag": etag})
        start = int(wanted[1])
        if start >= len(body):
            return self.send(416, b"", answer, {"Content-Range": f"bytes */{len(body)}"})
        where = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return self.send(206, body[start:], answer, {"ETag": etag, "Content-Range": where})

    def send(self, status: int, body: bytes, answer: Answer, headers: dict[str, str]) -> None:
        length = {"Transfer-Encoding": "chunked"} if answer.chunked else {"Content-Length": str(len(body))}
        self.send_response(status)
        for name, value in {**length, **headers, **answer.headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        kept = body if answer.cut is None else body[: answer.cut]
        if answer.chunked:
            kept = f"{len(kept):x}\r\n".encode() + kept + b"\r\n" + (b"0\r\n\r\n" if answer.cut is None else b"")
        with contextlib.suppress(ConnectionError):  # who asked may have gone
            self.wfile.write(kept)
        self.close_connection = answer.cut is not None or answer.headers.get("Content-Length", "") is None
