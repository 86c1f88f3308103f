"""`sorted.jsonl`: what went where, one line before and one after each file, never rewritten.

    {"schema":"actcli.sorted/1","state":"begun","action":"move","from":"/a/1.mp4","to":"run/1.mp4",…}
    {"schema":"actcli.sorted/1","state":"done","from":"/a/1.mp4","to":"run/1.mp4"}

`to` is relative to the folder of the journal, so that the whole can be carried elsewhere. A line is
on the disk before its file is touched: after a crash, what was begun can be settled.
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

from actcli.data.files import refuse_full_disk
from actcli.errors import InputError, ResourceError
from actcli.reading import parse_json, read_at_most

JOURNAL_NAME: Final = "sorted.jsonl"
SCHEMA: Final = "actcli.sorted/1"
_MAX_BYTES: Final = 1 << 30
_LOCKED: Final = {errno.EAGAIN, errno.EACCES}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file on its way: absolute paths."""

    action: str
    source: str
    target: str


class Journal:
    """The open journal of one folder, which no other run has open meanwhile.

    Raises ResourceError if another run works in that folder, or the journal can't be written.
    """

    def __init__(self, folder: str) -> None:
        self.folder = os.path.realpath(folder)
        self.path = os.path.join(self.folder, JOURNAL_NAME)
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._file = io.FileIO(self.path, "a+b")
        except OSError as error:
            refuse_full_disk(error, folder)
            raise ResourceError(f"{folder}: cannot write there ({error.strerror})") from error
        try:
            _lock(self._file.fileno())
        except OSError as error:
            if error.errno in _LOCKED:  # not: a file system without locks
                self._file.close()
                raise ResourceError(
                    f"{folder}: another actcli sorts into it now",
                    hint="wait for it, or --into OTHER",
                ) from error
        self._end_torn_line()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _end_torn_line(self) -> None:
        self._file.seek(0, os.SEEK_END)
        if self._file.tell() > 0:
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")

    def begin(self, entry: Entry, about: Mapping[str, Any] | None = None) -> None:
        """Say what will be done now; on the disk when this returns."""
        self._write("begun", entry, about or {})
        os.fsync(self._file.fileno())

    def end(self, entry: Entry, state: str = "done") -> None:
        """Say that it was done, or that it was not."""
        self._write(state, entry, {})

    def _write(self, state: str, entry: Entry, about: Mapping[str, Any]) -> None:
        record = {
            "schema": SCHEMA,
            "state": state,
            "action": entry.action,
            "from": self._shown(entry.source),
            "to": self._shown(entry.target),
        }
        line = json.dumps(record | dict(about), separators=(",", ":")) + "\n"
        try:
            rest = memoryview(line.encode("ascii"))
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            refuse_full_disk(error, self.folder)
            raise ResourceError(f"{self.path}: cannot write ({error.strerror})") from error

    def _shown(self, path: str) -> str:
        inside = path.startswith(self.folder + os.sep)
        return os.path.relpath(path, self.folder) if inside else path

    def entries(self) -> list[tuple[str, Entry]]:
        """(state, entry) of every whole line, in order.

        A torn line is skipped, and one that would move what never lay in this folder.
        """
        self._file.seek(0)
        found = []
        content = read_at_most(self._file, _MAX_BYTES)
        if content is None:
            raise InputError(f"{self.path}: too large for a journal (got more than 1 GiB)")
        for line in io.BytesIO(content):
            try:
                record = parse_json(line)
                paths = [self._path(record[key]) for key in ("from", "to")]
                entry = Entry(str(record["action"]), *paths)
                own = entry.source if entry.action == "undo" else entry.target
                if os.path.normpath(own).startswith(self.folder.rstrip(os.sep) + os.sep):
                    found.append((str(record["state"]), entry))
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def _path(self, shown: str) -> str:
        """A path of a line; ValueError for text that is none on this machine."""
        if "\0" in shown:
            raise ValueError("NUL in a path")
        os.fsencode(shown)
        return os.path.join(self.folder, shown)

    def unsettled(self) -> list[Entry]:
        """What was begun and never ended."""
        pending: dict[tuple[str, str], Entry] = {}
        for state, entry in self.entries():
            key = (entry.source, entry.target)
            if state == "begun":
                pending[key] = entry
            else:
                pending.pop(key, None)
        return list(pending.values())

    def moved(self) -> list[Entry]:
        """The moves that stand, oldest first: done, and not put back since."""
        standing: dict[str, Entry] = {}
        for state, entry in self.entries():
            if state != "done":
                continue
            if entry.action == "move":
                standing[entry.target] = entry
            elif entry.action == "undo":
                standing.pop(entry.source, None)
        return list(standing.values())


def find_journal(folder: str) -> str:
    """The path of a folder's journal; raises InputError if it has none."""
    path = os.path.join(folder, JOURNAL_NAME)
    if not os.path.isfile(path):
        raise InputError(
            f"{folder}: nothing was sorted there (no {JOURNAL_NAME})", hint="--into FOLDER"
        )
    return path


def _lock(number: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: the journal is then not guarded against a second run
        return
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
