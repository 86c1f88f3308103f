"""A URI to a seekable file, and to what its content is known by."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from actcli.errors import VideoError
from actcli.paths import AllowedUri, TarMember, check_uri, scheme_of
from actcli.remote.ranges import Blocks, RangeFile, RemoteObject

_REUSE_S: Final = 30.0
"""So long after its last use, what was fetched of an object serves again without asking."""
_KNOWN_S: Final = 300.0
_MAX_KNOWN: Final = 4096
_IDENTIFY_TIMEOUT_S: Final = 5.0
"""A server that needs longer to tell a version costs the cache, not the run."""


class _Last(threading.local):
    """The object that this thread read last: a video is opened two or three times."""

    uri = ""
    blocks: Blocks | None = None
    used = 0.0


_last = _Last()
_known: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()
_lock = threading.Lock()


def connect(uri: str, timeout_s: float, *, is_read: bool = True) -> RemoteObject:
    """The object at a URI that may be read; raises VideoError.

    is_read: whether more than its size and identity will be asked for
    """
    check_uri(uri)
    if scheme_of(uri) in ("http", "https"):
        from actcli.remote.web import WebObject

        return WebObject(uri, timeout_s, is_read=is_read)
    from actcli.remote.stores import StoredObject

    return StoredObject(uri, timeout_s)


@contextmanager
def open_remote(uri: str, timeout_s: float) -> Iterator[RangeFile]:
    """The object at a URI as a file; at the end, whatever went wrong while fetching is raised.

    timeout_s: wall time for one range, with all attempts
    Raises VideoError.
    """
    check_uri(uri)
    file = RangeFile(_blocks(uri, timeout_s))
    try:
        yield file
    except Exception as error:
        # Decoders may take a failed read for the end of the file, and complain of that.
        if file.error is not None and file.error is not error:
            raise file.error from error
        raise
    finally:
        _last.used = 0.0 if file.error is not None else time.monotonic()
    if file.error is not None:
        raise file.error


def _blocks(uri: str, timeout_s: float) -> Blocks:
    blocks = _last.blocks
    if blocks is not None:
        is_fresh = time.monotonic() - _last.used < _REUSE_S
        if _last.uri == uri and is_fresh:
            return blocks
        _last.blocks = None  # whoever still reads it has it
    remote = connect(uri, timeout_s)
    if remote.size == 0:
        remote.close()
        raise VideoError("not_video", "not a video (the file is empty)")
    blocks = Blocks(remote)
    _last.uri, _last.blocks, _last.used = uri, blocks, time.monotonic()
    return blocks


def remote_content(path: str) -> bytes | None:
    """What stands for the content of a remote object: a digest of its URI, version and size.

    path: None is returned for one that is no allowed URI, nor in an archive at one
    Raises OSError where it can't be known. It is asked for once in some minutes.
    """
    if isinstance(path, TarMember):
        whole = remote_content(path.archive)
        place = f"{path.offset} {path.size}".encode()
        return None if whole is None else hashlib.sha256(whole + place).digest()
    return _digest(path) if isinstance(path, AllowedUri) else None


def _digest(uri: str) -> bytes:
    now = time.monotonic()
    with _lock:
        moment, digest = _known.get(uri, (0.0, None))
    if not moment or now - moment > _KNOWN_S:
        try:
            digest = _asked_digest(uri)
        except VideoError:
            digest = None
        with _lock:
            _known[uri] = now, digest
            _known.move_to_end(uri)
            while len(_known) > _MAX_KNOWN:
                _known.popitem(last=False)
    if digest is None:
        raise OSError("the server does not tell its version")
    return digest


def _asked_digest(uri: str) -> bytes | None:
    remote = connect(uri, _IDENTIFY_TIMEOUT_S, is_read=False)
    try:
        if remote.identity is None:
            return None
        parts = "\0".join(("remote", uri, remote.identity, str(remote.size)))
        return hashlib.sha256(parts.encode("utf-8", "surrogateescape")).digest()
    finally:
        remote.close()
