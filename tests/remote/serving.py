"""A web server on loopback that serves ranges, counts what it sends, and fails on request."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Handler"], bool]
"""Answers a request itself if it likes; returns whether it did."""


@dataclass
class Served:
    """The files of a server by path, what it was asked, and how it misbehaves.

    etag: sent with every answer if not None
    first: answers tried in turn, one a request, before the server behaves
    always: answers tried at each request
    """

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"v1"'
    ranges: bool = True
    first: list[Answer] = field(default_factory=list)
    always: list[Answer] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The path and range of each request."""
    sent: int = 0
    """Bytes of bodies."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the test is over, for answers that wait."""

    def uri(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Served

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        served = self.served
        served.asked.append(f"{self.path} {self.headers.get('Range', '')}".strip())
        answers = ([served.first.pop(0)] if served.first else []) + served.always
        if any(answer(self) for answer in answers):
            return
        content = served.files.get(self.path.partition("?")[0].lstrip("/"))
        if content is None:
            self.reply(404)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked is None or not served.ranges:
            self.reply(200, content)
            return
        start, end = int(asked[1]), min(int(asked[2]) + 1, len(content))
        if start >= len(content):
            self.reply(416)
            return
        about = f"bytes {start}-{end - 1}/{len(content)}"
        self.reply(206, content[start:end], {"Content-Range": about})

    def reply(
        self,
        status: int,
        content: bytes = b"",
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        """length: what is claimed, where that is not the content's"""
        self.send_response(status)
        if self.served.etag is not None:
            self.send_header("ETag", self.served.etag)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.served.sent += len(content)  # before the client can see them
        self.wfile.write(content)


def status(code: int, **headers: str) -> Answer:
    """An answer with this status and no body."""

    def answer(handler: Handler) -> bool:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.reply(code, b"", named)
        return True

    return answer


def cut(handler: Handler) -> bool:
    """Ten bytes of those announced, and the connection ends; asked for the start of the file."""
    content = handler.served.files[handler.path.lstrip("/")]
    end = min(int(handler.headers["Range"].rpartition("-")[2]) + 1, len(content))
    about = {"Content-Range": f"bytes 0-{end - 1}/{len(content)}"}
    handler.reply(206, content[:10], about, length=end)
    handler.close_connection = True
    return True


def hang(handler: Handler) -> bool:
    """Ten bytes of the thousands announced, and then silence."""
    handler.reply(206, b"0123456789", {"Content-Range": "bytes 0-9999/10000"}, length=10000)
    handler.wfile.flush()
    handler.served.over.wait(60)
    handler.close_connection = True
    return True


@contextmanager
def serving() -> Iterator[Served]:
    class Own(Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that go away
    served = Own.served = Served(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        served.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
