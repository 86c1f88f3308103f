"""What examples are worth, on the page of `fewshot`."""

from __future__ import annotations

from typing import Any

from actcli.render.report.page import render_page, videos_page
from actcli.render.report.support import make_support
from tests.render.report.making import Read, collected, prediction, run_of

SHARE = {"accuracy": 0.75, "right": 3, "tried": 4, "interval": [0.3, 0.95]}


def record_of(**changes: Any) -> dict[str, Any]:
    found = SHARE | {
        "enough_to_tell": False, "confused": [{"label": "run", "as": "jump", "count": 1}],
        "mislabelled": [{"input": "odd.mp4", "label": "run", "looks_like": "jump", "score": 0.8,
                         "own_score": 0.1}],
        "other_matchers": {"mean": SHARE | {"accuracy": 0.5, "right": 2}},
    }  # fmt: skip
    values: dict[str, Any] = {
        "schema": "actcli.support/1", "model": "demo", "method": "clip", "matcher": "otam",
        "text_weight": 0.25, "classes": {"run": 3, "jump": 1}, "clips": [{}] * 4,
        "failed": [{"input": "bad.mp4", "label": "run", "kind": "x", "message": "no stream"}],
        "leave_one_out": found, "changed": {"replaced": ["run"]}, "saved": "moves.safetensors",
        "same": [{"one": "a.mp4", "other": "b.mp4", "same_file": True, "labels": ["run", "jump"]}],
        "run": None,
    }  # fmt: skip
    return values | changes


def test_leave_one_out_stands_first_with_its_interval() -> None:
    first = make_support(record_of()).tiles[0]
    assert first.value == "75.0\u202f%"
    assert first.note.startswith("3 of 4 right, 95\u202f% interval 30.0\u202f% to 95.0\u202f%")
    assert first.note.endswith("too few examples to tell")


def test_all_that_is_said_of_examples_is_on_the_page() -> None:
    page = videos_page(collected([prediction()]), run_of("fewshot"), support=record_of())
    read = Read(render_page(page))
    assert read.crossed == []
    for expected in ("odd.mp4", "a.mp4", "the same file, run / jump", "bad.mp4", "no stream",
                     'replaced: "run"', "saved: moves.safetensors", "otam (used)"):  # fmt: skip
        assert expected in read.text


def test_examples_alone_make_a_page() -> None:
    page = videos_page(collected([]), run_of("fewshot"), support=record_of(leave_one_out=None))
    assert page.title == "Examples of 2 labels"
    assert Read(render_page(page)).crossed == []


def test_one_example_a_class_can_not_tell() -> None:
    none = SHARE | {"accuracy": None, "right": 0, "tried": 0, "interval": [0, 1]}
    found = record_of()["leave_one_out"] | none | {"other_matchers": {}}
    support = make_support(record_of(leave_one_out=found))
    assert support.tiles[0].name == "examples"
    assert any("can't tell" in note for note in support.notes)
