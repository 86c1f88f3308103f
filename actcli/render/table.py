"""Results as a table on a terminal, one row a video as soon as it is known.

Rows can't wait for one another, so the columns follow from the width of the terminal alone, and a
name that is too long loses its middle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console
from rich.text import Text

from actcli.render.console import is_unicode, printable
from actcli.types import Failure, Prediction, ScoredLabel

_GAP = "  "
_PERCENT_WIDTH = 4
_BAR_WIDTH = 10


@dataclass(frozen=True, slots=True)
class Layout:
    """Widths of the columns in terminal cells; 0 is a column that is left out."""

    input: int
    label: int
    bar: int
    further: int
    """What is left for the next labels."""

    @classmethod
    def for_width(cls, width: int) -> Layout:
        """Columns that fill `width` cells, from 40 upwards."""
        width = max(width, 24)
        bar = _BAR_WIDTH if width >= 70 else 0
        free = width - len(_GAP) - (bar + len(_GAP) if bar else 0) - _PERCENT_WIDTH - len(_GAP)
        if width < 100:
            name = free * 11 // 20
            return cls(name, free - name, bar, 0)
        name, label = min(free * 2 // 5, 60), min(free // 4, 36)
        return cls(name, label, bar, free - name - label - len(_GAP))


class TableWriter:
    """Prints rows to a console; a `ResultWriter`.

    console: of stdout; where a progress bar runs on the same terminal, the console of the bar
    """

    def __init__(self, console: Console, *, top: int = 5) -> None:
        self._console = console
        self._top = top
        self._layout = Layout.for_width(console.width)
        self._is_unicode = is_unicode(console)
        self._num_rows = 0

    def write(self, result: Prediction | Failure) -> None:
        """Print one row."""
        if self._num_rows == 0:
            self._print(self._header())
        self._num_rows += 1
        name = self._name(result)
        if isinstance(result, Failure):
            self._print_failure(name, result)
            return
        layout = self._layout
        row = Text(_pad(name, layout.input) + _GAP)
        style = "dim" if result.abstained or result.present == () else "bold"
        row.append(_pad(self._cut(shown_label(result), layout.label), layout.label), style=style)
        row.append(_GAP)
        if layout.bar:
            row.append(self._bar(result.score), style="green").append(_GAP)
        row.append(f"{percent(result.score):>{_PERCENT_WIDTH}}")
        if layout.further:
            row.append(_GAP + self._further(result.ranked[1 : self._top]), style="dim")
        self._print(row)

    def finish(self, run: Mapping[str, Any] | None = None) -> None:
        """Nothing is left to print."""

    def close(self) -> None:
        """The console belongs to the caller."""

    def _print(self, row: Text) -> None:
        row.rstrip()
        if not self._is_unicode:
            row.plain = row.plain.encode("ascii", "replace").decode("ascii")
        self._console.print(row, soft_wrap=True)

    def _header(self) -> Text:
        layout = self._layout
        further = f"{_GAP}next" if layout.further and self._top > 1 else ""
        score = "score".rjust(layout.bar + len(_GAP) + _PERCENT_WIDTH) if layout.bar else "   %"
        text = _pad("video", layout.input) + _GAP + _pad("label", layout.label) + _GAP
        return Text(text + score + further, style="underline")

    def _name(self, result: Prediction | Failure) -> str:
        ref = result.ref
        trim = ""
        if ref.start_s is not None or ref.end_s is not None:
            end = "" if ref.end_s is None else f"{ref.end_s:g}"
            trim = f" [{ref.start_s or 0:g}-{end} s]"
        width = self._layout.input - cell_len(trim)
        if width < 8:
            return self._cut(ref.id + trim, self._layout.input)
        return self._cut(ref.id, width) + trim

    def _cut(self, text: str, width: int) -> str:
        return cut_middle(printable(text), width, dots="…" if self._is_unicode else "...")

    def _print_failure(self, name: str, failure: Failure) -> None:
        """The message after the name, on as many lines as it needs."""
        mark = "✗ " if self._is_unicode else "x "
        indent = self._layout.input + len(_GAP) + len(mark)
        width = max(self._console.width, 24) - indent
        # The row begins with the name already.
        message = printable(failure.error.message.removeprefix(f"{failure.ref.id}: "))
        for i, line in enumerate(wrap(message, width)):
            head = _pad(name, self._layout.input) + _GAP if i == 0 else " " * (indent - len(mark))
            row = Text(head).append((mark if i == 0 else " " * len(mark)) + line, style="red")
            self._print(row)

    def _bar(self, score: float) -> str:
        """A bar of eighths of a cell, so that close scores still differ."""
        share = 0.0 if math.isnan(score) else min(max(score, 0.0), 1.0)
        eighths = round(share * _BAR_WIDTH * 8)
        if not self._is_unicode:
            return ("#" * round(eighths / 8)).ljust(_BAR_WIDTH)
        full, part = divmod(eighths, 8)
        return ("█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")).ljust(_BAR_WIDTH)

    def _further(self, ranked: tuple[ScoredLabel, ...]) -> str:
        """As many whole "label 12%" as fit."""
        text = ""
        for scored in ranked:
            item = f"{printable(scored.label)} {percent(scored.score)}"
            longer = f"{text}, {item}" if text else item
            if cell_len(longer) > self._layout.further:
                break
            text = longer
        return text


def shown_label(result: Prediction) -> str:
    """The label of a row: none where the run says so, with the best guess; or all that hold."""
    if result.present is not None:
        return ", ".join(result.present) or f"none ({result.label}?)"
    return f"none ({result.label}?)" if result.abstained else result.label


def percent(score: float) -> str:
    """A score as whole percent; "<1%" tells a small one from nothing."""
    if math.isnan(score):
        return "?"
    return "<1%" if 0 < score < 0.005 else f"{score:.0%}"


def cut_middle(text: str, width: int, *, dots: str = "…") -> str:
    """The text in at most `width` cells: its middle goes first, its end (the file) stays longer."""
    if cell_len(text) <= width:
        return text
    room = width - len(dots)
    if room < 2:
        return set_cell_size(text, max(width, 0)).rstrip()
    head = set_cell_size(text, room // 3).rstrip()
    tail_width = room - cell_len(head)
    tail = text[-tail_width:]
    while cell_len(tail) > tail_width:
        tail = tail[1:]
    return head + dots + tail


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, broken at spaces where there are some."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(joined) <= width:
            lines[-1] = joined
        else:
            pieces = chop_cells(word, max(width, 2))
            lines[-1:] = [lines[-1], *pieces] if lines[-1] else pieces
    return lines


def _pad(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
