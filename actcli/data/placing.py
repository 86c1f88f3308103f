"""Files into folders: copied, linked or moved, never over another file, whole at every moment.

A move on one file system is one rename. Across file systems it is a copy that is on the disk, read
back and compared before the original goes; a copy appears under its name only when it is whole.
Whatever ends the program in between, running it again finishes or repeats the step.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from actcli.data.files import Files, refuse_full_disk, same_content
from actcli.data.folder_names import cut_bytes
from actcli.data.sort_journal import Entry, Journal
from actcli.types import Failure, Prediction

log = logging.getLogger("actcli.data.placing")

Action = Literal["copy", "link", "symlink", "move"]
ACTIONS: Final[tuple[str, ...]] = get_args(Action)
_DRAFT: Final = ".actcli-sort-"
_MAX_NAME_BYTES: Final = 250


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file belongs, and whether its content is there already."""

    path: str
    is_there: bool = False


@dataclass(frozen=True, slots=True)
class SortedClip:
    """What became of one clip."""

    result: Prediction | Failure
    to: str | None
    """Where it is now, or would be; None is where it was."""
    state: Literal["placed", "already", "unsure", "failed"]
    """already: its content was there before; unsure: its score is too low, it stays."""
    problem: str | None = None


@dataclass(slots=True)
class Placer:
    """Puts files into the folders below one folder, and keeps the journal of it.

    journal:    None only plans: nothing is written anywhere
    """

    folder: str
    action: Action
    journal: Journal | None = None
    files: Files = field(default_factory=Files)
    _planned: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = os.path.realpath(self.folder)

    def place(self, source: str, subfolder: str, about: Mapping[str, Any] | None = None) -> Place:
        """Put one file into a folder below; with its content there already nothing is done.

        about: more for the line of the journal

        Raises OSError, after which the file is where it was; ResourceError if the disk is full.
        """
        source = os.path.abspath(source)
        home = os.path.join(self.folder, subfolder)
        if os.path.islink(home):
            raise OSError(errno.ELOOP, f"{home} is a link, which could lead anywhere")
        if os.path.lexists(home) and not os.path.isdir(home):
            raise OSError(errno.ENOTDIR, f"{home} is no folder")
        try:
            for target in _names(home, os.path.basename(source)):
                if (held := self._held_by(target)) is not None:
                    if self._is_placed(source, held):
                        return Place(target, is_there=True)
                    continue
                if self.journal is None:
                    self._planned[target] = source
                    return Place(target)
                if self._try(Entry(self.action, source, target), about):
                    return Place(target)
        except OSError as error:
            refuse_full_disk(error, self.folder)
            raise
        raise AssertionError("names never end")

    def _held_by(self, target: str) -> str | None:
        """The file that has this name now, or would have it; None if the name is free."""
        if os.path.lexists(target):
            return target
        return self._planned.get(target)

    def _is_placed(self, source: str, held: str) -> bool:
        if self.action != "symlink" and os.path.islink(held):
            return False  # it would go where the original goes
        return same_content(source, held)

    def _try(self, entry: Entry, about: Mapping[str, Any] | None) -> bool:
        """Do it; False if somebody took the name in this moment."""
        assert self.journal is not None
        self.files.make_folder(os.path.dirname(entry.target))
        self.journal.begin(entry, about)
        try:
            put(self.files, entry)
        except FileExistsError:
            self.journal.end(entry, "failed")
            return False
        except OSError:
            self.journal.end(entry, "failed")
            raise
        self.journal.end(entry)
        return True


def put(files: Files, entry: Entry) -> None:
    """One file to its place; raises FileExistsError if the name is taken, other OSErrors.

    Whatever is raised, the file is where it was, and nothing is at its place.
    """
    source, target = entry.source, entry.target
    if entry.action == "copy":
        _copy(files, source, target, verify=False)
    elif entry.action == "link":
        files.link(source, target)
    elif entry.action == "symlink":
        files.symlink(source, target)
    else:
        try:
            files.rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _move_by_copy(files, source, target)


def _move_by_copy(files: Files, source: str, target: str) -> None:
    _copy(files, source, target, verify=True)
    _sync_place(files, target)
    try:
        files.remove(source)
    except OSError:
        files.remove(target)  # so that it is in one place: where it was
        raise


def _sync_place(files: Files, target: str) -> None:
    """Wait until a name is on the disk, and that of its folder, which may be new."""
    home = os.path.dirname(target)
    files.sync_folder(home)
    files.sync_folder(os.path.dirname(home))


def _copy(files: Files, source: str, target: str, *, verify: bool) -> None:
    draft = os.path.join(os.path.dirname(target), f"{_DRAFT}{secrets.token_hex(8)}.part")
    try:
        files.copy(source, draft, verify=verify)
        files.rename(draft, target)
    except BaseException:
        with suppress(OSError):  # must not hide what went wrong; the next run removes it
            files.remove(draft)
        raise


def _names(folder: str, name: str) -> Iterable[str]:
    """ "a.mp4", "a (2).mp4", "a (3).mp4" and so on, as paths."""
    yield os.path.join(folder, name)
    stem, suffix = os.path.splitext(name)
    number = 2
    while True:
        end = f" ({number}){suffix}"
        room = _MAX_NAME_BYTES - len(os.fsencode(end))
        short = stem if len(os.fsencode(stem)) <= room else cut_bytes(stem, room)
        yield os.path.join(folder, short + end)
        number += 1


def settle(journal: Journal, subfolders: Iterable[str], files: Files | None = None) -> int:
    """Finish what an earlier run was killed in, and remove its drafts; how many moves it finished.

    A move that had copied its file and not yet removed the original is the only one with something
    left to do: the original goes if the copy, read once more, is the same.
    """
    files, finished = files or Files(), 0
    homes = {os.path.join(journal.folder, name) for name in subfolders}
    for entry in journal.unsettled():
        homes.add(os.path.dirname(entry.target))
        source, target = entry.source, entry.target
        if entry.action in ("move", "undo") and os.path.lexists(source):
            if not _is_second_copy(source, target):
                journal.end(entry, "failed")  # nothing had happened yet
                continue
            _sync_place(files, target)
            try:
                files.remove(source)
            except OSError as error:
                log.warning("%s: is in %s too, can't be removed (%s)", source, target, error)
                continue
            finished += 1
        journal.end(entry, "done" if os.path.lexists(target) else "failed")
    for folder in homes:
        remove_drafts(folder, files)
    return finished


def _is_second_copy(source: str, target: str) -> bool:
    """Whether the original can go because the target is a file of its own with the same bytes."""
    try:
        if os.path.islink(target) or os.path.islink(source) or not os.path.isfile(target):
            return False
        status = os.stat(target)
        if os.path.samestat(os.stat(source), status) and status.st_nlink < 2:
            return False  # one file under one name, seen by two paths
    except OSError:
        return False
    return same_content(source, target)


def remove_drafts(folder: str, files: Files) -> None:
    """Remove the unfinished copies that a killed run left in a folder."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(_DRAFT) and name.endswith(".part"):
                files.remove(os.path.join(folder, name))


def undo(
    journal: Journal, files: Files | None = None
) -> tuple[list[Entry], list[tuple[Entry, str]]]:
    """Move everything that was moved here back to where it came from, newest first.

    returns: the moves that were undone, and those that were not with the reason

    Nothing is replaced: a file whose old name is taken stays. Copies and links are left alone.
    """
    files = files or Files()
    done: list[Entry] = []
    left: list[tuple[Entry, str]] = []
    for entry in reversed(journal.moved()):
        back = Entry("undo", entry.target, entry.source)
        if not os.path.lexists(entry.target):
            left.append((entry, "is no longer there"))
            continue
        try:
            files.make_folder(os.path.dirname(entry.source))
            journal.begin(back)
            put(files, back)
        except OSError as error:
            refuse_full_disk(error, journal.folder)
            journal.end(back, "failed")
            why = "its old name is taken" if isinstance(error, FileExistsError) else error.strerror
            left.append((entry, str(why)))
            continue
        journal.end(back)
        done.append(entry)
        with suppress(OSError):
            os.rmdir(os.path.dirname(entry.target))  # unless something else is in it
    return done, left


def leads_outside(path: str, folders: Iterable[str]) -> str | None:
    """Why a file must not be moved: it is a link, or lies outside its folder through one.

    folders: those that the user named
    """
    if os.path.islink(path):
        return "is a link, whose file would stay (copy it, or move the file itself)"
    lexical = os.path.abspath(path)
    for folder in map(os.path.abspath, folders):
        inside = lexical.startswith(folder.rstrip(os.sep) + os.sep)
        real = os.path.realpath(folder).rstrip(os.sep) + os.sep
        if inside and not os.path.realpath(path).startswith(real):
            return f"lies outside {folder} through a link"
    return None
