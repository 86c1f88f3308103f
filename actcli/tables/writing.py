"""Writers of tables: rows in, files out that are there whole or as they were before."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from actcli.drafts import draft_of
from actcli.errors import ResourceError
from actcli.tables import parquet
from actcli.tables.info import Shape, TableInfo
from actcli.tables.rows import Row, seen_in
from actcli.types import Failure

GROUP_BYTES: Final = 16 << 20
"""Values of a row group: what is in memory at once."""
PART_BYTES: Final = 64 << 20
PART_S: Final = 300.0
"""Seconds after which a part is closed, so that a crash costs no more."""
_BYTES_BESIDE: Final = 400
"""Of a row, its values apart; a guess."""
_OLD_S: Final = 3600.0


class TableWriter(Protocol):
    """Takes rows one by one. `finish` completes the table, `close` is for every way out."""

    def write(self, row: Row | Failure) -> None:
        """Take one row."""

    def finish(self) -> None:
        """Complete the table."""

    def close(self) -> None:
        """Let go of the files."""


class _Rows:
    """Rows that wait, and the shape that the first good one shows."""

    def __init__(self, info: TableInfo, find_shape: Callable[[], Shape]) -> None:
        self.info = info
        self._find_shape = find_shape
        self._rows: list[Row | Failure] = []
        self.num_bytes = 0

    def add(self, row: Row | Failure) -> None:
        self._rows.append(row)
        self.num_bytes += _BYTES_BESIDE
        if isinstance(row, Row):
            self.num_bytes += row.values.nbytes
            if not self.info.size:
                self.info = seen_in(self.info, row)

    def take(self) -> list[Row | Failure]:
        """All of them; from then on the shape is known."""
        if self._rows and not self.info.size:
            self.info = replace(self.info, shape=self._find_shape())
        rows, self._rows, self.num_bytes = self._rows, [], 0
        return rows


class _Dropped(Exception):  # noqa: N818
    """Tells a draft that it isn't wanted."""


class _Part:
    """One Parquet file while it is written, under another name."""

    def __init__(self, path: Path, info: TableInfo) -> None:
        self._path, self._info = path, info
        self._stack = ExitStack()
        self.num_bytes = 0
        with storage_errors(path):
            self._draft = self._stack.enter_context(draft_of(path))
        self._file: Any = None
        with self._all_or_nothing():
            self._file = parquet.open_writer(self._draft, info)

    def write(self, rows: list[Row | Failure]) -> None:
        table = parquet.to_arrow(rows, self._info)
        with self._all_or_nothing():
            self._file.write_table(table)
        self.num_bytes += table.nbytes

    def finish(self) -> None:
        with self._all_or_nothing():
            self._file.close()
            with self._draft.open("rb") as file:
                os.fsync(file.fileno())
            self._stack.close()

    def drop(self) -> None:
        """Leave no trace; what stood at the path stays."""
        with suppress(Exception):  # the disk may be full
            self._file.close()
        self._stack.__exit__(_Dropped, _Dropped(), None)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            with storage_errors(self._path):
                yield
        except BaseException:
            self.drop()
            raise


class FileWriter:
    """One Parquet file that takes its place when it is finished; an earlier end leaves none.

    find_shape: [V, T', D] of rows, asked if none is good
    """

    def __init__(self, path: Path, info: TableInfo, find_shape: Callable[[], Shape]) -> None:
        self._path = path
        self._rows = _Rows(info, find_shape)
        self._part: _Part | None = None

    def write(self, row: Row | Failure) -> None:
        """Take one row; a group of them is written at once."""
        self._rows.add(row)
        if self._rows.num_bytes >= GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        """Write what waits, and give the file its name."""
        self._flush()
        assert self._part is not None, "flushing opens it"
        self._part.finish()
        self._part = None

    def close(self) -> None:
        """Remove what was begun."""
        if self._part is not None:
            self._part.drop()
            self._part = None

    def _flush(self) -> None:
        rows = self._rows.take()
        part, self._part = self._part, None  # gone if anything goes wrong
        if part is None:
            part = _Part(self._path, self._rows.info)
        part.write(rows)
        self._part = part


class FolderWriter:
    """Parquet files `part-00000.parquet`, ... each there once it is whole.

    Parts go on after those that are there. An early end keeps what came before it.
    """

    def __init__(
        self,
        folder: Path,
        info: TableInfo,
        find_shape: Callable[[], Shape],
        *,
        part_bytes: int = PART_BYTES,
        part_s: float = PART_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._rows = _Rows(info, find_shape)
        self._part_bytes, self._part_s, self._clock = part_bytes, part_s, clock
        self._part: _Part | None = None
        self._begun: float | None = None

    def write(self, row: Row | Failure) -> None:
        """Take one row; whole groups and whole parts are written."""
        if self._begun is None:
            self._begun = self._clock()
        self._rows.add(row)
        is_late = self._clock() - self._begun >= self._part_s
        waiting = self._rows.num_bytes + (self._part.num_bytes if self._part else 0)
        if is_late or waiting >= self._part_bytes:
            self.finish()
        elif self._rows.num_bytes >= GROUP_BYTES:
            self._flush()

    def finish(self) -> None:
        """Complete the part that was begun."""
        self._flush()
        part, self._part, self._begun = self._part, None, None
        if part is not None:
            part.finish()

    def close(self) -> None:
        """The same, so that an interrupted run keeps what it has, if that is more than failures."""
        if self._rows.info.size:
            self.finish()

    def _flush(self) -> None:
        rows = self._rows.take()
        if not rows:
            return
        part, self._part = self._part, None  # gone if anything goes wrong
        if part is None:
            with storage_errors(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
                _remove_old_drafts(self._folder)
            part = _Part(next_part(self._folder), self._rows.info)
        part.write(rows)
        self._part = part


def next_part(folder: Path) -> Path:
    """The name of the part after those that are there."""
    known = [path.stem.removeprefix("part-") for path in folder.glob("part-*.parquet")]
    number = max((int(text) for text in known if text.isascii() and text.isdigit()), default=-1)
    return folder / f"part-{number + 1:05d}.parquet"


def _remove_old_drafts(folder: Path) -> None:
    """What killed runs left; a run that is still alive touches its own every few minutes."""
    for path in folder.glob(".draft-*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _OLD_S:
                path.unlink()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn errors of the disk into a ResourceError."""
    try:
        yield
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        said = error.strerror or str(error).partition("\n")[0]
        raise ResourceError(
            f"{path}: cannot be written ({said})", hint="free some space" if is_full else None
        ) from error
