"""Labelled lists of videos: whatever says which video shows what, read into one shape.

A list is a folder per label, a CSV or TSV with a header, JSON Lines, lines of `path<TAB>label`, or
an official list of Kinetics, UCF101, HMDB51, Something-Something or of few-shot splits. Its kind is
told by its content. Labels are matched by name, never by number: a list that has numbers needs the
names beside it. Relative paths begin at the list's own folder.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from actcli.data.class_folders import read_folders
from actcli.data.kinetics_lists import read_kinetics
from actcli.data.list_text import (
    DIALECTS,
    HMDB_NAME,
    UCF_NAME,
    ListText,
    read_list_text,
    recognise,
)
from actcli.data.official_lists import (
    check_number,
    numbered_split,
    read_few_shot,
    read_hmdb,
    read_split_folder,
    read_ssv2,
    read_ucf,
)
from actcli.data.rows import Row
from actcli.data.table_lists import read_csv, read_jsonl, read_text
from actcli.data.walk import natural_key
from actcli.errors import ManifestError, UsageError, did_you_mean, shorten_list
from actcli.types import VideoRef
from actcli.wording import same_label_key

__all__ = ["DIALECTS", "Manifest", "read_manifest"]

log = logging.getLogger("actcli.data.manifest")

_READERS = {
    "kinetics": read_kinetics, "ucf101": read_ucf, "hmdb51": read_hmdb, "ssv2": read_ssv2,
    "few-shot": read_few_shot, "text": read_text,
}  # fmt: skip
_MAY_HAVE_NUMBERS = {"csv", "jsonl", "text", "few-shot"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A labelled list of videos; every video has its label's name."""

    source: str
    """The list as the user named it."""
    dialect: str
    refs: tuple[VideoRef, ...]
    labels: tuple[str, ...]
    """Of these videos, in the order of their first; of folders in natural order."""
    splits: tuple[str, ...] = ()
    """All that the list names, whichever was asked for."""
    ref_splits: tuple[str | None, ...] = ()
    """The split of each video."""
    empty: tuple[str, ...] = ()
    """Labels of folders that hold no video."""
    unused: tuple[str, ...] = ()
    """Columns that say nothing to us."""

    def __len__(self) -> int:
        return len(self.refs)


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a reader found, before labels and rows are compared with one another."""

    dialect: str
    rows: list[Row]
    split: str | None
    """The split to take."""
    empty: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def read_manifest(
    path: str | Path,
    *,
    root: str | Path | None = None,
    split: str | None = None,
    names: Sequence[str] | None = None,
    glob: str | None = None,
    dialect: str | None = None,
    several: bool = False,
) -> Manifest:
    """The labelled videos that a file or a folder lists.

    root: where relative paths begin, instead of the folder of the list
    split: only the videos of this split; official lists have numbers too ("train2")
    names: what the numbers in a list stand for, name i for number i; unused where it has names
    glob: which files of folders, instead of those with the suffix of a video
    dialect: one of DIALECTS, where the content does not tell
    several: whether one video may have several labels, a row each

    Videos that don't exist are listed all the same. A repeated row is one video, with a warning.

    Raises ManifestError, InputError, UsageError.
    """
    source, top = os.fspath(path), None if root is None else os.fspath(root)
    listing = _read(source, top, split, glob, dialect)
    rows = listing.rows
    if listing.dialect in _MAY_HAVE_NUMBERS:
        rows = _name_numbers(rows, names)
    rows = _tidy_labels(rows)
    splits = tuple(dict.fromkeys(row.split for row in rows if row.split is not None))
    rows = _drop_repeats(source, _of_split(source, rows, listing.split, splits), several=several)
    labels = list(dict.fromkeys(row.label for row in rows))
    if listing.dialect == "folder":
        labels.sort(key=natural_key)
    return Manifest(
        source=source,
        dialect=listing.dialect,
        refs=tuple(VideoRef(r.path, r.start_s, r.end_s, r.id or r.path, r.label) for r in rows),
        labels=tuple(labels),
        splits=splits,
        ref_splits=tuple(row.split for row in rows),
        empty=listing.empty,
        unused=listing.unused,
    )


def _read(
    source: str, root: str | None, split: str | None, glob: str | None, dialect: str | None
) -> _Listing:
    """The rows of whatever `source` is, at least one."""
    if dialect is not None and dialect not in DIALECTS:
        raise UsageError(
            f"{dialect}: unknown kind of list (expected one of {', '.join(DIALECTS)})",
            hint=did_you_mean(dialect, DIALECTS),
        )
    if root and not os.path.isdir(root):
        log.warning("--root %s: no such folder", root)
    if os.path.isdir(source):
        listing = _read_folder(source, root, split, glob, dialect)
    elif glob is not None:
        raise UsageError(f"--glob: is for folders (got the file {source})")
    else:
        listing = _read_file(read_list_text(source, root), split, dialect)
    if not listing.rows:
        raise ManifestError(f"{source}: no videos in it")
    return listing


def _read_folder(
    source: str, root: str | None, split: str | None, glob: str | None, dialect: str | None
) -> _Listing:
    """Class folders, unless the folder is one of official lists."""
    names = os.listdir(source)
    for official, pattern in (("hmdb51", HMDB_NAME), ("ucf101", UCF_NAME)):
        if dialect in (None, official) and any(map(pattern.fullmatch, names)):
            split, number = numbered_split(split)
            return _Listing(official, read_split_folder(source, pattern, root, number), split)
    if dialect not in (None, "folder"):
        raise UsageError(f"{source}: is a folder without lists of {dialect}")
    if root is not None:
        raise UsageError(f"--root: is for lists (got the folder {source})")
    rows, empty = read_folders(source, glob=glob)
    return _Listing("folder", rows, split, empty)


def _read_file(found: ListText, split: str | None, dialect: str | None) -> _Listing:
    kind = dialect or recognise(found)
    if kind == "folder":
        raise UsageError(f"{found.source}: is a file (expected a folder)")
    if kind in ("csv", "jsonl"):
        rows, unused = read_csv(found) if kind == "csv" else read_jsonl(found)
        return _Listing(kind, rows, split, unused=unused)
    if kind in ("hmdb51", "ucf101"):
        split, number = numbered_split(split)
        check_number(found, HMDB_NAME if kind == "hmdb51" else UCF_NAME, number)
    return _Listing(kind, _READERS[kind](found), split)


def _name_numbers(rows: list[Row], names: Sequence[str] | None) -> list[Row]:
    """Rows with names for numbers, if the first label is a number: then all must be."""
    first = rows[0]
    if not first.label.isdecimal():
        return rows
    if names is None:
        raise ManifestError(
            f"{first.place}: labels are numbers (got {first.label}, expected a name: "
            "labels are matched by name, never by number)",
            hint="--labels-file FILE, in which the first line is number 0",
        )
    named = []
    for row in rows:
        number = int(row.label) if row.label.isdecimal() and len(row.label) < 10 else len(names)
        if number >= len(names):
            raise ManifestError(
                f"{row.place}: bad label (got {row.label}, expected a number from 0 to "
                f"{len(names) - 1}, as there are {len(names)} names)"
            )
        named.append(row._replace(label=names[number]))
    return named


def _tidy_labels(rows: list[Row]) -> list[Row]:
    """Rows with single spaces in labels; ManifestError for two spellings of one."""
    tidied: dict[str, str] = {}
    first: dict[str, Row] = {}
    for row in rows:
        if row.label in tidied:
            continue
        name = tidied[row.label] = " ".join(row.label.split())
        earlier = first.setdefault(same_label_key(name), row)
        if tidied[earlier.label] != name:
            raise ManifestError(
                f'{row.place}: the label "{name}" reads the same as "{earlier.label}" '
                f"({earlier.place})",
                hint="spell it one way; capitals, underscores and joined words make no difference",
            )
    if all(before == after for before, after in tidied.items()):
        return rows
    return [row._replace(label=tidied[row.label]) for row in rows]


def _of_split(source: str, rows: list[Row], wanted: str | None, splits: Sequence[str]) -> list[Row]:
    if wanted is None:
        return rows
    if not splits:
        raise UsageError(f"--split {wanted}: {source} names no splits")
    chosen = [name for name in splits if name == wanted]
    chosen = chosen or [name for name in splits if _split_key(name) == _split_key(wanted)]
    if not chosen:
        raise UsageError(
            f"--split {wanted}: not in {source} (got {shorten_list(splits)})",
            hint=did_you_mean(wanted, splits),
        )
    return [row for row in rows if row.split in chosen]


def _split_key(name: str) -> str:
    """Equal for "val", "Validate" and "validation"."""
    folded = name.casefold()
    return "val" if folded in ("validate", "validation") else folded


def _drop_repeats(source: str, rows: list[Row], *, several: bool) -> list[Row]:
    """Rows without those that repeat another; ManifestError where only the label differs."""
    first: dict[tuple[str, float, float | None, str], Row] = {}
    kept = []
    repeats = []
    for row in rows:
        label = row.label if several else ""
        key = (os.path.normpath(row.path), row.start_s or 0.0, row.end_s, label)
        earlier = first.setdefault(key, row)
        if earlier is row:
            kept.append(row)
        elif earlier.label == row.label:
            repeats.append((earlier, row))
        else:
            raise ManifestError(
                f'{row.place}: "{row.path}" has two labels (got "{row.label}", and '
                f'"{earlier.label}" at {earlier.place})'
            )
    if repeats:
        earlier, row = repeats[0]
        log.warning(
            "%s: %d rows repeat another and are left out (first: %s = %s)",
            source, len(repeats), row.place, earlier.place,
        )  # fmt: skip
    if crossing := sum(earlier.split != row.split for earlier, row in repeats):
        log.warning("%s: %d videos are in more than one split", source, crossing)
    return kept
