"""One training run at the command line: shown, logged, and saved when it is interrupted."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from actcli.render.progress import wants_progress
from actcli.render.training import TrainingLog, TrainingView
from actcli.tasks.finetune import FineTune
from actcli.train.events import Prepared


def run_training(task: FineTune, console: Console, flags: dict[str, Any]) -> None:
    """Show and log a run; an interrupted one is saved between two steps."""
    folder, quiet = Path(flags["output"]), bool(flags["quiet"])
    is_main = os.environ.get("RANK", "0") == "0"  # of those that torchrun started
    with (
        TrainingLog(folder, tensorboard=flags["tensorboard"]) as log,
        TrainingView(console, enabled=wants_progress(quiet=quiet), is_quiet=quiet) as view,
        _SoftStop() as stop,
    ):
        for event in task.stream():
            view.show(event)
            if is_main:
                log.write(event)
            if isinstance(event, Prepared):
                stop.begin()
            if stop.number is not None:
                task.save()
                log.close()
                stop.leave()
    if is_main:
        typer.echo(folder / "best.safetensors")


class _SoftStop:
    """SIGINT and SIGTERM wait for the end of a training step; a second one does not."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _SoftStop:
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def begin(self) -> None:
        """From now on there is something to save."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        if self.number is not None:
            self._pass_on(number)
        self.number = number

    def leave(self) -> None:
        """The run is saved: say how to go on, and end as the signal would have."""
        assert self.number is not None, "there was a signal"
        words = [word for word in sys.argv[1:] if word != "--resume"]
        again = shlex.join(["actcli", *words, "--resume"])
        print(f"saved; to go on: {again}", file=sys.stderr)
        self._pass_on(self.number)

    def _pass_on(self, number: int) -> None:
        handler = self._before.get(number)
        if callable(handler):
            handler(number, None)
        raise KeyboardInterrupt
