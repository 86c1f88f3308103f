"""Lists that say everything themselves: CSV with a header, JSON Lines, and path and label lines."""

from __future__ import annotations

import csv
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from actcli.data.inputs import is_remote
from actcli.data.list_text import (
    END_NAMES,
    LABEL_NAMES,
    PATH_NAMES,
    SPLIT_NAMES,
    START_NAMES,
    TEXT_LINE,
    ListText,
    find_delimiter,
    header_names,
)
from actcli.data.rows import Fields, Row, number_of, parse_object
from actcli.errors import ManifestError, close_names, shorten_list

log = logging.getLogger("actcli.data.table_lists")

_MOST_UNUSED = 100
"""Keys without meaning that are looked at: a list may have a million."""
_KNOWN = (*PATH_NAMES, *LABEL_NAMES, *START_NAMES, *END_NAMES, *SPLIT_NAMES)


def place_path(root: str, path: str) -> str:
    """A path of a list as one would type it here; URIs and absolute paths stay."""
    return path if is_remote(path) else os.path.join(root, path)


@dataclass(frozen=True)
class Table:
    """A list of cells under column names, in any usual way to write one."""

    found: ListText

    @cached_property
    def delimiter(self) -> str:
        """What stands between two cells."""
        delimiter = find_delimiter(self.found.first_line())
        if delimiter is None:
            raise ManifestError(
                f'{self.found.source}:1: no header line (got "{self.found.first_line()[:60]}", '
                "expected column names such as path,label)"
            )
        return delimiter

    @cached_property
    def names(self) -> list[str]:
        """The column names in lower case."""
        names = header_names(self.found.first_line(), self.delimiter)
        if twice := [name for name, count in Counter(names).items() if name and count > 1]:
            raise ManifestError(
                f'{self.found.source}:1: the column "{twice[0]}" stands there twice'
            )
        return names

    def column(self, wanted: Sequence[str]) -> int | None:
        """Where the first of these names stands, if any does."""
        return next((self.names.index(name) for name in wanted if name in self.names), None)

    def needed_column(self, what: str, wanted: Sequence[str]) -> int:
        """As `column`; ManifestError if none of the names is there."""
        if (index := self.column(wanted)) is not None:
            return index
        expected = " or ".join(f'"{name}"' for name in wanted)
        raise ManifestError(
            f"{self.found.source}:1: no column for the {what} "
            f"(got {shorten_list(self.names, limit=8)}, expected {expected})"
        )

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line and cells of every row below the header."""
        width, before = len(self.names), 0
        source = self.found.source
        lines = (line + "\n" for line in self.found.text.split("\n"))
        reader = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True, strict=True)
        try:
            next(cells for cells in reader if any(map(str.strip, cells)))
            before = reader.line_num
            for cells in reader:
                line, before = before + 1, reader.line_num
                if not any(map(str.strip, cells)):
                    continue  # spreadsheets write rows of separators
                if len(cells) == width:
                    yield line, cells
                else:
                    raise ManifestError(
                        f"{source}:{line}: wrong number of cells (got {len(cells)}, "
                        f"expected {width})",
                        hint="a cell that holds the separator goes in double quotes",
                    )
        except csv.Error as error:
            raise ManifestError(
                f"{source}:{before + 1}: cannot be read as cells ({error})",
                hint="a cell that holds a double quote goes in double quotes, and doubles it",
            ) from error


def read_csv(found: ListText) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of a table, and the columns that say nothing to us."""
    table = Table(found)
    path_at = table.needed_column("video", PATH_NAMES)
    label_at = table.needed_column("label", LABEL_NAMES)
    start_at, end_at = table.column(START_NAMES), table.column(END_NAMES)
    split_at = table.column(SPLIT_NAMES)
    used = {path_at, label_at, start_at, end_at, split_at}
    unused = [name for i, name in enumerate(table.names) if i not in used and name]
    has_times = start_at is not None or end_at is not None
    names = table.names
    rows = []
    for line, cells in table.rows():
        path, label = cells[path_at], cells[label_at].strip()
        start_s = end_s = None
        if not path or not label or has_times:
            fields = _cell_fields(f"{found.source}:{line}", names, cells, (start_at, end_at))
            _check_filled(fields, names[path_at], names[label_at])
            start_s, end_s = _span(fields, names, start_at, end_at)
        split = cells[split_at].strip() or None if split_at is not None else None
        path = place_path(found.root, path)
        rows.append(Row(found.source, line, path, label, start_s, end_s, split))
    _say_unused(found.source, unused)
    return rows, tuple(unused)


def _cell_fields(
    place: str, names: Sequence[str], cells: Sequence[str], times_at: Iterable[int | None]
) -> Fields:
    values: dict[str, object] = dict(zip(names, cells, strict=True))
    for index in times_at:
        if index is not None:
            values[names[index]] = number_of(cells[index])
    return Fields(place, values)


def _check_filled(fields: Fields, path: str, label: str) -> None:
    for name, what in ((path, "a file name"), (label, "a label")):
        if not fields.values[name].strip():
            raise fields.error(name, what)


def _span(
    fields: Fields, names: Sequence[str], start_at: int | None, end_at: int | None
) -> tuple[float | None, float | None]:
    start = "start" if start_at is None else names[start_at]
    return fields.span(start, "end" if end_at is None else names[end_at])


def read_jsonl(found: ListText) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of JSON Lines, and the keys that say nothing to us."""
    rows = []
    unused: dict[str, None] = {}
    for line, content in found.lines():
        fields = parse_object(
            content,
            f"{found.source}:{line}",
            hint='{"path": "a.mp4", "label": "run"} on each line',
        )
        path, label = _first_text(fields, PATH_NAMES), _label(fields)
        start, end = _first_key(fields, START_NAMES), _first_key(fields, END_NAMES)
        start_s, end_s = fields.span(start, end)
        split = fields.text("split")
        path = place_path(found.root, path)
        name = fields.text("id") or ""
        rows.append(Row(found.source, line, path, label, start_s, end_s, split, name))
        if len(unused) < _MOST_UNUSED:
            keys = (key for key in fields.values if key not in _KNOWN and key != "id")
            unused |= dict.fromkeys(islice(keys, _MOST_UNUSED))
    _say_unused(found.source, list(unused))
    return rows, tuple(unused)


def _first_key(fields: Fields, names: Sequence[str]) -> str:
    return next((name for name in names if name in fields.values), names[0])


def _first_text(fields: Fields, names: Sequence[str]) -> str:
    key = _first_key(fields, names)
    if text := fields.text(key):
        return text
    raise fields.error(key, "a text")


def _label(fields: Fields) -> str:
    """The label; a whole number comes as its digits, and waits for its name."""
    key = _first_key(fields, LABEL_NAMES)
    value = fields.values.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _first_text(fields, LABEL_NAMES)


def read_text(found: ListText) -> list[Row]:
    """The rows of lines `path<TAB>label`, or `path label` where neither has spaces or is bare."""
    rows = []
    for line, content in found.lines():
        path, label = _split_line(found.source, line, content)
        rows.append(Row(found.source, line, place_path(found.root, path), label))
    return rows


def _split_line(source: str, line: int, content: str) -> tuple[str, str]:
    if "\t" in content:
        path, *labels = content.split("\t")
        if len(labels) == 1 and path and labels[0].strip():
            return path, labels[0].strip()
        raise ManifestError(
            f"{source}:{line}: not path<TAB>label (got {len(labels) + 1} cells, expected 2)"
        )
    match = TEXT_LINE.fullmatch(content)
    if match is not None:
        return _unquoted(match["path"]), _unquoted(match["label"])
    num_words = len(content.split())
    is_frames = num_words == 3 and content.split()[1].isdigit()
    raise ManifestError(
        f"{source}:{line}: not a path and a label (got {num_words} words, expected 2)",
        hint="folders of frames are not read, only videos"
        if is_frames
        else "put a tab between path and label, or double quotes around each",
    )


def _unquoted(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word


def _say_unused(source: str, names: Sequence[str]) -> None:
    """Columns that look as if they meant something get a warning, the others a note."""
    for name in names[:_MOST_UNUSED]:
        close = close_names(name, _KNOWN, limit=1)
        parts = set(re.split(r"[^a-z]+", name.casefold()))
        if parts & {"start", "end"}:
            hint = "trims are columns named start and end, in seconds"
        elif close and _is_typo(name, close[0]):
            hint = f"did you mean {close[0]}?"
        else:
            continue
        log.warning('%s: the column "%s" is not used (%s)', source, name, hint)
    if names:
        log.info("%s: columns not used: %s", source, shorten_list(names))


def _is_typo(name: str, known: str) -> bool:
    """True for "lable" and "label": the same letters, but for one."""
    return len(set(name) ^ set(known)) <= 1 and abs(len(name) - len(known)) <= 1
