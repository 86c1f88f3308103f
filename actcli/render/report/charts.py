"""The shapes of charts, as pure functions from numbers to SVG paths and places of ticks.

All paths lie in a square of 100 by 100 that the page stretches; texts are HTML beside it, so that
they keep their size on every screen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from actcli.render.report.numbers import decimal

SIDE: Final = 100.0
_MOST_POINTS: Final = 400


@dataclass(frozen=True, slots=True)
class Tick:
    """A text on an axis, at a share of its length in percent."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one line; a y of None leaves a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]
    tone: int = 0
    """Which colour and dash."""
    has_dots: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it is drawn."""

    name: str
    path: str
    tone: int
    dots: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines over two axes, and the same in words for those who don't see them."""

    title: str
    x_name: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    summary: str


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, as many as `most` allows and two at least."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (factor * power for factor in (1, 2, 5, 10, 20)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [k * step for k in range(first, last + 1)]


def tick_text(value: float, step: float) -> str:
    """A tick with as many decimals as its step needs."""
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return f"{value + 0.0:,.{min(digits, 6)}f}".replace("-", "\u2212")


def thinned(
    points: Sequence[tuple[float, float | None]], most: int = _MOST_POINTS
) -> list[tuple[float, float | None]]:
    """At most that many points: means of neighbours, so that a long line keeps its course."""
    size = math.ceil(len(points) / most)
    if size <= 1:
        return list(points)
    found: list[tuple[float, float | None]] = []
    for first in range(0, len(points), size):
        group = points[first : first + size]
        values = [y for _, y in group if y is not None]
        mean = math.fsum(values) / len(values) if values else None
        found.append((math.fsum(x for x, _ in group) / len(group), mean))
    return found


def scale(low: float, high: float) -> Callable[[float], float]:
    """From [low, high] to [0, 100], and no further."""
    width = high - low or 1.0
    return lambda value: min(SIDE, max(0.0, (value - low) / width * SIDE))


def line_path(
    points: Iterable[tuple[float, float | None]],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    """A line through points, upwards is more; it is broken where a value is missing."""
    words: list[str] = []
    is_open = False
    for place, value in points:
        if value is None or not math.isfinite(value):
            is_open = False
            continue
        words.append(f"{'L' if is_open else 'M'}{x(place):.2f} {SIDE - y(value):.2f}")
        is_open = True
    return "".join(words)


def dot_path(
    points: Iterable[tuple[float, float | None]],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    """Points alone: lines of no length, which round caps make visible."""
    return "".join(
        f"M{x(place):.2f} {SIDE - y(value):.2f}h0"
        for place, value in points
        if value is not None and math.isfinite(value)
    )


def line_plot(
    title: str,
    series: Sequence[Series],
    *,
    x_name: str,
    y_range: tuple[float, float] | None = None,
    x_range: tuple[float, float] | None = None,
    x_text: Callable[[float], str] | None = None,
) -> Plot | None:
    """A plot of lines; None where there is no point to draw."""
    known = [(x, y) for one in series for x, y in one.points
             if y is not None and math.isfinite(y)]  # fmt: skip
    if not known:
        return None
    left, right = x_range or (min(x for x, _ in known), max(x for x, _ in known))
    low, high = y_range or _room([y for _, y in known])
    x, y = scale(left, right), scale(low, high)
    lines = []
    for one in series:
        points = thinned(one.points)
        dots = dot_path(points, x, y) if one.has_dots else ""
        lines.append(Line(one.name, line_path(points, x, y), one.tone, dots))
    across, up = ticks(left, right), ticks(low, high, 5)
    return Plot(
        title, x_name, tuple(lines),
        _ticks(across, x, x_text), _ticks(up, y, None),
        " ".join(_in_words(one) for one in series),
    )  # fmt: skip


def _ticks(
    values: Sequence[float], place: Callable[[float], float], text: Callable[[float], str] | None
) -> tuple[Tick, ...]:
    step = values[1] - values[0] if len(values) > 1 else 0.001
    return tuple(Tick(round(place(v), 2), text(v) if text else tick_text(v, step)) for v in values)


def _room(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low >= 0 and low < 0.5 * high:
        low = 0.0
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return (low if low == 0 else low - margin), high + margin


def _in_words(one: Series) -> str:
    values = [y for _, y in one.points if y is not None and math.isfinite(y)]
    if not values:
        return f"{one.name}: none."
    text = f"{one.name}: from {decimal(values[0])} to {decimal(values[-1])}"
    return f"{text}, lowest {decimal(min(values))}, highest {decimal(max(values))}."


def step_area(values: Sequence[float | None], edges: Sequence[tuple[float, float]]) -> str:
    """A filled shape as high as each value (0 to 1) between its edges (0 to 100)."""
    words = []
    for value, (left, right) in zip(values, edges, strict=True):
        if value is None or not math.isfinite(value) or value <= 0:
            continue
        top = SIDE * (1 - min(1.0, value))
        words.append(f"M{left:.2f} {SIDE:g}V{top:.1f}H{right:.2f}V{SIDE:g}z")
    return "".join(words)


def cells(
    spans: Sequence[tuple[float, float]], start: float, end: float
) -> list[tuple[float, float]]:
    """Where each of several rising, maybe overlapping spans is drawn, [left, right] in percent.

    Where two overlap, they meet half-way between their middles.
    """
    if not spans:
        return []
    middles = [(a + b) / 2 for a, b in spans]
    lefts, rights = [a for a, _ in spans], [b for _, b in spans]
    for i in range(len(spans) - 1):
        if rights[i] > lefts[i + 1]:
            rights[i] = lefts[i + 1] = (middles[i] + middles[i + 1]) / 2
    x = scale(start, end)
    return [(x(a), max(x(a), x(b))) for a, b in zip(lefts, rights, strict=True)]
