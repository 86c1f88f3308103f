"""The page of a training run, from its folder and its events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from actcli.render.report.page import render_page
from actcli.render.report.training import TrainingStory, read_log, training_page
from actcli.train.events import Finished, Prepared, Validation
from tests.render.report.making import Read, failure

SETTINGS: dict[str, Any] = {
    "config": {"method": "motion-prompts", "model": "demo", "run": {"seed": 3},
               "train": {"epochs": 2, "learning_rate": 0.0005}},
    "labels": "run\njump", "model_digest": "f4653fd2de3cd053", "started": "2026-01-01T00:00:00",
}  # fmt: skip
LOG: list[dict[str, Any]] = [
    {"step": 1, "epoch": 1, "loss": 2.0, "accuracy": 0.5, "learning_rate": 1e-3,
     "losses": {"match": 1.5, "tie": 0.5}},
    {"epoch": 1, "step": 1, "is_best": True, "val_top1": 0.75, "val_loss": 1.5, "val_clips": 8},
    {"step": 2, "epoch": 2, "loss": 1.0, "accuracy": 0.9, "learning_rate": 5e-4,
     "losses": {"match": 0.75, "tie": 0.25}},
    {"epoch": 2, "step": 2, "is_best": False, "val_top1": 0.5, "val_loss": 1.75, "val_clips": 8},
]  # fmt: skip


def story_of(*, is_finished: bool = True, baseline: float | None = 0.5) -> TrainingStory:
    base = None if baseline is None else Validation(baseline, 2.0, 8)
    story = TrainingStory()
    story.take(Prepared(20, 2, 8, 10, 10, False, 100, 900, 2, "cpu", "fp32", (failure(),), base))
    if is_finished:
        story.take(Finished(Path("runs/a"), Validation(0.75, 1.5, 8), base, 12.0))
    return story


def test_the_curves_are_those_of_the_log() -> None:
    page = training_page(SETTINGS, LOG, story_of(), "runs/a")
    assert page.training is not None
    plots = {plot.title: [line.name for line in plot.lines] for plot in page.training.plots}
    assert plots == {
        "Share right": ["training", "validation", "zero-shot"], "Loss": ["training", "validation"],
        "Parts of the loss": ["match", "tie"], "Learning rate": ["learning rate"],
    }  # fmt: skip


def test_the_result_stands_beside_what_it_is_better_than() -> None:
    page = training_page(SETTINGS, LOG, story_of(), "runs/a")
    tiles = {tile.name: tile.value for tile in page.tiles}
    assert tiles["best validation"] == "75.00\u202f%"
    assert (tiles["zero-shot"], tiles["gain"]) == ("50.00\u202f%", "+25.00")
    assert page.title == "Training of a"


def test_a_loss_against_the_baseline_is_shown_as_one() -> None:
    page = training_page(SETTINGS, LOG, story_of(baseline=0.875), "runs/a")
    gain = next(tile for tile in page.tiles if tile.name == "gain")
    assert (gain.value, gain.is_bad) == ("\u221212.50", True)


def test_an_interrupted_run_says_how_it_goes_on() -> None:
    page = training_page(SETTINGS, LOG, story_of(is_finished=False), "runs/a")
    assert "--resume goes on" in page.notes[0]
    assert page.tiles[0].value == "75.00\u202f%"


def test_a_run_without_validation_has_curves_all_the_same() -> None:
    log = [{k: v for k, v in one.items() if not k.startswith("val_")} for one in LOG]
    page = training_page(SETTINGS, log, story_of(baseline=None), "runs/a")
    assert page.training is not None
    assert [line.path for line in page.training.plots[1].lines][1] == ""
    assert any("no --val" in note for note in page.notes)
    assert Read(render_page(page)).crossed == []


def test_settings_and_what_was_left_out_are_on_the_page() -> None:
    read = Read(render_page(training_page(SETTINGS, LOG, story_of(), "runs/a")))
    for expected in ("highest learning rate", "0.0005", "bad.mp4", "no video stream", "best"):
        assert expected in read.text
    assert read.crossed == []


def test_a_torn_line_of_a_log_is_passed_over(tmp_path: Path) -> None:
    text = json.dumps(LOG[0]) + "\n[1]\n" + json.dumps(LOG[1])[:20]
    (tmp_path / "log.jsonl").write_text(text)
    assert read_log(tmp_path / "log.jsonl") == [LOG[0]]
    assert read_log(tmp_path / "none.jsonl") == []
