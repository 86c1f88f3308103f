"""Rows of a list of videos: what each says, where it stands, and how a bad one is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from actcli.errors import ManifestError
from actcli.reading import parse_json, shown


class Row(NamedTuple):
    """One video of a list, as every dialect gives it."""

    source: str
    """The file, or the folder, that names it."""
    line: int
    """Its line there, from 1; 0 where there are no lines."""
    path: str
    label: str
    start_s: float | None = None
    end_s: float | None = None
    split: str | None = None
    id: str = ""
    """What records call it, if not its path."""

    @property
    def place(self) -> str:
        """Where it stands, for messages: "list.csv:7"."""
        return f"{self.source}:{self.line}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Fields:
    """The values of one row by key, and where it stands."""

    place: str
    values: Mapping[str, Any]

    def error(self, key: str, expected: str) -> ManifestError:
        """What is wrong with the value of `key`."""
        return ManifestError(
            f'{self.place}: bad "{key}" (got {shown(self.values.get(key))}, expected {expected})'
        )

    def text(self, key: str) -> str | None:
        """A text that isn't empty, or None if there is none."""
        value = self.values.get(key)
        if value is None or (isinstance(value, str) and value):
            return value
        raise self.error(key, "a text")

    def seconds(self, key: str) -> float | None:
        """Seconds, or None if there are none."""
        value = self.values.get(key)
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # The upper bound keeps `float` from overflowing; it is also false for NaN.
        if not is_number or not 0 <= value < 1e12:
            raise self.error(key, "seconds, 0 or more")
        return float(value)

    def span(self, start: str = "start", end: str = "end") -> tuple[float | None, float | None]:
        """Start and end in seconds, the end after the start."""
        start_s, end_s = self.seconds(start), self.seconds(end)
        if end_s is not None and end_s <= (start_s or 0.0):
            raise self.error(end, f"more than {start}, {start_s or 0.0:g}")
        return start_s, end_s


def parse_object(text: str, place: str, *, hint: str | None = None) -> Fields:
    """The fields of a JSON object on one line; ManifestError for anything else."""
    try:
        values = parse_json(text)
    except ValueError as error:
        raise ManifestError(f"{place}: not a JSON object ({error})", hint=hint) from error
    if not isinstance(values, dict):
        raise ManifestError(f"{place}: not a JSON object (got {text[:40]})", hint=hint)
    return Fields(place, values)


def number_of(cell: str) -> float | str | None:
    """The number in a cell of text; the text itself if it is none, for a message; None if empty."""
    try:
        return float(cell) if cell.strip() else None
    except ValueError:
        return cell
