"""Numbers as a report shows them: percent, seconds, counts."""

from __future__ import annotations

import math
from typing import Final

THIN: Final = "\u202f"
"""A narrow space that doesn't break, between a number and its unit."""
MINUS: Final = "\u2212"


def percent(value: float | None, digits: int = 1) -> str:
    """A share as percent: 0.8312 is "83.1 %"; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "\u2013"
    return f"{100 * value:.{digits}f}{THIN}%"


def decimal(value: float | None, digits: int = 3) -> str:
    """A plain number with a true minus; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "\u2013"
    return f"{value:.{digits}f}".replace("-", MINUS)


def seconds(value: float | None) -> str:
    """A time in a video: "4.2 s", from a minute on "1:04.2", from an hour on "1:01:04"."""
    if value is None or not math.isfinite(value):
        return "\u2013"
    tenths = round(value * 10)
    if tenths < 600:
        return f"{tenths / 10:.1f}{THIN}s"
    minutes, rest = divmod(tenths, 600)
    if minutes < 60:
        return f"{minutes}:{rest / 10:04.1f}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest // 10:02d}"


def count(number: int, one: str, several: str | None = None) -> str:
    """A number with its noun: "1 video", "2,000 videos"."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def is_of(part: int, whole: int) -> str:
    """How many of how many, as in "12 of 2,000"."""
    return f"{part:,} of {whole:,}"
