"""Rows of a list of videos one by one, however many there are: CSV, JSON Lines, Parquet, or paths.

Labels are not needed, and other columns say nothing to us. Relative paths begin at the list's own
folder.
"""

from __future__ import annotations

import csv
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from actcli.data.list_text import (
    END_NAMES,
    LABEL_NAMES,
    PATH_NAMES,
    START_NAMES,
    find_delimiter,
    header_names,
)
from actcli.data.rows import Fields, number_of, parse_object
from actcli.errors import InputError, ManifestError, ResourceError, shorten_list
from actcli.paths import is_remote
from actcli.types import VideoRef

URI_NAMES: Final = (*PATH_NAMES, "uri", "url")
ID_NAMES: Final = ("id",)
_ROWS_AT_ONCE: Final = 4096
_MAX_LINE: Final = 1 << 20
_CELL_NAMES: Final = (URI_NAMES, START_NAMES, END_NAMES, LABEL_NAMES, ID_NAMES)


def stream_rows(path: str) -> Iterator[VideoRef]:
    """The videos of a list as they are read; the suffix tells its kind, .txt is a path a line.

    A column for the video is needed (path, video, file, filename, input, uri or url); start, end,
    label and id may be there.

    Raises InputError, ManifestError for a bad row after those before it, ResourceError.
    """
    _check_file(path)
    suffix = os.path.splitext(path)[1].lower()
    root = os.path.dirname(path)
    try:
        if suffix == ".parquet":
            rows = _parquet(path)
        elif suffix in (".csv", ".tsv"):
            rows = _cells(path)
        elif suffix in (".jsonl", ".ndjson", ".json"):
            rows = _objects(path)
        else:
            rows = (Fields(f"{path}:{n}", {"path": line}) for n, line in _lines(path) if line)
        for fields in rows:
            yield _place(_ref(fields), root)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _check_file(path: str) -> None:
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--list {path}: cannot be read ({reason})") from error
    if not is_file:
        raise InputError(f"--list {path}: not a file", hint="- reads a list from stdin")


def _ref(fields: Fields) -> VideoRef:
    names = {wanted[0]: _first(fields.values, wanted) for wanted in _CELL_NAMES}
    path = fields.text(names["path"])
    if path is None:
        raise fields.error(names["path"], "a file name or a URI")
    start_s, end_s = fields.span(names["start"], names["end"])
    label = fields.values.get(names["label"])
    if isinstance(label, int) and not isinstance(label, bool):
        label = str(label)
    elif label != "":
        label = fields.text(names["label"])
    return VideoRef(path, start_s, end_s, _id(fields) or path, label or None)


def _id(fields: Fields) -> str | None:
    value = fields.values.get("id")
    return str(value) if isinstance(value, int) else fields.text("id")


def _first(values: Mapping[str, Any], wanted: Sequence[str]) -> str:
    return next((name for name in wanted if name in values), wanted[0])


def _place(ref: VideoRef, root: str) -> VideoRef:
    """A path of a list as one would type it here."""
    if is_remote(ref.path) or not root:
        return ref
    path = os.path.join(root, ref.path)
    return replace(ref, path=path, id=path if ref.id == ref.path else ref.id)


def _lines(path: str) -> Iterator[tuple[int, str]]:
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        number = 0
        while line := file.readline(_MAX_LINE):
            number += 1
            if len(line) == _MAX_LINE:
                raise ManifestError(f"{path}:{number}: a line longer than {_MAX_LINE >> 20} MiB")
            if "\0" in line:
                raise ManifestError(f"{path}:{number}: binary data (expected a list of videos)")
            yield number, line.rstrip("\r\n")


def _objects(path: str) -> Iterator[Fields]:
    hint = '{"path": "a.mp4"} on each line'
    for number, line in _lines(path):
        if line and not line.isspace():
            yield parse_object(line, f"{path}:{number}", hint=hint)


def _cells(path: str) -> Iterator[Fields]:
    lines = _lines(path)
    top, header = next(((n, line) for n, line in lines if line.strip()), (1, ""))
    delimiter = "\t" if path.lower().endswith(".tsv") else find_delimiter(header)
    delimiter = delimiter or _lone_delimiter(header)
    names = header_names(header, delimiter)
    if not set(URI_NAMES) & set(names):
        raise ManifestError(
            f"{path}:{top}: no column for the video (got {shorten_list(names)}, expected one of "
            f"{', '.join(URI_NAMES)})"
        )
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise ManifestError(f'{path}:{top}: the column "{twice}" is there twice')
    numbers = {name for name in names if name in (*START_NAMES, *END_NAMES)}
    text = (f"{line}\n" for _, line in lines)
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
    before = 0
    for cells in _checked(reader, path, top):
        place, before = f"{path}:{top + before + 1}", reader.line_num
        if not any(map(str.strip, cells)):
            continue
        if len(cells) != len(names):
            raise ManifestError(
                f"{place}: wrong number of cells (got {len(cells)}, expected {len(names)})",
                hint="a cell that holds the separator goes in double quotes",
            )
        values = dict(zip(names, cells, strict=True))
        yield Fields(
            place,
            {key: number_of(cell) if key in numbers else cell or None
             for key, cell in values.items()},
        )  # fmt: skip


def _lone_delimiter(header: str) -> str:
    """What separates the cells of a header with one known name, which may stand alone."""
    marks = (mark for mark in (",", "\t", ";") if {*URI_NAMES} & {*header_names(header, mark)})
    return next(marks, ",")


def _checked(reader: Iterable[list[str]], path: str, top: int) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        line = top + getattr(reader, "line_num", 0)
        raise ManifestError(f"{path}:{line}: cannot be read as cells ({error})") from error


def _parquet(path: str) -> Iterator[Fields]:
    """Rows of a Parquet file, a batch of a few thousand in memory."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ResourceError(
            "a Parquet list needs the package pyarrow, which is not installed",
            hint='pip install "actcli[parquet]"',
        ) from error
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            known = {name: name.casefold() for name in file.schema_arrow.names}
            used = [name for name, folded in known.items() if any(folded in n for n in _CELL_NAMES)]
            if not any(known[name] in URI_NAMES for name in used):
                raise ManifestError(
                    f"{path}: no column for the video (got {shorten_list(known)}, expected one of "
                    f"{', '.join(URI_NAMES)})"
                )
            number = 0
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=used):
                for row in batch.to_pylist():
                    number += 1
                    values = {known[name]: value for name, value in row.items()}
                    yield Fields(f"{path}: row {number}", values)
    except (pa.ArrowException, ValueError) as error:
        said = str(error).partition("\n")[0][:200]
        raise ManifestError(f"{path}: not a Parquet file that can be read ({said})") from error
