"""Results gathered for a page: what is shown of which video."""

from __future__ import annotations

from typing import Any

from actcli.render.report.collector import COLUMNS, evenly
from actcli.render.report.model import Videos
from actcli.types import ScoredLabel, VideoRef
from tests.render.report.making import collected, failure, prediction, strips_of, windows


def shown(*results: Any, **options: Any) -> Videos:
    collector = collected(results, **options)
    videos = collector.videos(strips_of(collector))
    assert videos is not None
    return videos


def column(videos: Videos, name: str) -> list[Any]:
    return [row[COLUMNS.index(name)] for row in videos.rows]


def test_every_video_has_a_row_in_the_order_of_the_run() -> None:
    videos = shown(prediction("b.mp4"), failure("c.mp4"), prediction("a.mp4"))
    assert column(videos, "name") == ["b.mp4", "c.mp4", "a.mp4"]
    assert column(videos, "state") == [0, 1, 0]
    assert [one.name for one in videos.failed] == ["c.mp4"]


def test_a_target_tells_right_from_wrong_whatever_its_case() -> None:
    videos = shown(prediction(target="Run"), prediction(target="jump"), prediction())
    assert column(videos, "right") == [1, 0, None]
    assert [card.verdict for card in videos.cards] == ["right", "wrong", ""]


def test_windows_of_one_video_are_one_row() -> None:
    videos = shown(*windows(["run", "run", "jump"]), prediction("b.mp4"), *windows(["jump"]))
    assert column(videos, "name") == ["film.mp4", "b.mp4", "film.mp4"]
    assert column(videos, "label") == ["run", "run", "jump"]
    assert column(videos, "more")[0] == "in 2 of 3 windows"


def test_the_same_film_twice_is_two_rows() -> None:
    assert len(shown(*windows(["run", "jump"]), *windows(["run", "jump"])).rows) == 2


def test_few_pictures_go_to_films_mistakes_and_warnings_first() -> None:
    results = [prediction(f"{i}.mp4") for i in range(5)]
    results += [prediction("odd.mp4", warnings=("cut off",)), prediction("w.mp4", target="jump")]
    videos = shown(*results, *windows(["run"]), most_strips=4)
    assert [card.name for card in videos.cards] == ["0.mp4", "odd.mp4", "w.mp4", "film.mp4"]
    assert "4 of 8 videos are shown with pictures" in videos.notes[0]


def test_a_video_without_a_card_keeps_its_other_labels_in_the_table() -> None:
    videos = shown(prediction("a.mp4"), prediction("b.mp4"), most_strips=1)
    assert column(videos, "card") == ["v1", ""]
    assert column(videos, "more") == [[], [["run", 0.8], ["other", 0.2]]]


def test_at_most_eight_frames_of_a_video_are_asked_for() -> None:
    ((_, times_s),) = collected([prediction(frames_s=tuple(range(64)))]).wanted()
    assert times_s == (4, 12, 20, 28, 36, 44, 52, 60)
    assert evenly([1.0, 2.0], 8) == [1.0, 2.0]


def test_the_frames_of_a_film_are_spread_over_all_of_it() -> None:
    ((ref, times_s),) = collected(windows(["run"] * 9)).wanted()
    assert ref == VideoRef("film.mp4")
    assert times_s == tuple(i + 0.5 for i in range(12))


def test_the_similarity_of_frames_is_drawn_where_it_is_known() -> None:
    ranked = (ScoredLabel("run", 0.9, 0.3, (0.1, 0.2, 0.3, 0.2)), ScoredLabel("jump", 0.1, 0.1))
    (card,) = shown(prediction(ranked=ranked)).cards
    assert card.frames is not None
    assert [line.name for line in card.frames.lines] == ["run"]
    assert card.frames.lines[0].dots.count("M") == 4
    assert shown(prediction()).cards[0].frames is None


def test_what_a_score_is_stands_beside_it() -> None:
    assert "softmax over the given labels" in shown(prediction()).score_note
    assert "sigmoid" in shown(prediction(score_kind="sigmoid")).score_note
    assert shown(prediction(calibrated=True)).score_note == ""


def test_a_strip_that_could_not_be_made_says_why() -> None:
    videos = collected([prediction()]).videos({})
    assert videos is not None
    assert videos.cards[0].strip.reason


def test_nothing_is_shown_of_nothing() -> None:
    assert collected([]).videos() is None
