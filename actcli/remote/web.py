"""A file on a web server, by ranges. Redirects, and the addresses they lead to, are checked.

Not through fsspec: its client follows redirects itself, to any machine.
"""

from __future__ import annotations

import http.client
import re
import ssl
from contextlib import suppress
from functools import cache
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from actcli.errors import VideoError
from actcli.paths import check_uri
from actcli.remote.addresses import PinnedConnection, Reach, resolve
from actcli.remote.ranges import BLOCK
from actcli.remote.retrying import TransientError, seconds_left, with_retries

_HEAD_BYTES: Final = 2 * BLOCK
_MAX_REDIRECTS: Final = 5
MAX_WHOLE_BYTES: Final = 256 << 20
"""Of a file whose server knows no ranges."""
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_REDIRECTS = (301, 302, 303, 307, 308)
_SAFE = "%/:=&?~#+!$,;'@()*[]"


class WebObject:
    """A `RemoteObject` at a http or https URI that may be read; not for sharing by threads.

    timeout_s: wall time for one range, with all attempts
    is_read: whether more than size and identity will be asked for
    Raises VideoError.
    """

    def __init__(self, uri: str, timeout_s: float, *, is_read: bool = True) -> None:
        check_uri(uri)
        self._is_read = is_read
        self._uri, self._timeout_s = quote(str(uri), safe=_SAFE), timeout_s
        self._reach: Reach | None = None
        """Of the host that the user named."""
        self._connections: dict[tuple[str, str, int], PinnedConnection] = {}
        self.size, self.identity = -1, None
        self._etag: str | None = None
        self.head = b""
        count = _HEAD_BYTES if is_read else 1
        self.head = with_retries(lambda by: self._get(0, count, by), timeout_s)
        if self._etag is not None and not self._etag.startswith("W/"):
            self.identity = self._etag

    identity: str | None

    def read_range(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, exclusive, all of them; raises VideoError."""
        if end <= len(self.head):
            return self.head[start:end]
        return with_retries(lambda by: self._get(start, end, by), self._timeout_s)

    def close(self) -> None:
        """Let go of connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def _get(self, start: int, end: int, deadline: float) -> bytes:
        try:
            connection, response = self._follow(start, end, deadline)
            return self._body(connection, response, start, end, deadline)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise VideoError(
                "remote", f"the server's certificate is not valid ({error.verify_message})"
            ) from error
        except TimeoutError as error:
            self.close()
            raise TransientError("the server is silent") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise TransientError(f"the connection failed: {reason}") from error
        except (VideoError, TransientError):
            self.close()
            raise

    def _follow(
        self, start: int, end: int, deadline: float
    ) -> tuple[PinnedConnection, http.client.HTTPResponse]:
        """The answer at the end of the redirects."""
        uri = self._uri
        for _ in range(_MAX_REDIRECTS + 1):
            connection = self._connect(uri, deadline)
            parts = urlsplit(uri)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity",
                       "User-Agent": "actcli"}  # fmt: skip
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            if response.status not in _REDIRECTS:
                return connection, response
            connection.close()  # whatever else it would say
            uri = _redirected(uri, response.headers.get("Location"))
        raise VideoError("remote", f"more than {_MAX_REDIRECTS} redirects")

    def _connect(self, uri: str, deadline: float) -> PinnedConnection:
        scheme, host, port = _place(uri)
        connection = self._connections.get((scheme, host, port))
        if connection is None:
            address, reach = resolve(host, port)
            self._reach = self._reach or reach
            if reach not in ("public", self._reach):
                raise VideoError(
                    "refused",
                    f"a redirect leads into a {reach} network, which the URI does not name",
                    hint="give that address yourself, if you mean it",
                )
            context = _tls() if scheme == "https" else None
            left_s = seconds_left(deadline)
            connection = PinnedConnection(host, port, address, left_s, context)
            self._connections[scheme, host, port] = connection
        connection.timeout = seconds_left(deadline)
        if connection.socket is not None:
            with suppress(OSError):  # closed: it will connect again
                connection.socket.settimeout(connection.timeout)
        return connection

    def _body(
        self,
        connection: PinnedConnection,
        response: http.client.HTTPResponse,
        start: int,
        end: int,
        deadline: float,
    ) -> bytes:
        """The bytes asked for; the whole file instead if the server knows no ranges."""
        if response.status == 416 and start == 0:
            self.size = 0
            return b""
        _check_status(response)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise VideoError("remote", "the server sends it compressed, without being asked")
        whole = response.status != 206
        end = self._whole_end(response) if whole else self._checked_end(response, start, end)
        self._note_version(response.headers.get("ETag"))
        if whole and not self._is_read:
            self.size = response.length or 0
            connection.close()
            return b""
        content = _read(connection, response, end - start, deadline, is_all=not whole)
        if whole:
            if len(content) > MAX_WHOLE_BYTES:
                raise _too_large_whole()
            self.size = len(content)
        if not response.isclosed():
            connection.close()  # it sends more than it was asked for
        return content

    def _whole_end(self, response: http.client.HTTPResponse) -> int:
        if self.size >= 0:
            raise TransientError("the server forgot how to send ranges")
        if not self._is_read:
            return 0
        if (response.length or 0) > MAX_WHOLE_BYTES:
            raise _too_large_whole()
        return response.length if response.length is not None else MAX_WHOLE_BYTES + 1

    def _checked_end(self, response: http.client.HTTPResponse, start: int, end: int) -> int:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != start:
            raise VideoError("remote", "the server answers with another range than it was asked")
        size = int(match[3])
        if self.size not in (-1, size):
            raise VideoError("unreadable", "the file changed while it was read")
        self.size = size
        if int(match[2]) + 1 != min(end, size):
            raise TransientError("the server sends a part of the range only")
        return min(end, size)

    def _note_version(self, etag: str | None) -> None:
        if self._etag not in (None, etag):
            raise VideoError("unreadable", "the file changed while it was read")
        self._etag = etag


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _place(uri: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(uri)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise VideoError("remote", "not a web address") from error
    if not parts.hostname:
        raise VideoError("remote", "a web address without a host")
    return parts.scheme.lower(), parts.hostname, port


def _redirected(uri: str, location: str | None) -> str:
    if not location:
        raise VideoError("remote", "a redirect that leads nowhere")
    target = quote(urljoin(uri, location), safe=_SAFE)
    scheme = urlsplit(target).scheme.lower()
    if scheme not in ("http", "https"):
        raise VideoError("refused", f"a redirect to {scheme}:// is not followed")
    if scheme == "http" and urlsplit(uri).scheme.lower() == "https":
        raise VideoError("refused", "a redirect from https to http is not followed")
    return target


def _check_status(response: http.client.HTTPResponse) -> None:
    status = response.status
    if status in (200, 206):
        return
    if status in (404, 410):
        raise VideoError("not_found", f"no such file on the server ({status})")
    if status in (401, 403, 407):
        raise VideoError(
            "remote",
            f"the server does not let us read it ({status})",
            hint="a signed address may have expired: make a new one",
        )
    if status in (408, 425, 429) or status >= 500:
        after = response.headers.get("Retry-After", "")
        raise TransientError(
            f"the server says {status}", float(after) if after.isdecimal() else 0.0
        )
    raise VideoError("remote", f"the server says {status}")


def _read(
    connection: PinnedConnection,
    response: http.client.HTTPResponse,
    count: int,
    deadline: float,
    *,
    is_all: bool,
) -> bytes:
    """Up to `count` bytes; TransientError if the body ends before and `is_all`."""
    content = bytearray()
    while len(content) < count:
        if connection.socket is not None:
            with suppress(OSError):
                connection.socket.settimeout(seconds_left(deadline))
        chunk = response.read1(min(1 << 18, count - len(content)))
        if not chunk:
            break
        content += chunk
    if is_all and len(content) < count:
        raise TransientError("the connection ended in the middle")
    return bytes(content)


def _too_large_whole() -> VideoError:
    return VideoError(
        "remote",
        f"the server sends no ranges, only whole files (expected at most "
        f"{MAX_WHOLE_BYTES >> 20} MiB of them)",
        hint="download it first, and give that file",
    )
