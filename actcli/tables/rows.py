"""Rows of a table of embeddings, one by one to be written, many at once when read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
        "input_bytes": None if shown == ref.id else ref.id.encode("utf-8", "surrogateescape"),
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


def make_batch(columns: Mapping[str, Sequence[Any]], values: NDArray[Any], num_views: int) -> Batch:
    """Rows from their columns, each a list with an item a row.

    values: [n, V, T', D]
    num_views: that the frames of a row are of
    """
    refs = list(_refs(columns))
    is_finite = np.isfinite(values.reshape(len(values), -1)).all(1)
    failures = {}
    for i in np.flatnonzero(~is_finite | ~np.array(columns["ok"], bool)).tolist():
        failures[i] = Failure(refs[i], _error(columns, i))
    frames = [f"{name}_frame" for name in ("first", "last")]
    windows = zip(*(columns[name] for name in (*frames, "video_s")), strict=True)
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


def _numbers(column: Sequence[Any]) -> list[float]:
    return [0.0 if value is None else value for value in column]


def _refs(columns: Mapping[str, Sequence[Any]]) -> Iterator[VideoRef]:
    names = ("input", "input_bytes", "path", "trim_start", "trim_end", "label")
    for shown, raw, path, start_s, end_s, label in zip(
        *(columns[name] for name in names), strict=True
    ):
        name = shown if raw is None else raw.decode("utf-8", "surrogateescape")
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
