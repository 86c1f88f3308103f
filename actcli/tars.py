"""Videos in tar archives, read where they lie: nothing is extracted, nothing is followed.

Archives come from anywhere. What a header says is believed only as far as the archive's own size
allows, and a member is nothing but bytes at an offset.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, BinaryIO, Final

from actcli.errors import VideoError
from actcli.paths import TarMember, is_remote
from actcli.remote.opening import open_remote
from actcli.remote.raw_file import RawFile

SUFFIX: Final = ".tar"
COMPRESSED: Final = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_MAX_HEADER_BYTES: Final = 1 << 20
"""Of the names and attributes of one member."""
_DAMAGE: Final = (tarfile.TarError, ValueError, LookupError, ArithmeticError, RecursionError)
"""What the library raises at headers that make no sense: not all of it is meant."""
_TIMEOUT_S: Final = 120.0


def is_archive(path: str) -> bool:
    """Whether a name says that it is a tar archive, compressed or not."""
    return path.lower().endswith((SUFFIX, *COMPRESSED))


def list_members(path: str, is_wanted: Callable[[str], bool]) -> Iterator[TarMember]:
    """The wanted members of an archive in its order, each as soon as its header is read.

    What can't be read is a member with a `problem`; so is the archive, where its headers end early.
    path: of a file, or an `AllowedUri`
    is_wanted: takes a member's name
    """
    if not path.lower().endswith(SUFFIX):
        yield _trouble(path, VideoError("unsupported", "compressed archives are not read"))
        return
    try:
        with _opened(path) as file:
            yield from _members(path, _Headers(file), is_wanted)
    except VideoError as error:
        yield _trouble(path, error)
    except _DAMAGE as error:
        said = str(error)[:80]
        yield _trouble(path, VideoError("truncated", f"the archive is damaged here ({said})"))
    except OSError as error:
        reason = error.strerror or error
        yield _trouble(path, VideoError("unreadable", f"cannot be read ({reason})"))


@contextmanager
def open_member(member: TarMember, timeout_s: float) -> Iterator[SubFile]:
    """The bytes of a member as a file; raises VideoError."""
    if member.problem is not None:
        raise VideoError(*member.problem)
    with _opened(member.archive, timeout_s) as file:
        if member.offset + member.size > file.seek(0, os.SEEK_END):
            raise VideoError("truncated", "the archive ends before it does")
        yield SubFile(file, member.offset, member.size)


def find_member(path: str) -> TarMember | None:
    """The member that a plain path such as "clips.tar/a.mp4" names, if there is that archive."""
    folded, at = path.replace(os.sep, "/"), -1
    while (at := folded.find(f"{SUFFIX}/", at + 1)) >= 0:
        archive, name = path[: at + len(SUFFIX)], folded[at + len(SUFFIX) + 1 :]
        if os.path.isfile(archive):
            status = os.stat(archive)
            index = _index(archive, status.st_size, status.st_mtime_ns)
            return index.get(name) or TarMember(
                archive, name, 0, 0, ("not_found", "no such member in the archive")
            )
    return None


@lru_cache(maxsize=4)
def _index(archive: str, size: int, mtime_ns: int) -> dict[str, TarMember]:
    """Members by name; of two with one name the first."""
    found: dict[str, TarMember] = {}
    for member in list_members(archive, lambda name: True):
        found.setdefault(member.name, member)
    return found


def content_digest(path: str) -> bytes:
    """sha256 of a local file's content, or of that of a member; raises OSError."""
    if not isinstance(path, TarMember):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    with open(path.archive, "rb") as archive:
        part: Any = SubFile(archive, path.offset, path.size)
        return hashlib.file_digest(part, "sha256").digest()


def _trouble(path: str, error: VideoError) -> TarMember:
    return TarMember(path, "", 0, 0, (error.kind, error.message))


@contextmanager
def _opened(path: str, timeout_s: float = _TIMEOUT_S) -> Iterator[Any]:
    if is_remote(path):
        with open_remote(path, timeout_s) as remote:
            yield remote
        return
    if not os.path.isfile(path):
        kind = "not a regular file" if os.path.exists(path) else None
        raise VideoError("refused", kind) if kind else VideoError("not_found", "no such file")
    with open(path, "rb", buffering=0) as local:
        yield local


def _members(path: str, file: _Headers, is_wanted: Callable[[str], bool]) -> Iterator[TarMember]:
    size = file.size
    if size == 0:
        raise VideoError("not_video", "the archive is empty")
    with tarfile.open(fileobj=file, mode="r:", errorlevel=1) as archive:
        begun = -1
        while (info := archive.next()) is not None:
            if info.offset_data <= begun or info.size < 0:
                raise VideoError("refused", "a header in the archive leads back into it")
            begun = info.offset_data
            file.begin_member()
            archive.members.clear()  # type: ignore[attr-defined] # it would hold all of them
            if is_wanted(info.name):
                yield _member(path, info, size)
            if info.offset_data + info.size > size:
                raise VideoError("truncated", "the archive is cut off in a member")
        # At a torn header `next` ends as at the end mark, a block of zeros.
        file.seek(archive.offset)
        mark = file.read(tarfile.BLOCKSIZE)
        if len(mark) < tarfile.BLOCKSIZE or any(mark):
            raise VideoError("truncated", "the archive ends without its end mark")


def _member(path: str, info: tarfile.TarInfo, size: int) -> TarMember:
    problem: tuple[Any, str] | None = None
    parts = info.name.replace("\\", "/").split("/")
    if info.name.startswith(("/", "\\")) or ".." in parts or "\0" in info.name or ":" in parts[0]:
        problem = "refused", "its name in the archive leads out of it"
    elif info.issym() or info.islnk():
        problem = "refused", "a link in an archive is not followed"
    elif info.issparse():
        problem = "unsupported", "a sparse member of an archive is not read"
    elif not info.isreg():
        problem = "refused", "not a regular file in its archive"
    elif info.offset_data + info.size > size:
        problem = "truncated", "the archive ends before it does"
    elif info.size == 0:
        problem = "not_video", "not a video (the file is empty)"
    return TarMember(path, info.name, info.offset_data, info.size, problem)


class _Headers(io.RawIOBase):
    """An archive from which only headers are read, none larger than is sensible."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        self._left = 0
        self.begin_member()

    def begin_member(self) -> None:
        """Allow the headers of one more member to be read."""
        self._left = 2 * _MAX_HEADER_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= _MAX_HEADER_BYTES:
            raise VideoError("refused", "a header in the archive claims to be larger than 1 MiB")
        self._left -= max(count, 1)  # at the end too, where the library may ask forever
        if self._left < 0:
            raise VideoError("refused", "the headers of a member in the archive don't end")
        return self._file.read(count)


class SubFile(RawFile):
    """A stretch of a seekable file, as a file of its own; the other one stays open."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file, self._offset, self._size = file, offset, size

    @property
    def size(self) -> int:
        """Of the stretch, in bytes."""
        return self._size

    def read(self, count: int = -1) -> bytes:
        """As of any file, and never beyond the stretch."""
        left = max(0, self._size - self._position)
        self._file.seek(self._offset + self._position)
        content = self._file.read(left if count < 0 else min(count, left))
        self._position += len(content)
        return content
