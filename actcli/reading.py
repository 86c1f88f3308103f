"""Files and JSON from anyone: none larger or deeper than is sensible, whatever it claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Protocol

_CHUNK_BYTES: Final = 1 << 20
_SHOWN: Final = 60


class Readable(Protocol):
    """An open file, as far as it is needed here."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


def read_at_most(source: str | Path | Readable, most: int) -> bytes | None:
    """The content of a file, or the rest of an open one; None if that is more than `most` bytes.

    Memory is taken as bytes come, never before. Raises OSError.
    """
    if isinstance(source, str | Path):
        with open(source, "rb") as file:
            return read_at_most(file, most)
    parts, left = [], most
    while chunk := source.read(min(_CHUNK_BYTES, left + 1)):
        left -= len(chunk)
        if left < 0:
            return None
        parts.append(chunk)
    return b"".join(parts)


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says. Raises ValueError for one that is none, or is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def shown(value: object) -> str:
    """A value of a file as a message shows it: as JSON, and not all of a long one."""
    if isinstance(value, str):
        value = value[: 2 * _SHOWN]
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):  # of Parquet, or a list of lists of lists
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
