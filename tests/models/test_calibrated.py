"""Calibrations as files, and the runs that they are refused for."""

import json
from pathlib import Path

import pytest

from actcli.errors import InputError, ModelError
from actcli.models.calibrated import Calibration, parse, read_calibration

IDENTITY = {"model": "abc", "checkpoint": None, "method": "clip", "options": {}, "sampling": {}}
PROMPTS = (("a run",), ("a jump",))


def made(**changes: object) -> Calibration:
    values = {"identity": IDENTITY, "labels": ("run", "jump"), "prompts": PROMPTS,
              "score_kind": "softmax", "temperature": 2.0}  # fmt: skip
    return Calibration.model_validate(values | changes)


def test_a_file_gives_back_what_was_stated(tmp_path: Path) -> None:
    own = made(rule="bank", unknown={"bank": (0.1, 0.2)}, known={"bank": (0.9,)})
    (tmp_path / "cal.json").write_text(json.dumps(own.stated()))
    again = read_calibration(tmp_path / "cal.json")
    assert again == own
    assert again.digest == own.digest


def test_the_digest_covers_what_decides_scores_only() -> None:
    assert made(created="now", measured={"ece": 1}).digest == made().digest
    assert made(temperature=3.0).digest != made().digest


@pytest.mark.parametrize(
    ("identity", "labels", "prompts", "several", "told"),
    [
        (IDENTITY, ("run", "jump"), PROMPTS, False, None),
        (IDENTITY, ("jump", "run"), PROMPTS[::-1], False, None),
        (IDENTITY | {"model": "other"}, ("run", "jump"), PROMPTS, False, "another model"),
        (IDENTITY | {"sampling": {"a": 1}}, ("run", "jump"), PROMPTS, False, "another sampling"),
        (IDENTITY, ("run", "hop"), PROMPTS, False, 'other labels ("hop", "jump")'),
        (IDENTITY, ("run", "jump"), PROMPTS[::-1], False, "other prompts"),
        (IDENTITY, ("run", "jump"), PROMPTS, True, "scores without --multi-label"),
    ],
)
def test_what_differs_is_said(identity, labels, prompts, several, told) -> None:
    assert made().mismatch(identity, labels, prompts, several) == told


def test_what_a_calibration_does_not_say_is_not_compared() -> None:
    own = made(identity={"method": "clip"})
    assert own.mismatch(IDENTITY | {"model": "any"}, ("run", "jump"), PROMPTS, False) is None


def test_thresholds_follow_the_order_of_the_labels() -> None:
    own = made(multi_label=True, label_thresholds=(0.2, 0.7))
    assert own.thresholds_of(["jump", "run"]) == (0.7, 0.2)
    assert made().thresholds_of(["jump"]) is None


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"schema": "other/1"}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cal.json").write_text(text)
    with pytest.raises(ModelError, match="calibration"):
        read_calibration(tmp_path / "cal.json")


def test_a_file_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_calibration(tmp_path / "none.json")


@pytest.mark.parametrize(
    "change",
    [{"temperature": 0.0}, {"prompts": []}, {"label_thresholds": [0.5]}, {"rule": "bank"}],
)
def test_parts_that_contradict_each_other_are_damage(change: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="damaged"):
        parse(made().stated() | change, "cal.json")
