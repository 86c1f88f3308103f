"""What files of ours have in common: a position in a known number of bytes."""

from __future__ import annotations

import io
import os


class RawFile(io.RawIOBase):
    """A seekable file; subclasses give `read`, which moves the position."""

    _position = 0

    @property
    def size(self) -> int:
        """Bytes in all."""
        return 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """As of any file; raises what `read` does."""
        content = self.read(len(buffer))
        assert content is not None, "these files never have nothing for now"
        buffer[: len(content)] = content
        return len(content)
