"""The progress bar on stderr: how far, how fast, how long still, how many failed."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from actcli.render.console import is_same_terminal, is_terminal
from actcli.types import Failure, Prediction
from actcli.windows import goes_on


class ProgressBar:
    """A bar while a `with` block runs, erased at its end; does nothing unless `enabled`.

    total: how many videos there are, or None if that is not known
    unit:  what they are called, if not videos
    """

    def __init__(
        self,
        console: Console,
        *,
        total: int | None = None,
        enabled: bool = True,
        unit: str = "video",
    ) -> None:
        self._progress: Progress | None = None
        if enabled:
            tail = (TimeElapsedColumn(),) if total is None else (TimeRemainingColumn(),)
            bar = (SpinnerColumn(),) if total is None else (BarColumn(bar_width=None),)
            self._progress = Progress(
                *bar,
                MofNCompleteColumn(),
                _RateColumn(unit),
                *tail,
                TextColumn("{task.fields[note]}", markup=False),
                console=console,
                transient=True,
                expand=True,
                refresh_per_second=8,
                # Our consoles print through the bar; anything else must reach its stream untouched.
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._progress.add_task("", total=total, note="")
        self.num_done = 0
        self.num_failed = 0
        self._last: Prediction | None = None

    def __enter__(self) -> ProgressBar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, *, failed: bool = False, count: int = 1) -> None:
        """One more video is done, or some."""
        self.num_done += count
        self.num_failed += failed
        if self._progress is not None:
            note = f"{self.num_failed} failed" if self.num_failed else ""
            self._progress.update(self._task, advance=count, note=note)

    def show(self, result: Prediction | Failure) -> None:
        """A result is there: of a whole video, or of the next part of one."""
        before, self._last = self._last, result if isinstance(result, Prediction) else None
        is_part = isinstance(result, Prediction) and result.part is not None
        if before is not None and before.part is not None and not self._goes_on(before, result):
            self.advance()  # that one was the last of its video
        if not is_part:
            self.advance(failed=not result.ok)
        elif self._progress is not None and isinstance(result, Prediction) and result.part:
            share = min(1.0, result.end_s / result.part.video_s)
            self._progress.update(self._task, completed=self.num_done + share)

    @staticmethod
    def _goes_on(before: Prediction, result: Prediction | Failure) -> bool:
        return isinstance(result, Prediction) and goes_on(before, result)


class _RateColumn(ProgressColumn):
    """Videos per second, over the last seconds."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """The rate, once there is one."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} {self._unit}s/s")


def wants_progress(
    *,
    quiet: bool = False,
    prints_rows: bool = False,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
) -> bool:
    """True if a bar helps: stderr is a terminal, and no result lines run through it.

    prints_rows: stdout gets result lines other than a table that shares the bar's console
    """
    err = stderr or sys.stderr
    if quiet or not is_terminal(err):
        return False
    return not (prints_rows and is_same_terminal(stdout or sys.stdout, err))
