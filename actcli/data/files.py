"""The steps on a disk that sorting is made of: each is done or not, none replaces a file.

`Files` is the real disk; tests hand out one on which any step fails.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Final

from actcli.errors import ResourceError

_CHUNK_BYTES: Final = 1 << 20
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}
_NO_SPACE: Final = {errno.ENOSPC, errno.EDQUOT}
_AT_FDCWD: Final = -100
_NO_REPLACE: Final = 1


class Changed(OSError):  # noqa: N818
    """A file that was written to while it was copied, or a copy that isn't what was read."""


class Files:
    """A disk; every method raises OSError, and leaves what was there as it was if it does."""

    def rename(self, source: str, target: str) -> None:
        """Give a file another name on its file system; FileExistsError if that is taken."""
        call = _renameat2()
        if call is not None:
            done = call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _NO_REPLACE)
            if done == 0:
                return
            number = ctypes.get_errno()
            if number not in (errno.EINVAL, errno.ENOSYS):  # a file system that can't
                raise OSError(number, os.strerror(number), source, None, target)
        _rename_by_link(source, target)

    def copy(self, source: str, draft: str, *, verify: bool) -> None:
        """Write a copy to a new file and wait until it is on the disk.

        verify: read it back, and compare it with what was read

        Raises Changed if the source changed meanwhile, or the copy is another.
        """
        with open(source, "rb") as read, open(draft, "xb") as write:
            before = os.fstat(read.fileno())
            digest = hashlib.sha256()
            while chunk := read.read(_CHUNK_BYTES):
                digest.update(chunk)
                write.write(chunk)
            write.flush()
            os.fsync(write.fileno())
            after = os.fstat(read.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise Changed(errno.EBUSY, "it changed while it was copied", source)
        if verify and self._digest_on_disk(draft) != digest.digest():
            raise Changed(errno.EIO, "the copy is not what was read", source)
        with suppress(OSError):  # a disk that keeps no permissions or times
            shutil.copystat(source, draft)

    def _digest_on_disk(self, path: str) -> bytes:
        with open(path, "rb") as file:
            if hasattr(os, "posix_fadvise"):  # so that it comes from the disk if the system lets it
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return hashlib.file_digest(file, "sha256").digest()

    def link(self, source: str, target: str) -> None:
        """Give a file a second name."""
        os.link(os.path.realpath(source), target)

    def symlink(self, source: str, target: str) -> None:
        """Make a link to a file, by its absolute path."""
        os.symlink(os.path.realpath(source), target)

    def remove(self, path: str) -> None:
        """Take a name of a file away."""
        os.unlink(path)

    def make_folder(self, path: str) -> None:
        """Make a folder, unless it is there."""
        os.makedirs(path, exist_ok=True)

    def sync_folder(self, path: str) -> None:
        """Wait until the names in a folder are on the disk, where the system can tell."""
        if os.name == "nt":
            return
        number = os.open(path, os.O_RDONLY)
        try:
            with suppress(OSError):
                os.fsync(number)
        finally:
            os.close(number)


def _rename_by_link(source: str, target: str) -> None:
    """Without a call that does both at once: for a moment the file has two names."""
    if os.name == "nt":  # where a rename never replaces
        os.rename(source, target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from error
        os.rename(source, target)
        return
    os.unlink(source)


@cache
def _renameat2() -> Callable[..., int] | None:
    """Linux's rename that refuses to replace, where the C library has it."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        call: Any = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    text = ctypes.c_char_p
    call.argtypes = [ctypes.c_int, text, ctypes.c_int, text, ctypes.c_uint]
    call.restype = ctypes.c_int
    found: Callable[..., int] = call
    return found


def same_content(one: str, other: str) -> bool:
    """Whether two files hold the same bytes; False if one can't be read."""
    try:
        first, second = os.stat(one), os.stat(other)
        if os.path.samestat(first, second):
            return True
        if first.st_size != second.st_size:
            return False
        with open(one, "rb") as left, open(other, "rb") as right:
            while chunk := left.read(_CHUNK_BYTES):
                if chunk != right.read(_CHUNK_BYTES):
                    return False
            return not right.read(1)
    except OSError:
        return False


def refuse_full_disk(error: OSError, folder: str) -> None:
    """Raise ResourceError if a disk is full: whatever comes next would fail as well."""
    if error.errno in _NO_SPACE:
        raise ResourceError(
            f"{folder}: the disk is full; what was sorted stays so",
            hint="free some space and run the same command again: it goes on",
        ) from error
