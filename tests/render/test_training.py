"""A training run in lines and logs."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from actcli.errors import VideoError
from actcli.render.training import TrainingLog, TrainingView, event_lines, step_text
from actcli.train.events import (
    Embedding,
    EpochEvent,
    Finished,
    Prepared,
    StepEvent,
    Validation,
)
from actcli.types import Failure, VideoRef

STEP = StepEvent(3, 9, 1, {"match": 0.5, "tie": 0.25}, 1e-3, 0.75, 1234.5)
BASELINE = Validation(0.5, 0.7, 40)
PREPARED = Prepared(
    clips=30, classes=3, val_clips=40, smallest=10, largest=10, is_balanced=False, learning=1000,
    frozen=99_000, steps=9, device="cpu", amp="fp32", failures=(), baseline=BASELINE,
)  # fmt: skip
EPOCH = EpochEvent(1, 3, 3, Validation(0.9, 0.3, 40), is_best=True)


def lines(event: object) -> str:
    return "\n".join(event_lines(event))


def test_what_training_begins_with_is_told() -> None:
    told = lines(PREPARED)
    assert "training: 30 clips of 3 classes (10 each)" in told
    assert "learning 1,000 parameters (1.00% of all) in 9 steps, on cpu in fp32" in told
    assert "zero-shot on 40 validation clips: 0.5000 right" in told


def test_uneven_classes_and_what_is_done_about_them_are_told() -> None:
    uneven = replace(PREPARED, smallest=1, largest=50, is_balanced=True)
    assert "(1 to 50 each, classes drawn equally often)" in lines(uneven)
    assert "some classes have one clip" in lines(uneven)
    assert "drawn" not in lines(replace(uneven, is_balanced=False))


def test_clips_that_were_left_out_are_named_and_counted() -> None:
    failures = tuple(
        Failure(VideoRef(f"{i}.mp4"), VideoError("not_video", "no video")) for i in range(7)
    )
    told = lines(replace(PREPARED, failures=failures))
    assert "left out: 0.mp4: no video" in told
    assert "left out: 2 more" in told


def test_no_validation_is_said_once_and_no_number_invented() -> None:
    told = lines(replace(PREPARED, baseline=None, val_clips=0))
    assert "no --val" in told
    assert "zero-shot" not in told
    assert lines(replace(EPOCH, validation=None)) == "epoch 1 of 3, step 3"


def test_the_end_says_what_was_gained() -> None:
    done = Finished(Path("runs/a"), Validation(0.9, 0.3, 40), BASELINE, 12.3)
    assert "best: 0.9000 right of 40 validation clips, +0.4000 against zero-shot" in lines(done)
    worse = replace(done, best=Validation(0.4, 0.3, 40))
    assert "no better than zero-shot" in lines(worse)
    assert "actcli classify VIDEO --model runs/a" in lines(done)


def test_a_step_shows_loss_accuracy_and_speed() -> None:
    assert step_text(STEP) == "loss 0.750  right 0.75  1,234 clips/s"
    assert "right" not in step_text(replace(STEP, accuracy=None))


@pytest.mark.parametrize(("is_quiet", "expected"), [(False, 1), (True, 0)])
def test_a_view_prints_what_stays(is_quiet: bool, expected: int) -> None:
    stream = io.StringIO()
    with TrainingView(Console(file=stream), enabled=False, is_quiet=is_quiet) as view:
        for event in (Embedding("training", 1, 2, 0), STEP, EPOCH):
            view.show(event)
    assert stream.getvalue().count("epoch 1 of 3") == expected
    assert "loss 0.750" not in stream.getvalue()


def test_a_bar_moves_while_somebody_watches() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=90)
    with TrainingView(console, enabled=True, is_quiet=False) as view:
        view.show(Embedding("training", 1, 2, 1))
        view.show(STEP)
        assert view._bar is not None
        view._bar.refresh()
    assert "epoch 1" in stream.getvalue()
    assert "loss 0.750" in stream.getvalue()


def test_logs_of_a_continued_run_forget_what_is_done_again(tmp_path: Path) -> None:
    with TrainingLog(tmp_path) as log:
        for step in range(1, 6):
            log.write(replace(STEP, step=step))
        log.write(EPOCH)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"torn')
    with TrainingLog(tmp_path) as log:
        log.write(replace(PREPARED, continued_from=3))
        log.write(replace(STEP, step=4))
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 3, 4]
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "1", "2", "3", "4"]


def test_numbers_that_are_none_are_null(tmp_path: Path) -> None:
    with TrainingLog(tmp_path) as log:
        log.write(replace(STEP, losses={"match": float("nan")}))
    assert json.loads((tmp_path / "log.jsonl").read_text())["losses"] == {"match": None}
