"""Finds the videos below a directory, in an order that people expect and that never changes."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

log = logging.getLogger("actcli.data.walk")

VIDEO_SUFFIXES: Final = frozenset(
    """
    mp4 m4v mov qt mkv webm avi divx mpg mpeg mpe m1v m2v mpv vob ts mts m2ts m2t 3gp 3g2 flv f4v
    wmv asf ogv ogm gif mxf h264 264 hevc h265 265 ivf nut rm rmvb
    """.split()  # noqa: SIM905
)
# These suffixes belong to TypeScript as well.
_AMBIGUOUS: Final = frozenset({"ts", "mts"})
_SYNC_BYTE: Final = 0x47


def find_videos(directory: str, *, glob: str | None = None) -> Iterator[str]:
    """Paths of videos below `directory`: its own files first, then each folder, sorted naturally.

    glob: replaces the check of suffixes; matched against the file name, or against the path below
        `directory` if the pattern holds a "/" (there `*` crosses folders).

    Hidden files and folders are skipped; links are followed, and no folder is read twice. A folder
    that can't be read is yielded itself, so that it becomes a failure instead of a gap.
    """
    seen: set[tuple[int, int]] = set()
    pending = [directory]
    while pending:
        folder = pending.pop()
        try:
            status = os.stat(folder)
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                log.info("%s: folder met before through a link, skipped", folder)
                continue
            seen.add(identity)
            files, folders = _entries(folder)
        except OSError as error:
            log.warning("%s: cannot read the folder (%s)", folder, error.strerror)
            yield folder
            continue
        for path in files:
            if _is_wanted(path, directory, glob):
                yield path
        pending.extend(reversed(folders))


def _entries(folder: str) -> tuple[list[str], list[str]]:
    files: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: natural_key(entry.name)):
            if entry.name.startswith("."):
                continue
            if is_folder(entry):
                folders.append(entry.path)
            elif entry.is_symlink() or entry.is_file():
                # A dangling link is kept, it fails by name; a named pipe would block the reader.
                files.append(entry.path)
    return files, folders


def is_folder(entry: os.DirEntry[str]) -> bool:
    """False for a link that leads nowhere, in a circle, or where we may not look."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Sorts "clip2" before "clip10", whatever the case."""
    parts = re.split(r"(\d+)", name.casefold(), flags=re.ASCII)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def _is_wanted(path: str, top: str, glob: str | None) -> bool:
    if glob is not None:
        name = os.path.relpath(path, top) if "/" in glob else os.path.basename(path)
        return fnmatchcase(name.replace(os.sep, "/"), glob)
    suffix = os.path.splitext(path)[1][1:].lower()
    if suffix in _AMBIGUOUS:
        return _is_transport_stream(path)
    return suffix in VIDEO_SUFFIXES


def _is_transport_stream(path: str) -> bool:
    """True if packets begin as in MPEG-TS (188 bytes) or AVCHD (192); also where we can't look."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            head = file.read(5)
    except OSError:
        return True
    return not head or _SYNC_BYTE in (head[0], head[-1])
