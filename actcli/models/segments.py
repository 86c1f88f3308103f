"""Segments of a video from the scores of its windows, online and in little memory.

**Cells.** Windows may overlap, may leave uncovered time between them, and the last one may start
nearer than the others. Every start and end of a window cuts the time line; a stretch between two
cuts that lie next to each other is a cell. Windows that cover a cell share in its scores, the more
the nearer their middle is:

    scores(cell) = sum_w k_w scores_w / sum_w k_w        k_w = 1 - |m - c_w| / h_w

with m the middle of the cell, c_w the middle of window w and h_w half its length; so k_w is 1 at
the window's middle and falls to 0 at its ends, and no covering window has weight 0. They are
rounded to twelve decimals. Windows come in order of start, so a cell is settled once a window
starts at its end or later.

**One label at a time** (softmax). The first cell takes its best label, of equal ones the first. A
label is kept until another's score exceeds its own by more than `hysteresis`; then the best one
follows. With a `threshold` a label starts only at a score of `threshold` or more, and ends below
`threshold - hysteresis`; where no label holds there is no segment. Uncovered time ends a label.
A segment is a longest stretch of cells with one label. Once one closes that is shorter than
`min_length_s`, it goes to the segment that touches it, of two to the one whose label scores higher
in it (the earlier one if equal), and segments that now touch with the same label become one. Where
none touches it, it is dropped. "Touches" means the earlier segment as it stands after these
rules, and the later one as it begins.

**Each label on its own** (sigmoid, `is_multi_label`). A label is on from `threshold` (0.5 unless
given), off below `threshold - hysteresis` and in uncovered time. Covered time between two segments
of a label that is shorter than `min_length_s` is closed first; segments that are still shorter than
`min_length_s` are dropped then. Segments of different labels may overlap.

Segments come in order of start, then of class. Times are kept in whole microseconds. Held are the
windows that the newest one overlaps, with one label at a time two segments more, else two for each
label that is on; and there a closed segment waits for those that began before it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actcli.models.window_cells import US, Cell, CellCutter, Run, Scores, Window, micro


@dataclass(frozen=True, slots=True)
class SegmentRule:
    """When a label starts, holds and ends; see the module. Raises ValueError below 0."""

    threshold: float | None = None
    """The score from which a label starts; None: every label may (0.5 with `is_multi_label`)."""
    hysteresis: float = 0.0
    """How much worse a label may score, than another or than the threshold, before it ends."""
    min_length_s: float = 0.0
    is_multi_label: bool = False
    """Each label on its own, as sigmoid scores are; else one label at a time."""

    def __post_init__(self) -> None:
        for name in ("hysteresis", "min_length_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"SegmentRule: {name} is below 0 (got {getattr(self, name)})")


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """One segment."""

    start_s: float
    end_s: float
    scores: Scores
    """float64 [C], the mean over its time"""
    target: int
    """The class that holds in it."""
    num_windows: int
    """How many windows it shares time with."""


class Segmenter:
    """Turns the windows of one video into its segments, by the rule of the module."""

    def __init__(self, rule: SegmentRule, num_labels: int) -> None:
        self._num_labels = num_labels
        self._cells = CellCutter()
        self._chain: _OneLabel | _EachLabel
        self._chain = (_EachLabel if rule.is_multi_label else _OneLabel)(rule)

    def add(self, start_s: float, end_s: float, scores: Scores) -> list[Span]:
        """Take the next window and return the segments that are settled by it.

        scores:  [C]

        Raises ValueError for a window out of order, without length or with another C.
        """
        if scores.shape != (self._num_labels,):
            raise ValueError(f"scores: wrong shape (got {scores.shape}, expected [C])")
        window = Window(micro(start_s), micro(end_s), np.asarray(scores, dtype=np.float64))
        return self._follow(self._cells.add(window))

    def finish(self) -> list[Span]:
        """Return what is left once the last window was added."""
        return self._follow(self._cells.finish()) + self._chain.finish()

    @property
    def num_held(self) -> int:
        """How many windows and segments are in memory."""
        return len(self._cells.held) + self._chain.num_held

    def _follow(self, cells: list[Cell]) -> list[Span]:
        return [span for cell in cells for span in self._chain.take(cell)]


def span_of(run: Run) -> Span:
    """The segment that a run of cells makes."""
    return Span(run.start / US, run.end / US, run.scores, run.target, run.num_windows)


class _OneLabel:
    """One label at a time: a run that grows, and the last one before it that may still change."""

    def __init__(self, rule: SegmentRule) -> None:
        self._rule = rule
        self._min_length = micro(rule.min_length_s)
        self._kept: Run | None = None
        self._growing: Run | None = None

    def take(self, cell: Cell) -> list[Span]:
        growing = self._growing
        current = growing.target if growing is not None and growing.end == cell.start else None
        target = self._choose(cell.scores, current)
        if growing is not None and target is not None and target == current:
            growing.extend(cell)
            return self._let_go() if growing.length >= self._min_length else []
        return self._close(Run(target, cell) if target is not None else None)

    def finish(self) -> list[Span]:
        return self._close(None)

    @property
    def num_held(self) -> int:
        return (self._kept is not None) + (self._growing is not None)

    def _choose(self, scores: Scores, current: int | None) -> int | None:
        """The label of a cell after a cell of label `current`."""
        threshold, hysteresis = self._rule.threshold, self._rule.hysteresis
        best = int(scores.argmax())
        may_start = threshold is None or scores[best] >= threshold
        if current is None:
            return best if may_start else None
        if may_start and scores[best] > scores[current] + hysteresis:
            return best
        holds = threshold is None or scores[current] >= threshold - hysteresis
        return current if holds else None

    def _close(self, later: Run | None) -> list[Span]:
        """The growing run ends, `later` follows it; returns what can't change any more."""
        run, self._growing = self._growing, later
        closed = []
        if run is not None and run.length >= self._min_length:
            closed = self._let_go()
            self._kept = run
        elif run is not None:
            self._give_away(run, later)
        if self._kept is not None and (
            self._growing is None or self._growing.length >= self._min_length
        ):
            closed += self._let_go()
        return closed

    def _give_away(self, run: Run, later: Run | None) -> None:
        """Give a run that is too short to the one that touches it, if one does."""
        earlier = self._kept if self._kept is not None and self._kept.end == run.start else None
        if later is not None and later.start != run.end:
            later = None
        if earlier is not None and later is not None and earlier.target == later.target:
            earlier.join(run)
            earlier.join(later)
            self._kept, self._growing = None, earlier
        elif earlier is not None and (
            later is None or run.scores[earlier.target] >= run.scores[later.target]
        ):
            earlier.join(run)
        elif later is not None:
            run.join(later)
            run.target = later.target
            self._growing = run

    def _let_go(self) -> list[Span]:
        kept, self._kept = self._kept, None
        return [] if kept is None else [span_of(kept)]


class _EachLabel:
    """Each label on its own: a run and a gap for each that is on, or off since a moment."""

    def __init__(self, rule: SegmentRule) -> None:
        self._threshold = 0.5 if rule.threshold is None else rule.threshold
        self._hysteresis = rule.hysteresis
        self._min_length = micro(rule.min_length_s)
        self._runs: dict[int, Run] = {}
        self._gaps: dict[int, Run] = {}
        self._is_on: NDArray[np.bool_] | None = None
        self._end = 0
        self._closed: list[tuple[int, int, Span]] = []

    def take(self, cell: Cell) -> list[Span]:
        if cell.start != self._end:
            self._close_all()
        self._end = cell.end
        on = cell.scores >= self._threshold
        if self._is_on is not None:
            on |= self._is_on & (cell.scores >= self._threshold - self._hysteresis)
        self._is_on = on
        for target in sorted({*np.flatnonzero(on).tolist(), *self._runs}):
            self._follow(target, cell, is_on=bool(on[target]))
        return self._settled()

    def finish(self) -> list[Span]:
        self._close_all()
        return self._settled()

    @property
    def num_held(self) -> int:
        return len(self._runs) + len(self._gaps) + len(self._closed)

    def _follow(self, target: int, cell: Cell, *, is_on: bool) -> None:
        run, gap = self._runs.get(target), self._gaps.get(target)
        if is_on:
            if run is None:
                self._runs[target] = Run(target, cell)
                return
            if gap is not None:
                run.join(self._gaps.pop(target))
            run.extend(cell)
            return
        if gap is None:
            gap = self._gaps[target] = Run(target, cell)
        else:
            gap.extend(cell)
        if gap.length >= self._min_length:
            self._close(target)

    def _close(self, target: int) -> None:
        run = self._runs.pop(target)
        self._gaps.pop(target, None)
        if run.length >= self._min_length:
            heapq.heappush(self._closed, (run.start, target, span_of(run)))

    def _close_all(self) -> None:
        for target in list(self._runs):
            self._close(target)
        self._is_on = None

    def _settled(self) -> list[Span]:
        """The closed segments that none can come before any more, in their order."""
        first = min(((run.start, target) for target, run in self._runs.items()), default=None)
        settled = []
        while self._closed and (first is None or self._closed[0][:2] < first):
            settled.append(heapq.heappop(self._closed)[2])
        return settled
