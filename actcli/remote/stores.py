"""Objects in stores, through fsspec: s3 by s3fs, gs by gcsfs, hf by huggingface_hub.

File systems of fsspec are made where they are used, in each process: they hold an event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from actcli.errors import VideoError
from actcli.paths import AllowedUri, check_uri, scheme_of
from actcli.remote.retrying import STEP_TIMEOUT_S, TransientError, seconds_left, with_retries

_EXTRAS: Final = {"gs": "gcs"}
"""The extra that brings a client, if not `remote`."""
_VERSION_KEYS = ("ETag", "etag", "generation", "md5Hash", "blob_id", "oid")
_OPTIONS: dict[str, dict[str, Any]] = {
    # Attempts are counted here, not at three levels at once.
    "s3": {
        "config_kwargs": {
            "connect_timeout": STEP_TIMEOUT_S,
            "read_timeout": STEP_TIMEOUT_S,
            "retries": {"max_attempts": 0},
        },
    },
}
_CREDENTIALS = ("Credential", "Token", "Refresh", "Auth", "Gated", "Forbidden")


class StoredObject:
    """A `RemoteObject` in a store; not for sharing by threads.

    timeout_s: wall time for one range, with all attempts
    Raises VideoError.
    """

    def __init__(self, uri: str, timeout_s: float) -> None:
        check_uri(uri)
        self._fs, self._path = _file_system(uri)
        self._timeout_s = timeout_s
        info = _ask(self._fs, "info", timeout_s, self._path)
        if info.get("type") == "directory":
            raise VideoError(
                "not_found", "no such object in the store (it is a folder)", hint=f"{uri}/"
            )
        if info.get("size") is None:
            raise VideoError("remote", "the store does not tell its size")
        self.size = int(info["size"])
        self.identity = _identity(info)
        self.head = b""

    def read_range(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, exclusive, all of them; raises VideoError."""

        def is_short(content: bytes) -> str | None:
            return "the connection ended in the middle" if len(content) < end - start else None

        content: bytes = _ask(
            self._fs, "cat_file", self._timeout_s, self._path, start=start, end=end, check=is_short
        )
        return content[: end - start]

    def close(self) -> None:
        """Nothing to let go of: connections belong to the process."""


def list_stored(uri: str, timeout_s: float) -> Iterator[AllowedUri]:
    """Every object below a URI that ends in "/", in order of name; raises VideoError."""
    check_uri(uri)
    fs, path = _file_system(uri)
    scheme = scheme_of(uri)
    found = _ask(fs, "find", timeout_s, path)
    for name in sorted(found):
        yield AllowedUri(f"{scheme}://{name}")


def _identity(info: dict[str, Any]) -> str | None:
    lfs = info.get("lfs")
    if lfs is not None:  # of the hub: the digest of the content
        return str(lfs["sha256"] if isinstance(lfs, dict) else getattr(lfs, "sha256", lfs))
    known = [f"{key}={info[key]}" for key in (*_VERSION_KEYS, "VersionId") if info.get(key)]
    return " ".join(known) or None


def _file_system(uri: str) -> tuple[Any, str]:
    """The store's client in this process, and what it calls the object."""
    scheme = scheme_of(uri)
    try:
        import fsspec

        # Not cached listings: an object may come or go while we run.
        fs = fsspec.filesystem(scheme, use_listings_cache=False, **_OPTIONS.get(scheme, {}))
    except ImportError as error:
        extra = _EXTRAS.get(scheme, "remote")
        raise VideoError(
            "remote",
            f'{scheme}:// needs the extra "{extra}"',
            hint=f'pip install "actcli[{extra}]"',
        ) from error
    except Exception as error:
        raise _translated(error) from error
    if hasattr(fs, "retries"):
        fs.retries = 1
    return fs, str(fs._strip_protocol(str(uri)))


def _ask(
    fs: Any,
    what: str,
    timeout_s: float,
    *args: Any,
    check: Callable[[Any], str | None] | None = None,
    **more: Any,
) -> Any:
    """The answer of a store, asked again if need be.

    check: what is wrong with an answer, if anything
    """

    def once(deadline: float) -> Any:
        try:
            if getattr(fs, "async_impl", False):
                from fsspec.asyn import sync

                left_s = seconds_left(deadline)
                answer = sync(fs.loop, getattr(fs, f"_{what}"), *args, timeout=left_s, **more)
            else:
                answer = getattr(fs, what)(*args, **more)
        except TransientError:
            raise
        except Exception as error:
            raise _translated(error) from error
        if check is not None and (reason := check(answer)):
            raise TransientError(reason)
        return answer

    return with_retries(once, timeout_s)


def _translated(error: Exception) -> VideoError | TransientError:
    """What an error of a store's client means; its text may hold signatures and is not shown."""
    name = type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, FileNotFoundError) or status == 404:
        return VideoError("not_found", "no such object in the store")
    is_refused = isinstance(error, PermissionError) or status in (401, 403)
    if is_refused or any(part in name for part in _CREDENTIALS):
        return VideoError(
            "remote",
            "the store does not let us read it (credentials are missing, expired or too weak)",
            hint="log in to the store anew; FSSPEC_S3_ANON=true reads public buckets",
        )
    if isinstance(error, OSError | TimeoutError) or "Connection" in name or "Timeout" in name:
        reason = "it is silent" if isinstance(error, TimeoutError) or "Timeout" in name else name
        return TransientError(f"the store failed: {reason}")
    return VideoError("remote", f"the store's client failed ({name})")
