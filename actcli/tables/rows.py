"""Rows of a table of embeddings, one by one to be written, many at once when read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actcli.errors import VIDEO_ERROR_KINDS, VideoError
from actcli.tables.info import TableInfo
from actcli.types import Failure, Part, VideoRef

FIELDS: Final = (
    "input", "input_bytes", "path", "label", "start", "end", "trim_start", "trim_end", "ok",
    "error_kind", "error", "error_hint", "frames_s", "warnings", "first_frame", "last_frame",
    "video_s", "content",
)  # fmt: skip
"""The columns of a table, its values apart."""
_OF_WINDOWS: Final = ("first_frame", "last_frame", "video_s")
_NONE: Final = type(None)
_NUMBERS: Final = frozenset({int, float})
_LISTS: Final[frozenset[type]] = frozenset({list, tuple, _NONE})
_NO_TEXT: Final[Mapping[str, frozenset[type]]] = {
    "input": frozenset({str}), "input_bytes": frozenset({bytes, _NONE}), "ok": frozenset({bool}),
    "frames_s": _LISTS, "warnings": _LISTS,
    **dict.fromkeys(("first_frame", "last_frame"), frozenset({int, _NONE})),
    **dict.fromkeys(("start", "end", "trim_start", "trim_end", "video_s"), _NUMBERS | {_NONE}),
}  # fmt: skip
_TYPES: Final = dict.fromkeys(FIELDS, frozenset({str, _NONE})) | dict(_NO_TEXT)
"""What items of a column may be: a table may come from anyone."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One video or window with its embeddings, un-normalised unless they were pooled."""

    ref: VideoRef
    values: NDArray[Any]
    """[V, T', D]"""
    frames_s: tuple[float, ...]
    """Times of the frames of all views, one view after another."""
    start_s: float
    end_s: float
    warnings: tuple[str, ...] = ()
    part: Part | None = None
    content: str | None = None
    """Hex sha256 of the file, where it is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows as they were read; a list has an item a row."""

    refs: list[VideoRef]
    values: NDArray[Any]
    """[n, V, T', D]; what stands where a row failed means nothing"""
    spans: list[tuple[float, float]]
    frames_s: list[list[float]]
    warnings: list[tuple[str, ...]]
    parts: list[Part | None]
    failures: dict[int, Failure]
    """By place, rows that can't be used."""
    num_views: int = 1
    """Views that the frames of a row are of."""

    def __len__(self) -> int:
        return len(self.refs)


def fields_of(row: Row | Failure) -> dict[str, Any]:
    """A row by the names of its columns, its values apart.

    Names that are not UTF-8 are shown with escapes, and kept as bytes beside that.
    """
    ref = row.ref
    start_s, end_s = (row.start_s, row.end_s) if isinstance(row, Row) else (None, None)
    error = row.error if isinstance(row, Failure) else None
    part = row.part if isinstance(row, Row) else None
    shown = as_text(ref.id)
    return {
        "input": shown,
        "input_bytes": None if shown == ref.id else _as_bytes(ref.id),
        "path": None if ref.path == ref.id else as_text(ref.path),
        "label": as_text(ref.label),
        "start": start_s if ref.start_s is None else ref.start_s,
        "end": end_s if ref.end_s is None else ref.end_s,
        "trim_start": ref.start_s,
        "trim_end": ref.end_s,
        "ok": error is None,
        "error_kind": error and error.kind,
        "error": error and as_text(error.message),
        "error_hint": error and as_text(error.hint),
        "frames_s": list(row.frames_s) if isinstance(row, Row) else [],
        "warnings": [as_text(text) for text in row.warnings] if isinstance(row, Row) else [],
        "first_frame": part and part.first_frame,
        "last_frame": part and part.last_frame,
        "video_s": part and part.video_s,
        "content": row.content if isinstance(row, Row) else None,
    }


def as_text(text: str | None) -> str | None:
    """Text that UTF-8 can hold: bytes that are none stand there as escapes."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def _as_bytes(name: str) -> bytes | None:
    """The bytes of a name that isn't UTF-8; None for half a character, which no file's name has."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None


def make_batch(columns: Mapping[str, Sequence[Any]], values: NDArray[Any], num_views: int) -> Batch:
    """Rows from their columns, each a list with an item a row.

    values: [n, V, T', D]
    num_views: that the frames of a row are of

    Raises ValueError for columns that no run of ours writes.
    """
    check_columns(columns)
    refs = list(_refs(columns))
    is_finite = np.isfinite(values.reshape(len(values), -1)).all(1)
    failures = {}
    for i in np.flatnonzero(~is_finite | ~np.array(columns["ok"], bool)).tolist():
        failures[i] = Failure(refs[i], _error(columns, i))
    windows = zip(*(columns[name] for name in _OF_WINDOWS), strict=True)
    return Batch(
        refs,
        values,
        list(zip(_numbers(columns["start"]), _numbers(columns["end"]), strict=True)),
        [times or [] for times in columns["frames_s"]],
        [tuple(said or ()) for said in columns["warnings"]],
        [None if one[0] is None else Part("window", *one) for one in windows],
        failures,
        num_views,
    )


def check_columns(columns: Mapping[str, Sequence[Any]]) -> None:
    """Raise ValueError for items of another type, or for times that are no number."""
    for name, kinds in _TYPES.items():
        if not set(map(type, columns[name])) <= kinds:
            raise ValueError(f"column {name} has an item of another type")
    if not all(columns["input"]):
        raise ValueError("column input has an empty name")
    for name, kind in (("frames_s", _NUMBERS), ("warnings", {str})):
        items = list(chain.from_iterable(filter(None, columns[name])))
        if not set(map(type, items)) <= kind:
            raise ValueError(f"column {name} has an item of another type")
        if kind is _NUMBERS and not _are_finite(items):
            raise ValueError(f"column {name} has an item that is no number")
    for name in ("start", "end", "trim_start", "trim_end", "video_s"):
        if not _are_finite(filter(None, columns[name])):
            raise ValueError(f"column {name} has an item that is no number")
    for one in zip(*(columns[name] for name in _OF_WINDOWS), strict=True):
        if one.count(None) not in (0, len(one)):
            raise ValueError("a window without its place")


def _are_finite(numbers: Iterable[float]) -> bool:
    try:
        return math.isfinite(sum(numbers))
    except OverflowError:
        return False


def _numbers(column: Sequence[Any]) -> list[float]:
    return [0.0 if value is None else value for value in column]


def _refs(columns: Mapping[str, Sequence[Any]]) -> Iterator[VideoRef]:
    names = ("input", "input_bytes", "path", "trim_start", "trim_end", "label")
    for shown, raw, path, start_s, end_s, label in zip(
        *(columns[name] for name in names), strict=True
    ):
        name = raw.decode("utf-8", "surrogateescape") if raw else shown
        yield VideoRef(path or name, start_s, end_s, name, label)


def _error(columns: Mapping[str, Sequence[Any]], i: int) -> VideoError:
    kind, said = columns["error_kind"][i], columns["error"][i]
    if columns["ok"][i]:
        return VideoError("unreadable", "its embedding in the table is missing or no number")
    known: Any = kind if kind in VIDEO_ERROR_KINDS else "unreadable"
    return VideoError(known, said or "failed", hint=columns["error_hint"][i])


def seen_in(info: TableInfo, row: Row) -> TableInfo:
    """The conditions of a table with the shape that its first good row shows."""
    views, frames, dim = row.values.shape
    return replace(info, shape=(views, frames, dim))


def check_row(row: Row, info: TableInfo) -> None:
    """Raise AssertionError for a row that is no row of this table."""
    assert row.values.shape == info.shape, f"{row.values.shape} in a table of {info.shape}"
