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

from actcli.cli import options as opt
from actcli.cli.reporting import write_training_report
from actcli.config import with_options
from actcli.config_train import FinetuneConfig
from actcli.data.labels import LabelSet
from actcli.errors import PartialFailure
from actcli.render.console import say
from actcli.render.download import DownloadView
from actcli.render.progress import wants_progress
from actcli.render.report.training import TrainingStory
from actcli.render.sinks import StreamSink
from actcli.render.training import TrainingLog, TrainingView
from actcli.tasks.examples import Use, read_labelled
from actcli.tasks.finetune import FineTune
from actcli.train.events import Prepared
from actcli.types import VideoRef

_TRAIN_FLAGS = {
    "epochs": "epochs", "steps": "steps", "batch_size": "clips_per_step",
    "accumulate": "accumulate", "lr": "learning_rate", "weight_decay": "weight_decay",
    "schedule": "schedule", "warmup": "warm_up", "clip_norm": "clip_norm", "ema": "ema",
    "patience": "patience", "precision": "amp", "balance": "balance", "save_every": "save_every",
    "augment": "augment", "rand_ops": "rand_ops", "rand_magnitude": "rand_magnitude",
    "flip": "flip", "moments": "moments", "clips_held": "clips_held",
}  # fmt: skip


def training_task(ctx: typer.Context, flags: dict[str, Any], console: Console) -> FineTune:
    """The run that the flags describe."""
    names = _names(flags)
    train, val = _videos(flags, names)
    config = with_options(FinetuneConfig(), _options(ctx, flags))
    view = DownloadView(console, enabled=not flags["quiet"])
    return FineTune(
        train, val, config, Path(flags["output"]), resume=flags["resume"], names=names, report=view
    )


def _names(flags: dict[str, Any]) -> LabelSet | None:
    return LabelSet.open(flags["labels_file"]) if flags["labels_file"] else None


def _videos(
    flags: dict[str, Any], names: LabelSet | None
) -> tuple[tuple[VideoRef, ...], tuple[VideoRef, ...]]:
    """The training and the validation videos; both may be rows of one list."""
    own = None if names is None else names.names

    def read(path: str, use: Use, split: str | None) -> tuple[VideoRef, ...]:
        glob = flags["glob"] if os.path.isdir(path) else None
        return read_labelled(path, use=use, root=flags["root"], split=split, names=own, glob=glob)

    train = read(flags["train"], "train", flags["split"])
    source = flags["val"] or (flags["train"] if flags["val_split"] else None)
    if source is None:
        return train, ()
    return train, read(source, "val", flags["val_split"])


def _options(ctx: typer.Context, flags: dict[str, Any]) -> dict[str, Any]:
    options = opt.task_options(
        ctx, {k: v for k, v in flags.items() if k not in ("precision", "batch_size")}
    )
    options |= {
        name: flags[flag]
        for flag, name in _TRAIN_FLAGS.items()
        if opt.is_given(ctx, flag) and flags[flag] is not None
    }
    return options | ({"method": flags["method"]} if opt.is_given(ctx, "method") else {})


def run_training(task: FineTune, console: Console, flags: dict[str, Any]) -> None:
    """Show and log a run; an interrupted one is saved between two steps.

    Raises PartialFailure at its end if videos were left out.
    """
    folder, quiet = Path(flags["output"]), bool(flags["quiet"])
    failed, story = 0, TrainingStory()
    is_main = os.environ.get("RANK", "0") == "0"  # of those that torchrun started
    with (
        TrainingLog(folder, tensorboard=flags["tensorboard"]) as log,
        TrainingView(console, enabled=wants_progress(quiet=quiet), is_quiet=quiet) as view,
        _SoftStop() as stop,
    ):
        for event in task.stream():
            view.show(event)
            story.take(event)
            if is_main:
                log.write(event)
            if isinstance(event, Prepared):
                failed = len(event.failures)
                stop.begin()
            if stop.number is not None:
                task.save()
                log.close()
                if is_main:
                    write_training_report(flags["report"], folder, story)
                stop.leave()
    if is_main:
        write_training_report(flags["report"], folder, story)
        StreamSink(sys.stdout).write(f"{folder / 'best.safetensors'}\n")
    if failed:
        videos = "video" if failed == 1 else "videos"
        raise PartialFailure(f"{failed} {videos} could not be used")


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
        say(f"saved; to go on: {again}")
        self._pass_on(self.number)

    def _pass_on(self, number: int) -> None:
        handler = self._before.get(number)
        if callable(handler):
            handler(number, None)
        raise KeyboardInterrupt
