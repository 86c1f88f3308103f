"""A download on stderr: its size first, then how far and how fast.

On a terminal a bar; elsewhere a line now and then, so that a log shows that something happens.
"""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from actcli.render.models import bytes_text

_SECONDS_BETWEEN_LINES = 10.0


class DownloadView:
    """Shows downloads, one after the other; a `DownloadReport`.

    console: of stderr
    enabled: with False it shows nothing
    seconds: between two lines where there is no terminal
    """

    def __init__(
        self, console: Console, *, enabled: bool = True, seconds: float = _SECONDS_BETWEEN_LINES
    ) -> None:
        self._console = console
        self._enabled = enabled
        self._seconds = seconds
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._name = ""
        self._total: int | None = None
        self._received = 0
        self._started = self._shown = 0.0

    def begin(self, name: str, num_bytes: int | None, source: str) -> None:
        """Say what comes, how large it is and where from."""
        if not self._enabled:
            return
        self._name, self._total, self._received = name, num_bytes, 0
        self._started = self._shown = time.monotonic()
        size = "" if num_bytes is None else f"{bytes_text(num_bytes)} "
        self._print(f"downloading {name}: {size}from {source}")
        if self._console.is_terminal:
            self._bar = Progress(
                BarColumn(bar_width=None),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
                expand=True,
                refresh_per_second=8,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._bar.add_task("", total=num_bytes)
            self._bar.start()

    def advance(self, num_bytes: int) -> None:
        """Count what has arrived."""
        if not self._enabled:
            return
        self._received += num_bytes
        if self._bar is not None:
            self._bar.update(self._task, completed=self._received)
        elif time.monotonic() - self._shown >= self._seconds:
            self._shown = time.monotonic()
            of = "" if self._total is None else f" of {bytes_text(self._total)}"
            self._print(f"{self._name}: {bytes_text(self._received)}{of}{self._rate()}")

    def end(self) -> None:
        """Take the bar away, and say how long it took if it is all there."""
        if not self._enabled:
            return
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._received and self._received == (self._total or self._received):
            seconds = time.monotonic() - self._started
            self._print(f"downloaded {bytes_text(self._received)} in {seconds:.1f} s{self._rate()}")

    def _rate(self) -> str:
        seconds = time.monotonic() - self._started
        return f" ({bytes_text(self._received / seconds)}/s)" if seconds > 0 else ""

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)
