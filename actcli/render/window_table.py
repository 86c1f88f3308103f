"""Results of windows and segments on a terminal: a block a video, with scores over time.

    film.mp4  10:00.0  597 windows
      run   ▁▁▂▅██▇▃▁          ▁▁▂▂▁   97% at 1:12.0
      jump         ▁▃▅▂▁  ▁▂            61% at 1:38.0

A line of windows holds one window a cell, or more of them where the terminal has too few cells,
the highest of which counts. Its full height is a score of 1. Segments are rows of their own, each
as soon as it is known.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise, zip_longest
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from actcli.render.console import printable
from actcli.render.table import TableWriter, percent
from actcli.types import Failure, Part, Prediction
from actcli.windows import goes_on

_INDENT: Final = "  "
_GAP: Final = "  "
_HEIGHTS: Final = " ▁▂▃▄▅▆▇█"
_ASCII_HEIGHTS: Final = " .:-=+*#"
_SEEN: Final = 0.005
"""What rounds to 1 percent; less is left blank."""
_MAX_CELLS: Final = 2048
_MAX_LINES, _MAX_NARROW_LINES, _NARROW = 5, 3, 60
_MAX_LABEL: Final = 34
_WIDE: Final = 70
_TIME_WIDTH: Final = 7
_SPAN_WIDTH: Final = 2 * _TIME_WIDTH + 1
_MIN_NAME: Final = 12


class WindowTableWriter(TableWriter):
    """Prints a block for each video; a `ResultWriter`.

    Windows of a video come one after another, and its block is printed with the first result of
    another video, or at `finish` or `close`. Results of whole videos, and failures, are rows as in
    `TableWriter`, without its heading.

    console: of stdout; where a progress bar runs on the same terminal, the console of the bar
    """

    def __init__(self, console: Console, *, top: int = 5) -> None:
        super().__init__(console, top=top)
        self._num_rows = 1  # no heading
        self._width = max(console.width, 24)
        self._video: _Video | None = None

    def write(self, result: Prediction | Failure) -> None:
        """Print a segment, or keep the scores of a window until its video is complete."""
        part = None if isinstance(result, Failure) else result.part
        if isinstance(result, Failure) or part is None:
            self._end_video()
            super().write(result)
            return
        if self._video is None or not goes_on(self._video.last, result):
            self._end_video()
            self._video = _Video(result, part)
            if part.kind == "segment":
                self._print_head(self._video, [clock(part.video_s)])
        self._video.add(result)
        if part.kind == "segment":
            self._print_segment(result)

    def finish(self, run: Mapping[str, Any] | None = None) -> None:
        """Print the last video."""
        self._end_video()

    def close(self) -> None:
        """Print what is known of a video that was begun; the console belongs to the caller."""
        self._end_video()

    def _end_video(self) -> None:
        video, self._video = self._video, None
        if video is None or video.part.kind == "segment":
            return
        count = f"{video.num_parts} window{'' if video.num_parts == 1 else 's'}"
        length = clock(video.part.video_s)
        facts = [_GAP.join([length, count]), count, ""]
        if video.is_trimmed():
            span = self._span(video.first_s, video.end_s)
            facts.insert(0, _GAP.join([f"{span} of {length}", count]))
        self._print_head(video, facts)
        self._print_lines(video)

    def _print_head(self, video: _Video, facts: Sequence[str]) -> None:
        """The name, and the first of the facts that leaves room for it, else the last."""
        name = cell_len(printable(video.name))
        for fact in facts:
            room = self._width - len(_GAP) - cell_len(fact)
            if room >= min(name, _MIN_NAME):
                break
        head = Text(self._cut(video.name, room), style="bold")
        self._print(head.append(_GAP + fact, style="not bold dim"))

    def _print_lines(self, video: _Video) -> None:
        """The labels with the highest peaks, each with its scores over time."""
        is_narrow = self._width < _NARROW
        lines = video.best(min(self._top, _MAX_NARROW_LINES if is_narrow else _MAX_LINES))
        when = _GAP if is_narrow else " at "
        peak_width = len("100%") + len(when) + _TIME_WIDTH
        free = self._width - len(_INDENT) - 2 * len(_GAP) - peak_width
        longest = max(cell_len(self._cut(label, _MAX_LABEL)) for label, _ in lines)
        label_width = max(min(longest, free // 2 if is_narrow else free * 2 // 5), 1)
        num_cells = min(video.num_cells, max(free - label_width, 1))
        for label, line in lines:
            heights = self._heights(line.resampled(video.num_cells, num_cells))
            text = self._cut(label, label_width)
            row = Text(_INDENT).append(text, style="bold")
            row.append(" " * (label_width - cell_len(text)) + _GAP)
            row.append(heights, style="green").append(f"{_GAP}{percent(line.peak):>4}")
            self._print(row.append(when + clock(line.peak_s), style="dim"))

    def _heights(self, scores: Sequence[float]) -> str:
        """One character a score: nothing below half a percent, then equal steps up to 1."""
        heights = _HEIGHTS if self._is_unicode else _ASCII_HEIGHTS
        steps = len(heights) - 1
        return "".join(
            heights[min(int(score * steps) + 1, steps)] if score >= _SEEN else " "
            for score in scores
        )

    def _print_segment(self, result: Prediction) -> None:
        """When it is, what it is, and how sure."""
        span = self._span(result.start_s, result.end_s)
        row = Text(f"{_INDENT}{span:>{_SPAN_WIDTH}}{_GAP}")
        bar = self._bar(result.score) + _GAP if self._width >= _WIDE else ""
        free = self._width - row.cell_len - cell_len(bar) - len(_GAP) - len("100%")
        label_width = max(min(free, _MAX_LABEL), 1)
        label = self._cut(result.label, label_width)
        row.append(label, style="bold").append(" " * (label_width - cell_len(label)) + _GAP)
        row.append(bar, style="green").append(f"{percent(result.score):>4}")
        if self._layout.further:
            row.append(_GAP + self._further(result.ranked[1 : self._top]), style="dim")
        self._print(row)

    def _cut(self, text: str, width: int) -> str:
        """As in the table, but what ASCII can't show is replaced before widths are counted."""
        if not self._is_unicode:
            text = printable(text).encode("ascii", "replace").decode("ascii")
        return super()._cut(text, width)

    def _span(self, start_s: float, end_s: float) -> str:
        dash = "–" if self._is_unicode else "-"
        return f"{clock(start_s)}{dash}{clock(end_s)}"


class _Video:
    """What is kept of a video while its windows come; the memory does not grow with its length."""

    def __init__(self, first: Prediction, part: Part) -> None:
        self.name, self.part = first.ref.id, part
        self.lines: dict[str, _Line] = {}
        self.first_s, self.end_s, self.num_parts = first.start_s, first.end_s, 0
        self.last: Prediction | None = None
        self._longest_s = 0.0
        self._per_cell = 1

    @property
    def num_cells(self) -> int:
        """Cells of a full line."""
        return -(-self.num_parts // self._per_cell)

    def best(self, num_wanted: int) -> list[tuple[str, _Line]]:
        """The labels with the highest peaks, highest first, without those that never reach 1 %.

        Of equal peaks, in whole percent, that which holds longer. Where none reaches 1 %, the best.
        """
        ordered = sorted(self.lines.items(), key=lambda item: item[1].rank(), reverse=True)
        seen = [item for item in ordered if item[1].peak >= _SEEN]
        return seen[: max(num_wanted, 1)] or ordered[:1]

    def is_trimmed(self) -> bool:
        """True if more than a window is missing at the end, or anything at the beginning."""
        return self.first_s > 0 or self.part.video_s - self.end_s > self._longest_s

    def add(self, result: Prediction) -> None:
        """Take the next window or segment."""
        self.last, self.end_s = result, max(self.end_s, result.end_s)
        self._longest_s = max(self._longest_s, result.end_s - result.start_s)
        cell = self.num_parts // self._per_cell
        self.num_parts += 1
        if self.part.kind == "segment":
            return
        if cell == _MAX_CELLS:
            self._per_cell, cell = 2 * self._per_cell, cell // 2
            for line in self.lines.values():
                line.merge()
        for scored in result.ranked:
            self.lines.setdefault(scored.label, _Line()).add(cell, scored.score, result.start_s)


class _Line:
    """One label's scores over time, and the highest of them."""

    def __init__(self) -> None:
        self._scores = array("f")  # ends with the last window that had the label
        self.peak, self.peak_s = -1.0, 0.0
        self._sum = 0.0

    def add(self, cell: int, score: float, start_s: float) -> None:
        """Note a score in a cell, which holds the highest; one that is no number counts as 0."""
        score = 0.0 if math.isnan(score) else score
        self._scores.extend([0.0] * (cell + 1 - len(self._scores)))
        self._scores[cell] = max(self._scores[cell], score)
        self._sum += score
        if score > self.peak:
            self.peak, self.peak_s = score, start_s

    def rank(self) -> tuple[float, float]:
        """What lines are ordered by: the peak in whole percent, then all scores together."""
        return round(self.peak, 2), self._sum

    def merge(self) -> None:
        """Halve the number of cells."""
        pairs = zip_longest(self._scores[::2], self._scores[1::2], fillvalue=0.0)
        self._scores = array("f", map(max, pairs))

    def resampled(self, num_cells: int, num_wanted: int) -> list[float]:
        """The highest score in each of `num_wanted` equal parts of `num_cells` cells."""
        edges = [i * num_cells // num_wanted for i in range(num_wanted + 1)]
        return [max(self._scores[first:last], default=0.0) for first, last in pairwise(edges)]


def clock(time_s: float) -> str:
    """Seconds as "m:ss.s", from an hour on as "h:mm:ss"."""
    tenths = round(max(time_s, 0.0) * 10)
    if tenths < 36000:
        return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"
    seconds = tenths // 10
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
