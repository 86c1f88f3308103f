"""What a cache holds, as lines for people and as a record for programs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from actcli.cache import CacheInfo
from actcli.render.console import printable

CACHE_SCHEMA: Final = "actcli.cache/1"


def info_record(info: CacheInfo) -> dict[str, Any]:
    """A record of schema `actcli.cache/1`."""
    return {
        "schema": CACHE_SCHEMA,
        "path": info.path,
        "embeddings": info.embeddings,
        "digests": info.digests,
        "bytes": info.num_bytes,
        "max_bytes": info.max_bytes,
        "oldest": _day(info.oldest),
    }


def info_lines(info: CacheInfo) -> Iterator[str]:
    """A fact a line."""
    used, room = info.num_bytes / 1e6, info.max_bytes / 1e6
    yield f"path          {printable(info.path)}"
    yield f"embeddings    {info.embeddings:,}" + (
        f", the oldest of {_day(info.oldest)}" if info.oldest is not None else ""
    )
    yield f"known files   {info.digests:,}"
    yield f"size          {used:,.1f} MB of {room:,.0f} ({used / room:.0%})"


def _day(seconds: float | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}Z"
