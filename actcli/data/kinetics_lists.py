"""The CSV lists of Kinetics: label, YouTube id and times; the file is looked for in usual places.

    label,youtube_id,time_start,time_end,split[,is_cc]

A cut video is `<id>_<start>_<end>.<suffix>` with six digits each, a whole one `<id>.<suffix>` and
then trimmed. Both are looked for below `<label>/`, the label with underscores, and no folder, each
also below `<split>/`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from actcli.data.list_text import ListText
from actcli.data.rows import Fields, Row, number_of
from actcli.data.table_lists import Table
from actcli.data.walk import VIDEO_SUFFIXES

_LONGEST_S = 1_000_000  # six digits in a file name


class FileFinder:
    """Finds files by their names without suffix; every folder is listed once."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, str]] = {}

    def find(self, folder: str, stem: str) -> str | None:
        """The video `<folder>/<stem>.<any suffix>`, if there is one; MP4 before others."""
        listed = self._folders.get(folder)
        if listed is None:
            listed = self._folders[folder] = dict(_videos_by_stem(folder))
        name = listed.get(stem)
        return None if name is None else os.path.join(folder, name)


def _videos_by_stem(folder: str) -> Iterator[tuple[str, str]]:
    try:
        names = os.listdir(folder or ".")
    except OSError:
        return
    # The last one of a stem stays.
    for name in sorted(names, key=lambda name: (name.endswith(".mp4"), name)):
        stem, suffix = os.path.splitext(name)
        if suffix[1:].lower() in VIDEO_SUFFIXES:
            yield stem, name


def read_kinetics(found: ListText) -> list[Row]:
    """The rows of a list of Kinetics; the path of a missing file is the first usual place."""
    table = Table(found)
    label_at = table.needed_column("label", ("label",))
    id_at = table.needed_column("video", ("youtube_id",))
    start_at = table.needed_column("start", ("time_start",))
    end_at = table.needed_column("end", ("time_end",))
    split_at = table.column(("split",))
    finder = FileFinder()
    places: dict[tuple[str, str], list[str]] = {}
    rows = []
    for line, cells in table.rows():
        label, name, start, end = (cells[at] for at in (label_at, id_at, start_at, end_at))
        start_s, end_s = _times(f"{found.source}:{line}", label, name, start, end)
        split = cells[split_at].strip() if split_at is not None else ""
        folders = places.get((label, split))
        if folders is None:
            folders = places[label, split] = _folders(found.root, label, split)
        stem = f"{name}_{start_s:06d}_{end_s:06d}"
        row = Row(found.source, line, "", label, split=split or None)
        path = _find(finder, folders, stem)
        if path is None and (path := _find(finder, folders, name)) is not None:
            row = row._replace(start_s=float(start_s), end_s=float(end_s))
        rows.append(row._replace(path=path or os.path.join(folders[0], f"{stem}.mp4")))
    return rows


def _times(place: str, label: str, name: str, start: str, end: str) -> tuple[int, int]:
    """Start and end as whole seconds, and the other cells checked."""
    is_plain = start.isdecimal() and end.isdecimal() and len(start) + len(end) < 20
    if label and name and is_plain:
        start_s, end_s = int(start), int(end)
        if start_s < end_s < _LONGEST_S:
            return start_s, end_s
    fields = Fields(place, {"label": label, "youtube_id": name})
    for key in ("label", "youtube_id"):
        if not fields.values[key].strip():
            raise fields.error(key, "a text")
    times = Fields(place, {"time_start": number_of(start), "time_end": number_of(end)})
    found = times.span("time_start", "time_end")
    for key, value in zip(("time_start", "time_end"), found, strict=True):
        if value is None or not value.is_integer() or value >= _LONGEST_S:
            raise times.error(key, "whole seconds")
    return int(found[0] or 0), int(found[1] or 0)


def _folders(root: str, label: str, split: str) -> list[str]:
    """Where a video may lie, the most usual place first."""
    tops = [root, *(os.path.join(root, name) for name in _split_folders(split))]
    names = dict.fromkeys((label, label.replace(" ", "_")))
    return [os.path.join(top, name) for top in tops for name in names] + tops


def _split_folders(split: str) -> list[str]:
    if not split:
        return []
    return list(dict.fromkeys((split, "val"))) if split.startswith("val") else [split]


def _find(finder: FileFinder, folders: list[str], stem: str) -> str | None:
    for folder in folders:
        if (path := finder.find(folder, stem)) is not None:
            return path
    return None
