"""Where a video's bytes are, when that is not a plain path: a URI, or a member of a tar archive.

Both are texts, so that they stand wherever a path does, and pickle. A list or a line of stdin holds
plain text only: it can name neither an allowed URI nor an offset.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from actcli.errors import VideoError, VideoErrorKind

SCHEMES: Final = ("s3", "gs", "hf", "http", "https")
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_IPV6 = re.compile(r"\[[0-9A-Fa-f:.%]*\]")
_SECRET = re.compile(r"signature|credential|token|secret|passw|(^|[-_])(key|sig|auth)$", re.I)


class AllowedUri(str):
    """A URI that the user typed, or whose list the user allowed to name URIs."""

    __slots__ = ()


class TarMember(str):
    """A member of a tar archive, as "clips.tar/a.mp4", and where its bytes are."""

    def __new__(
        cls,
        archive: str,
        name: str,
        offset: int,
        size: int,
        problem: tuple[VideoErrorKind, str] | None = None,
    ) -> TarMember:
        """problem: kind and sentence of why it, or its archive if `name` is "", is not read."""
        self = super().__new__(cls, f"{archive}/{name}" if name else archive)
        self.archive, self.name, self.offset, self.size = archive, name, offset, size
        self.problem = problem
        return self

    archive: str
    """Its path, or an `AllowedUri`."""
    name: str
    offset: int
    """Of its first byte in the archive."""
    size: int
    """In bytes."""
    problem: tuple[VideoErrorKind, str] | None

    def __getnewargs__(  # type: ignore[override]
        self,
    ) -> tuple[str, str, int, int, tuple[VideoErrorKind, str] | None]:
        return self.archive, self.name, self.offset, self.size, self.problem


def is_remote(path: str) -> bool:
    """True for a URI such as "s3://bucket/a.mp4"."""
    return _REMOTE.match(path) is not None


def scheme_of(uri: str) -> str:
    """What stands before the colon, in lower case."""
    return uri.partition(":")[0].lower()


def check_uri(uri: str) -> None:
    """Raise VideoError unless a URI is allowed and of a kind that is read."""
    scheme = scheme_of(uri)
    if "::" in _IPV6.sub("", uri):
        raise VideoError("refused", "chained URIs (with ::) are not followed")
    if scheme not in SCHEMES:
        raise VideoError(
            "refused",
            f"{scheme}:// is not read (expected {', '.join(f'{name}://' for name in SCHEMES)})",
            hint="download it first, and give that file",
        )
    if not isinstance(uri, AllowedUri):
        raise VideoError(
            "refused",
            "a list names a remote video, and lists may not unless you say so",
            hint="--allow-remote, if you trust the list; or type the URI as an argument",
        )
    if scheme != "hf" and "@" in uri.partition("://")[2].partition("/")[0]:
        raise VideoError(
            "refused",
            "a URI with a user name or password is not used",
            hint="leave credentials where the store's own client looks for them",
        )


def redacted(uri: str) -> str:
    """A URI without passwords and signatures, to be shown and recorded."""
    if not is_remote(uri):
        return uri
    try:
        scheme, host, path, query, fragment = urlsplit(uri)
    except ValueError:  # a bracket without its pair
        return f"{scheme_of(uri)}://***"
    netloc = host
    if "@" in host and scheme != "hf":
        host = "***@" + host.rpartition("@")[2]
    # In an object store a question mark is a part of the name.
    pairs = parse_qsl(query, keep_blank_values=True) if scheme in ("http", "https") else []
    if any(_SECRET.search(name) for name, _ in pairs):
        hidden = [(name, "***" if _SECRET.search(name) else value) for name, value in pairs]
        query = urlencode(hidden, safe="*/:")
    elif host == netloc:
        return str(uri)
    return urlunsplit((scheme, host, path, query, fragment))
