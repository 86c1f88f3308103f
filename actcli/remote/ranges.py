"""A remote object as a seekable file that fetches what is read, a bounded stretch ahead, once.

A video is read in three ways: its index, often at the end; from a few key frames on; or all of it.
So a jump fetches little, and as much is fetched ahead as was read on end since.
"""

from __future__ import annotations

import tempfile
from typing import Final, Protocol

from actcli.errors import VideoError
from actcli.remote.raw_file import RawFile

BLOCK: Final = 1 << 16
"""Bytes of a block, the least that is fetched."""
_MOST_BLOCKS: Final = 64
_PATIENCE: Final = 16
"""Requests after which one block at a time becomes two, and so on."""
_NEAR_BYTES: Final = 2 * BLOCK
"""A jump over so few is reading on."""
MAX_KEPT_BYTES: Final = 8 << 30
_MAX_SIZE: Final = 4 << 40


class RemoteObject(Protocol):
    """Bytes that can be asked for by range."""

    size: int
    identity: str | None
    """Changes when the bytes do; None if the store tells nothing of the kind."""
    head: bytes
    """The first bytes, as many as came with opening it."""

    def read_range(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, exclusive, all of them; raises VideoError."""

    def close(self) -> None:
        """Let go of connections."""


class Blocks:
    """What was fetched of one remote object, in a temporary file without a name.

    num_bytes, num_requests: fetched so far, with what came on opening
    """

    def __init__(self, remote: RemoteObject) -> None:
        if remote.size > _MAX_SIZE:
            remote.close()
            raise VideoError("too_large", f"claims to be larger than {_MAX_SIZE >> 40} TiB")
        self.remote = remote
        self.num_bytes, self.num_requests = len(remote.head), 1
        self._file = tempfile.TemporaryFile(prefix="actcli-remote-")  # noqa: SIM115
        self._has = bytearray(-(-remote.size // BLOCK))
        self._run = 0
        """Bytes read on end, up to the last read."""
        self._end = 0
        """Of the last read."""
        whole = len(self._has) if len(remote.head) >= remote.size else len(remote.head) // BLOCK
        if whole:
            self._keep(0, remote.head[: whole * BLOCK])

    def read(self, position: int, count: int) -> bytes:
        """The bytes from `position` on, fewer only at the end; raises VideoError."""
        end = min(position + count, self.remote.size)
        if end <= position:
            return b""
        if not 0 <= position - self._end <= _NEAR_BYTES:
            self._run = 0
        self._run, self._end = self._run + end - position, end
        last = (end - 1) // BLOCK
        block = position // BLOCK
        while (block := self._has.find(0, block, last + 1)) >= 0:
            block = self._fetch(block, last)
        self._file.seek(position)
        return self._file.read(end - position)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
            self.remote.close()

    def _fetch(self, first: int, last: int) -> int:
        """Fetch a missing block and some after it; returns the one after those."""
        # Who asks again and again needs most of it.
        least = min(self.num_requests // _PATIENCE, _MOST_BLOCKS // 4)
        wanted = min(max(last + 1 - first, self._run // BLOCK, least), _MOST_BLOCKS)
        there = self._has.find(1, first, first + wanted)
        end = min(first + wanted, len(self._has)) if there < 0 else there
        content = self.remote.read_range(first * BLOCK, min(end * BLOCK, self.remote.size))
        self.num_bytes += len(content)
        self.num_requests += 1
        if self.num_bytes > MAX_KEPT_BYTES:
            raise VideoError(
                "too_large",
                f"more than {MAX_KEPT_BYTES >> 30} GiB of it would have to be fetched",
                hint="download it first, and give that file",
            )
        self._keep(first, content)
        return end

    def _keep(self, first: int, content: bytes) -> None:
        try:
            self._file.seek(first * BLOCK)
            self._file.write(content)
        except OSError as error:
            raise VideoError(
                "remote",
                f"no place to keep what was fetched ({error.strerror})",
                hint="set TMPDIR to a folder with more space",
            ) from error
        end = first - (-len(content) // BLOCK)
        self._has[first:end] = b"\1" * (end - first)


class RangeFile(RawFile):
    """A position in the blocks of a remote object; several may share these.

    is_hollow: read zeros instead of what is not needed, for a reader that skips it anyway
    error: what went wrong, which whoever opened the file must raise
    """

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.is_hollow = False
        self.error: VideoError | None = None

    @property
    def size(self) -> int:
        """Of the object, in bytes."""
        return self.blocks.remote.size

    def read(self, count: int = -1) -> bytes:
        """As of any file; raises VideoError once, and is at the end from then on.

        A decoder that reads on after an error would only complain of the next.
        """
        if self.error is not None:
            return b""
        left = max(0, self.size - self._position)
        count = left if count < 0 else min(count, left)
        if self.is_hollow:
            content = bytes(count)
        else:
            try:
                content = self.blocks.read(self._position, count)
            except VideoError as error:
                self.error = error
                raise
        self._position += len(content)
        return content


def lists_its_packets(file: RangeFile) -> bool:
    """Whether an MP4 file's index is in one piece, so that packets are known without their bytes.

    A fragmented file has an index in each fragment, among the pictures.
    """
    position = 0
    names: list[bytes] = []
    while position < file.size and len(names) < 16:
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return False
        length, name = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            length = file.size - position
        if length < 8 or not (name.isalnum() and name.isascii()):
            return False
        names.append(name)
        position += length
    return position == file.size and names.count(b"moov") == 1 and b"moof" not in names
