"""The page of an evaluation, from its record."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from actcli.render.report.evaluation import confusion, evaluation_page, hardest, reliability
from actcli.render.report.model import make_strip
from actcli.render.report.page import render_page
from tests.render.report.making import PIXEL, Read, run_of

CLIPS = [["a.mp4", "run", "run", 0, 0.9], ["b.mp4", "run", "jump", 1, 0.8],
         ["c.mp4", "jump", "jump", 0, 0.7], ["d.mp4", "wave", "run", 2, 0.95]]  # fmt: skip


def share(count: int, total: int) -> dict[str, Any]:
    return {"value": count / total, "count": count, "total": total, "low": 0.1, "high": 0.9}


def part_of(clips: list[list[Any]], labels: list[str], name: str = "all") -> dict[str, Any]:
    wrong = Counter((clip[1], clip[2]) for clip in clips if clip[1] != clip[2])
    right = sum(clip[1] == clip[2] for clip in clips)
    return {
        "name": name, "digest": "d", "labels": labels, "videos": len(clips),
        "top1": share(right, len(clips)), "top5": None, "mean_class": 0.5, "map": None,
        "ece": 0.0321, "clips": clips,
        "per_class": [{"label": one, "count": sum(c[1] == c[2] == one for c in clips),
                       "total": sum(c[1] == one for c in clips)} for one in labels],
        "confused": [{"label": a, "as": b, "count": n} for (a, b), n in wrong.most_common()],
    }  # fmt: skip


def record_of(*parts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "schema": "actcli.eval/1",
        "protocol": {"name": "custom", "version": 1, "dataset": "val.csv", "practice": "honest",
                     "official": True, "lists": [], "combine": "mean"},
        "headlines": [{"metric": "top1", "value": 0.5, "spread": None}],
        "coverage": {"expected": 5, "used": 4, "share": 0.8,
                     "failures": [{"input": "e.mp4", "kind": "not_video", "message": "no"}]},
        "warnings": ["look twice"], "parts": list(parts), "episodes": None,
        "conditions": {"lists": {"all": "65f332cade56b72c"}}, "run": run_of("eval"),
    }  # fmt: skip
    return values | changes


LABELS = ["run", "jump", "wave", "bow"]


def test_the_number_stands_with_its_interval_and_its_coverage() -> None:
    page = evaluation_page(record_of(part_of(CLIPS, LABELS)))
    first, *_, covered = page.tiles
    assert first.value == "50.00\u202f%"
    assert first.note.endswith("10.0\u202f% to 90.0\u202f%; 2 of 4")
    assert (covered.value, covered.note, covered.is_bad) == ("4 of 5", "80.00\u202f%", True)
    assert [one.name for one in page.failed] == ["e.mp4"]


def test_a_mean_over_parts_stands_with_its_deviation() -> None:
    parts = [part_of(CLIPS, LABELS, name) for name in ("test1", "test2")]
    headline = [{"metric": "top1", "value": 0.5, "spread": 0.0123}]
    page = evaluation_page(record_of(*parts, headlines=headline))
    assert page.tiles[0].note == "± 1.23\u202f% (deviation over 2 parts)"
    assert [part.name for part in page.parts] == ["test1", "test2"]


def test_episodes_stand_with_their_interval() -> None:
    episodes = {"way": 5, "shot": 1, "distinct": 10_000}
    headline = [{"metric": "top1", "value": 0.9, "spread": 0.004}]
    page = evaluation_page(record_of(episodes=episodes, headlines=headline))
    note = "± 0.40\u202f% (95\u202f% interval); 5-way 1-shot, 10,000 different episodes"
    assert page.tiles[0].note == note
    assert Read(render_page(page)).crossed == []


def test_the_weakest_class_comes_first_and_classes_without_clips_are_left_out() -> None:
    (part,) = evaluation_page(record_of(part_of(CLIPS, LABELS))).parts
    assert [(one.name, one.more) for one in part.classes] == [
        ("wave", "0 of 1"), ("run", "1 of 2"), ("jump", "1 of 1"),
    ]  # fmt: skip


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    matrix = confusion(part_of(CLIPS, LABELS))
    assert matrix is not None
    assert [[n for n, _ in row] for row in matrix.rows] == [
        [1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip
    assert matrix.rows[1][1][1] == 10


@pytest.mark.parametrize(("count", "is_there"), [(60, True), (61, False), (1, False)])
def test_too_many_classes_have_no_matrix(count: int, is_there: bool) -> None:
    labels = [f"label {i}" for i in range(count)]
    clips = [["a.mp4", labels[0], labels[-1], 0, 0.5]]
    assert (confusion(part_of(clips, labels)) is not None) == is_there


def test_the_reliability_curve_is_right_against_sure_bin_by_bin() -> None:
    clips = [["", "a", "a", 0, 0.95], ["", "a", "b", 1, 0.97], ["", "a", "a", 0, 0.5]]
    found = reliability(clips, 0.1)
    assert found is not None
    assert [(one.number, one.right) for one in found.bins] == [(1, 1.0), (2, 0.5)]
    assert found.bins[1].score == pytest.approx(0.96)
    assert found.path == "M50.00 0.00L96.00 50.00"


def test_its_bins_give_the_calibration_error_of_the_metric() -> None:
    torch = pytest.importorskip("torch")
    from actcli.eval.metrics import calibration_error

    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(500, generator=generator)
    right = torch.rand(500, generator=generator) < 0.5  # too sure above, not sure enough below
    clips = [["", "a", "a" if r else "b", 0, s]
             for s, r in zip(scores.tolist(), right.tolist(), strict=True)]  # fmt: skip
    found = reliability(clips, None)
    assert found is not None
    gap = sum(one.number * abs(one.score - one.right) for one in found.bins) / 500
    assert gap == pytest.approx(calibration_error(scores, right), abs=1e-5)


def test_the_hardest_clips_are_wrong_and_the_surest_first() -> None:
    record = record_of(part_of(CLIPS, LABELS))
    assert hardest(record) == ["d.mp4", "b.mp4"]
    strips = {"d.mp4": make_strip([PIXEL], [0.5])}
    (part,) = evaluation_page(record, strips.get).parts
    assert [(one.name, one.guess, one.rank) for one in part.hard] == [
        ("d.mp4", "run", "3"), ("b.mp4", "jump", "2"),
    ]  # fmt: skip
    assert [len(one.strip.pictures) for one in part.hard] == [1, 0]


def test_labels_of_an_evaluation_are_text() -> None:
    label = "</td><script>alert(1)</script>"
    clips = [[label, label, "run", 1, 0.9]]
    read = Read(render_page(evaluation_page(record_of(part_of(clips, ["run", label])))))
    assert len(read.of("script")) == 2
    assert read.crossed == []
    assert label in read.text


def test_videos_of_several_labels_have_a_page_without_classes() -> None:
    part = part_of(CLIPS, LABELS) | {"per_class": [], "confused": [], "clips": [], "map": 0.4,
                                     "ece": None, "mean_class": None}  # fmt: skip
    page = evaluation_page(record_of(part))
    assert Read(render_page(page)).crossed == []
    assert [tile.name for tile in page.parts[0].tiles] == ["top-1", "mean average precision"]
