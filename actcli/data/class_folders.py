"""Folders as a labelled list: one folder a label, whatever lies below it."""

from __future__ import annotations

import logging
import os
import shlex
from typing import Final

from actcli.data.rows import Row
from actcli.data.walk import find_videos, is_folder, natural_key
from actcli.errors import InputError, ManifestError, shorten_list

log = logging.getLogger("actcli.data.class_folders")

SPLIT_FOLDERS: Final = frozenset({"train", "val", "validation", "test", "support", "query"})


def read_folders(top: str, *, glob: str | None = None) -> tuple[list[Row], tuple[str, ...]]:
    """The videos below `top`, labelled by its folders, and the labels that have none.

    Folders that are all called as splits (train, val, test, support, query) and hold folders alone
    are splits, and the labels are below them.

    Raises ManifestError for videos that lie in no folder, InputError if the folder can't be read.
    """
    splits = _split_folders(top)
    prefix = os.path.join(top, "")
    rows = []
    stray = []
    below: dict[str, set[str]] = {}
    for path in find_videos(top, glob=glob):
        if path == top:  # that is how it says it can't be read
            raise InputError(f"{top}: the folder cannot be read")
        parts = path[len(prefix) :].split(os.sep)
        split = parts.pop(0) if splits else None
        # A folder that can't be read is a video that can't.
        if len(parts) < 2 and not os.path.isdir(path):
            stray.append(path)
        else:
            place = os.path.join(top, split or "", parts[0])
            rows.append(Row(place, 0, path, parts[0], split=split))
            below.setdefault(parts[0], set()).add(parts[1] if len(parts) > 2 else "")
    if stray:
        raise ManifestError(
            f"{top}: {len(stray)} videos lie in no folder: {shorten_list(stray)} "
            "(expected a folder per label)",
            hint=f"mkdir {shlex.quote(os.path.join(top, 'LABEL'))}, and move them there",
        )
    _warn_of_depth(top, below)
    tops = [os.path.join(top, split) for split in splits] or [top]
    seen = {row.label for row in rows}
    empty = dict.fromkeys(name for folder in tops for name in _folders(folder) if name not in seen)
    if not rows:
        raise InputError(
            f"{top}: no videos (got {len(empty)} folders without any, expected {top}/LABEL/*.mp4)",
            hint="--glob PATTERN chooses files by name instead of by suffix",
        )
    return rows, tuple(empty)


def _warn_of_depth(top: str, below: dict[str, set[str]]) -> None:
    """Folders such as day1/run and day2/run are not labelled by what was filmed.

    below:  label -> names of the folders in it; "" for videos of its own
    """
    shared = set.intersection(*below.values()) if len(below) > 1 else set()
    if shared and not any("" in names for names in below.values()):
        log.warning(
            "%s: the labels are %s, the folders on top; each has the same folders in it (%s)",
            top, shorten_list(below), shorten_list(sorted(shared)),
        )  # fmt: skip


def _split_folders(top: str) -> list[str]:
    """The folders of splits; none if those are folders of labels."""
    folders = _folders(top)
    if not folders or not SPLIT_FOLDERS.issuperset(folders):
        return []
    holds_files = any(_has_files(os.path.join(top, name)) for name in folders)
    return [] if holds_files else folders


def _folders(top: str) -> list[str]:
    return _shown(top, folders=True)


def _has_files(folder: str) -> bool:
    return bool(_shown(folder, folders=False))


def _shown(folder: str, *, folders: bool) -> list[str]:
    """Names of folders, or of all else, that aren't hidden; none where we can't look."""
    names = []
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.name[0] != "." and is_folder(e) == folders]
    except OSError:
        pass  # whoever walks it says so
    return sorted(names, key=natural_key)
