"""A training run as people and programs follow it: a bar, a line an epoch, logs in files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from actcli.errors import ResourceError
from actcli.render.console import printable
from actcli.render.records import rounded
from actcli.render.sinks import FileSink
from actcli.train.events import (
    Embedding,
    EpochEvent,
    Finished,
    Prepared,
    StepEvent,
    Validation,
)

LOG_SCHEMA: Final = "actcli.training_log/1"
_HEAD: Final = ("step", "epoch", "loss", "accuracy", "learning_rate", "clips_per_s")
_MOST_NAMED: Final = 5


class TrainingView:
    """Shows a run on a console: a bar where somebody watches, and a line for what stays true.

    enabled: whether there is a bar; is_quiet: whether there is nothing at all
    """

    def __init__(self, console: Console, *, enabled: bool, is_quiet: bool) -> None:
        self._console, self._is_quiet = console, is_quiet
        self._bar: Progress | None = None
        if enabled and not is_quiet:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[note]}", markup=False),
                TimeRemainingColumn(),
                console=console, transient=True, expand=True, refresh_per_second=8,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._task = self._bar.add_task("", total=None, note="")

    def __enter__(self) -> TrainingView:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, event: object) -> None:
        """Show one event of a run."""
        if isinstance(event, Embedding):
            note = f"{event.num_failed} failed" if event.num_failed else ""
            self._move(f"embedding {event.what}", event.done, event.total, note)
        elif isinstance(event, StepEvent):
            self._move(f"epoch {event.epoch}", event.step, event.num_steps, step_text(event))
        elif not self._is_quiet:
            for line in event_lines(event):
                self._console.print(Text(printable(line)), soft_wrap=True)

    def _move(self, what: str, done: int, total: int, note: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=what, completed=done, total=total, note=note)


def step_text(event: StepEvent) -> str:
    """Loss, accuracy and speed of one step."""
    accuracy = "" if event.accuracy is None else f"  right {event.accuracy:.2f}"
    return f"loss {event.loss:.3f}{accuracy}  {event.clips_per_s:,.0f} clips/s"


def event_lines(event: object) -> Iterator[str]:
    """What stays on the screen of an event."""
    if isinstance(event, Prepared):
        yield from _prepared_lines(event)
    elif isinstance(event, EpochEvent):
        yield _epoch_line(event)
    elif isinstance(event, Finished):
        yield from _finished_lines(event)


def _prepared_lines(event: Prepared) -> Iterator[str]:
    for failure in event.failures[:_MOST_NAMED]:
        yield f"left out: {failure.ref.id}: {failure.error.message}"
    if len(event.failures) > _MOST_NAMED:
        yield f"left out: {len(event.failures) - _MOST_NAMED} more, all named in run.json"
    sizes = f"{event.smallest} each"
    if event.smallest != event.largest:
        sizes = f"{event.smallest} to {event.largest} each"
        if event.is_balanced:
            sizes += ", classes drawn equally often"
    yield f"training: {event.clips} clips of {event.classes} classes ({sizes})"
    if event.smallest == 1:
        yield "some classes have one clip: what is learned of them may be of that clip"
    share = event.learning / (event.learning + event.frozen)
    yield (
        f"learning {event.learning:,} parameters ({share:.2%} of all) in {event.steps} steps, "
        f"on {event.device} in {event.amp}"
    )
    if event.continued_from:
        yield f"continued from step {event.continued_from}"
    if event.baseline is not None:
        yield (
            f"{event.baseline_name} on {event.val_clips} validation clips: "
            f"{event.baseline.top1:.4f} right"
        )
    else:
        yield "no --val: nothing tells when to stop, and the last weights count as the best"


def _epoch_line(event: EpochEvent) -> str:
    found = event.validation
    told = "" if found is None else f": {found.top1:.4f} right, loss {found.loss:.4f}"
    best = " (best)" if found is not None and event.is_best else ""
    stops = "; no better for a while, so it ends here" if event.stops else ""
    return f"epoch {event.epoch} of {event.num_epochs}, step {event.step}{told}{best}{stops}"


def _finished_lines(event: Finished) -> Iterator[str]:
    best, baseline = event.best, event.baseline
    if best is not None and baseline is not None:
        gain = best.top1 - baseline.top1
        yield (
            f"best: {best.top1:.4f} right of {best.clips} validation clips, "
            f"{gain:+.4f} against {event.baseline_name}"
        )
        if gain <= 0:
            yield f"no better than {event.baseline_name}: use the model as it was"
    yield f"{event.seconds:.0f} s; use it: actcli {event.next_command} --model {event.folder}"


class TrainingLog:
    """The steps and epochs of a run in `log.jsonl` and `log.csv`, each line whole.

    A continued run drops the lines after the step that it goes on from.
    tensorboard: also writes what TensorBoard reads
    """

    def __init__(self, folder: Path, *, tensorboard: bool = False) -> None:
        self._folder = folder
        self._lines, self._rows = (
            FileSink(folder / name, append=True) for name in ("log.jsonl", "log.csv")
        )
        self._names: tuple[str, ...] | None = None
        self._board = _open_board(folder) if tensorboard else None

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        for sink in (self._lines, self._rows):
            sink.close()
        if self._board is not None:
            self._board.close()

    def write(self, event: object) -> None:
        """Log one event; those that are no steps or epochs are passed over."""
        if isinstance(event, Prepared):
            self._forget_after(event.continued_from)
        elif isinstance(event, StepEvent):
            self._write_step(event)
        elif isinstance(event, EpochEvent):
            record = {"epoch": event.epoch, "step": event.step, "is_best": event.is_best}
            self._write_line(record | validation_record(event.validation))
            if self._board is not None and event.validation is not None:
                self._board.add_scalar("val/top1", event.validation.top1, event.step)
                self._board.add_scalar("val/loss", event.validation.loss, event.step)

    def _write_step(self, event: StepEvent) -> None:
        head = (event.step, event.epoch, event.loss, event.accuracy, event.learning_rate,
                event.clips_per_s)  # fmt: skip
        numbers = dict(zip(_HEAD, head, strict=True))
        self._write_line({**numbers, "losses": dict(event.losses)})
        if self._rows.is_empty:
            self._rows.write(_row([*_HEAD, *event.losses]))
        self._rows.write(_row([*head, *event.losses.values()]))
        if self._board is not None:
            for name, value in {"loss": event.loss, **event.losses}.items():
                self._board.add_scalar(f"train/{name}", value, event.step)

    def _write_line(self, record: Mapping[str, Any]) -> None:
        plain = {key: _plain(value) for key, value in record.items()}
        self._lines.write(json.dumps({"schema": LOG_SCHEMA, **plain}) + "\n")

    def _forget_after(self, step: int) -> None:
        _keep(self._folder / "log.jsonl", lambda line: _step_of_record(line) <= step)
        _keep(self._folder / "log.csv", lambda line: _step_of_row(line) <= step)


def validation_record(found: Validation | None) -> dict[str, float | int]:
    """A validation as plain values; nothing of none."""
    if found is None:
        return {}
    return {"val_top1": found.top1, "val_loss": found.loss, "val_clips": found.clips}


def _keep(path: Path, is_kept: Callable[[str], bool]) -> None:
    """Keep the whole lines of a log for which something holds; a torn one never is."""
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and is_kept(line)]
    if len(kept) < len(lines):
        path.write_text("".join(kept), encoding="utf-8")


def _step_of_record(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # no line of ours


def _step_of_row(line: str) -> float:
    cell = line.split(",", 1)[0]
    if cell == _HEAD[0]:
        return 0
    return int(cell) if cell.isdecimal() else math.inf


def _row(cells: list[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(
        [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in cells]
    )
    return text.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) and rounded(value) is not None else (
        None if isinstance(value, float) else value
    )  # fmt: skip


def _open_board(folder: Path) -> Any:
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise ResourceError(
            "--tensorboard: the package tensorboard is missing",
            hint='pip install "actcli[tensorboard]"',
        ) from error
    return Writer(str(folder / "tensorboard"))
