"""Where result lines go: a file that opens late, or a stream such as stdout.

A line is one write followed by a flush, so that readers see whole lines and a crash leaves whole
lines behind. A full disk is a ResourceError; a closed pipe stays a BrokenPipeError.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO, Protocol, TextIO

from actcli.errors import ResourceError, UsageError

_NO_SPACE = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class Sink(Protocol):
    """Takes whole lines."""

    @property
    def is_empty(self) -> bool:
        """True if nothing was written, now or by an earlier run that is continued."""

    def write(self, text: str) -> None:
        """Write `text`, which ends in a line feed, at once."""

    def close(self) -> None:
        """Let go of the file; a stream stays open."""


class FileSink:
    """A file that is created with its first line; with `append` it is continued.

    on_open: called once the file is open (and empty, unless continued), before its first line
    """

    def __init__(
        self,
        path: str | Path,
        *,
        append: bool = False,
        on_open: Callable[[], object] | None = None,
    ) -> None:
        self.path = Path(path)
        self._append = append
        self._on_open = on_open
        self._file: io.FileIO | None = None

    @property
    def is_empty(self) -> bool:
        """True if nothing was written, now or by an earlier run that is continued."""
        if self._file is not None:
            return False
        return not (self._append and self.path.exists() and self.path.stat().st_size > 0)

    def write(self, text: str) -> None:
        """Write one line; a short write is continued, so that only a crash can tear it."""
        with storage_errors(str(self.path)):
            if self._file is None:
                self._file = io.FileIO(self.path, "ab" if self._append else "wb")
                if self._on_open is not None:
                    self._on_open()
            rest = memoryview(encode(text))
            while rest:
                rest = rest[self._file.write(rest) or 0 :]

    def close(self) -> None:
        """Close the file if it was opened; ResourceError if it is not there any more."""
        if self._file is None or self._file.closed:
            return
        with storage_errors(str(self.path)):
            is_there = _is_at(self._file, self.path)
            self._file.close()
        if not is_there:
            raise ResourceError(f"{self.path}: was removed or replaced while it was written")


def _is_at(file: io.FileIO, path: Path) -> bool:
    """False for a regular file that its path no longer leads to."""
    own = os.fstat(file.fileno())
    if not S_ISREG(own.st_mode):
        return True
    try:
        return os.path.samestat(own, os.stat(path))
    except FileNotFoundError:
        return False


class StreamSink:
    """An open stream; bytes are written past its encoding, so that every name comes out."""

    def __init__(self, stream: TextIO | BinaryIO, *, name: str = "stdout") -> None:
        self._stream = stream
        self._name = name
        self._is_empty = True

    @property
    def is_empty(self) -> bool:
        """True if nothing was written yet."""
        return self._is_empty

    def write(self, text: str) -> None:
        """Write one line and flush it."""
        self._is_empty = False
        with storage_errors(self._name):
            if isinstance(self._stream, io.StringIO):
                self._stream.write(text)
                return
            self._stream.flush()
            raw: Any = getattr(self._stream, "buffer", self._stream)
            raw.write(encode(text))
            raw.flush()

    def close(self) -> None:
        """Leave the stream to its owner."""


def encode(text: str) -> bytes:
    """UTF-8; names that are not UTF-8 come out as the bytes that they are."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


@contextmanager
def storage_errors(name: str) -> Iterator[None]:
    """Turn errors of the disk into a ResourceError; a closed pipe is passed on as it is."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        hint = "free some space; classify and embed continue with --skip-done"
        raise ResourceError(
            f"{name}: cannot write the results ({error.strerror or error})",
            hint=hint if error.errno in _NO_SPACE else None,
        ) from error


def check_output(path: str | Path, *, flag: str = "-o", example: str = "preds.jsonl") -> None:
    """Raise UsageError now for a file that could not be written after hours of work."""
    target = Path(path)
    if os.path.isdir(target):
        raise UsageError(
            f"{flag} {target}: is a directory (expected a file)",
            hint=f"{flag} {target / example}",
        )
    if not os.path.isdir(target.parent):
        raise UsageError(
            f"{flag} {target}: the directory {target.parent} does not exist",
            hint=f"mkdir -p {target.parent}",
        )
    if not os.access(target if os.path.exists(target) else target.parent, os.W_OK):
        raise UsageError(f"{flag} {target}: no permission to write there")
