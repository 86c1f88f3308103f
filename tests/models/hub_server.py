"""A model hub on loopback: repositories in memory, requests on record, faults on demand."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
TINY = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "layers": 2},
    },
    "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3},
}


def make_weights(num_bytes: int = 64) -> bytes:
    """A safetensors file with a logit_scale and a filler: enough to be found, not to be built."""
    tensors = {
        "logit_scale": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        "filler": {"dtype": "U8", "shape": [num_bytes], "data_offsets": [4, 4 + num_bytes]},
    }
    header = json.dumps(tensors).encode()
    filler = bytes(range(256)) * (num_bytes // 256 + 1)
    return struct.pack("<Q", len(header)) + header + bytes(4) + filler[:num_bytes]


def tiny_repository(num_bytes: int = 64, **changes: Any) -> dict[str, bytes]:
    """Config and weights of a model; changes: of its `model_cfg`."""
    config = {**TINY, "model_cfg": {**TINY["model_cfg"], **changes}}
    return {CONFIG: json.dumps(config).encode(), WEIGHTS: make_weights(num_bytes)}


@dataclass
class Faults:
    """What goes wrong, for all files whose name ends in `.safetensors` unless said otherwise."""

    flip: bool = False
    """Bodies lose a bit, their entity tags don't."""
    cuts: int = 0
    """So many transfers end in the middle, as orderly as a closed connection can."""
    resets: int = 0
    """So many transfers end in the middle, by a reset."""
    bytes_per_s: float | None = None
    status: int | None = None
    """All answers have this status, for any file."""
    code: str | None = None
    """The hub's name for it, `X-Error-Code`."""
    silent: bool = False
    """Connections are accepted and nothing is ever said, for any file."""
    cdn: str | None = None
    """Transfers are sent on to another server, which keeps the content under the same path."""
    no_commit: bool = False
    """Answers lack what makes them those of a hub."""


@dataclass(frozen=True)
class Request:
    """One request, as it came in."""

    method: str
    path: str
    token: str | None


@dataclass
class HubServer:
    """Serves `repositories` (name -> file -> content) while a `with` block runs."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> HubServer:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def transfers(self) -> list[str]:
        """The files that were asked for whole, in order."""
        return [r.path.rpartition("/")[2] for r in self.requests if r.method == "GET"]


def dead_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def etag(name: str, content: bytes) -> str:
    if name.endswith(".safetensors"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(sends_body=False)

    def do_GET(self) -> None:
        self._answer(sends_body=True)

    def _answer(self, *, sends_body: bool) -> None:
        faults = self.hub.faults
        path = unquote(self.path)
        token = self.headers.get("authorization")
        self.hub.requests.append(Request(self.command, path, token))
        if faults.silent:
            time.sleep(30)
            return
        repository, _, rest = path.removeprefix("/").partition("/resolve/")
        name = rest.partition("/")[2]
        files = self.hub.repositories.get(repository)
        if faults.status is not None:
            self._refuse(faults.status, faults.code)
        elif files is None:
            self._refuse(404, "RepoNotFound")
        elif name not in files:
            self._refuse(404, "EntryNotFound")
        elif faults.cdn and name == WEIGHTS:
            self._redirect(faults.cdn + self.path, name, files[name])
        else:
            self._send(name, files[name], sends_body=sends_body)

    def _refuse(self, status: int, code: str | None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _redirect(self, target: str, name: str, content: bytes) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("X-Linked-ETag", f'"{etag(name, content)}"')
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, name: str, content: bytes, *, sends_body: bool) -> None:
        given = self.headers.get("Range")
        start = int(given.removeprefix("bytes=").split("-")[0]) if given else 0
        self.send_response(206 if given else 200)
        if not self.hub.faults.no_commit:
            self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{etag(name, content)}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        if given:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if sends_body:
            self._send_body(content[start:], is_large=name.endswith(".safetensors"))

    def _send_body(self, body: bytes, *, is_large: bool) -> None:
        faults = self.hub.faults
        if not is_large:
            self.wfile.write(body)
            return
        if faults.flip:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if faults.cuts or faults.resets:
            self._break_off(body[: len(body) // 2])
            return
        step = max(1, int(faults.bytes_per_s * 0.05)) if faults.bytes_per_s else len(body)
        try:
            for start in range(0, len(body), step):
                self.wfile.write(body[start : start + step])
                if faults.bytes_per_s:
                    time.sleep(0.05)
        except OSError:  # the client has gone
            self.close_connection = True

    def _break_off(self, part: bytes) -> None:
        faults = self.hub.faults
        self.wfile.write(part)
        self.wfile.flush()
        time.sleep(0.05)
        if faults.cuts:
            faults.cuts -= 1
        else:
            faults.resets -= 1
            linger = struct.pack("ii", 1, 0)  # a close that does not wait sends a reset
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.wfile.close()
            self.rfile.close()
            self.connection.close()
        self.close_connection = True
