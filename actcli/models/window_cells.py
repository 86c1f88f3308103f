"""Cuts the time line of a video into cells at the starts and ends of its windows.

See `actcli.models.segments` for the rule. Times are whole microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Scores: TypeAlias = NDArray[np.float64]

US: Final = 1_000_000


def micro(seconds: float) -> int:
    """Seconds as whole microseconds."""
    return round(seconds * US)


@dataclass(slots=True)
class Window:
    """One window with its scores, [C]."""

    start: int
    end: int
    scores: Scores


@dataclass(slots=True)
class Cell:
    """A stretch of time between two cuts, with its scores, [C]."""

    start: int
    end: int
    scores: Scores
    num_covering: int
    num_starting: int
    """How many of the covering windows start with the cell."""


class CellCutter:
    """Cuts the time line into cells; times in microseconds."""

    def __init__(self) -> None:
        self.held: list[Window] = []
        self._settled = -(1 << 62)

    def add(self, window: Window) -> list[Cell]:
        """The cells that end before the window starts; ValueError if it is out of order."""
        if window.end <= window.start:
            raise ValueError(f"window: no length (got {window.start / US} to {window.end / US})")
        if window.start < self._settled:
            raise ValueError(f"window: out of order (starts at {window.start / US})")
        cells = self._settle(window.start)
        self.held.append(window)
        return cells

    def finish(self) -> list[Cell]:
        """The cells that are left."""
        return self._settle(max((window.end for window in self.held), default=self._settled))

    def _settle(self, until: int) -> list[Cell]:
        """The cells before `until`; windows that end there or earlier are let go."""
        cuts = sorted({min(window.end, until) for window in self.held} - {self._settled})
        cells = []
        start = self._settled
        for end in cuts:
            cells.append(cell_of(start, end, [w for w in self.held if w.end > start]))
            start = end
        self.held = [window for window in self.held if window.end > until]
        self._settled = until
        return cells


def cell_of(start: int, end: int, covering: list[Window]) -> Cell:
    """The cell from `start` to `end`, from the windows that cover it."""
    weights = np.array(
        [1 - abs(start + end - w.start - w.end) / (w.end - w.start) for w in covering]
    )
    scores = weights @ np.stack([window.scores for window in covering]) / weights.sum()
    # Rounded, so that noise of the sums tips no threshold and no tie.
    scores = scores.round(12)
    return Cell(start, end, scores, len(covering), sum(w.start == start for w in covering))


class Run:
    """Cells on end with one label: what is needed of them to make a segment."""

    def __init__(self, target: int, cell: Cell) -> None:
        self.target = target
        self.start, self.end = cell.start, cell.end
        self._total = cell.scores * (cell.end - cell.start)
        self.num_windows = cell.num_covering
        """How many windows cover a cell of it."""
        self._num_earlier = cell.num_covering - cell.num_starting
        """How many of its windows began before it did."""

    def extend(self, cell: Cell) -> None:
        """Take the cell that follows."""
        self.end = cell.end
        self._total += cell.scores * (cell.end - cell.start)
        self.num_windows += cell.num_starting

    def join(self, later: Run) -> None:
        """Take over the cells of `later`, which touches this one."""
        self.end = later.end
        self._total += later._total
        self.num_windows += later.num_windows - later._num_earlier

    @property
    def length(self) -> int:
        """In microseconds."""
        return self.end - self.start

    @property
    def scores(self) -> Scores:
        """[C], the mean over its time."""
        mean: Scores = self._total / self.length
        return mean
