"""Windows of a film as a timeline."""

from __future__ import annotations

from typing import Any

import pytest

from actcli.render.report.films import FilmRows, make_film
from actcli.types import ScoredLabel
from tests.render.report.making import prediction, windows


def film_of(labels: list[str], **options: Any) -> FilmRows:
    found = windows(labels, **options)
    assert found[0].part is not None
    rows = FilmRows(found[0].ref, found[0].part.kind, found[0].part.video_s)
    for one in found:
        rows.add(one)
    return rows


def test_neighbours_of_one_label_are_one_stretch() -> None:
    film = make_film(film_of(["run", "run", "jump", "run"]))
    assert [one.text for one in film.stretches] == ["run", "jump", "run"]
    assert sum(one.width for one in film.stretches) == pytest.approx(100)


def test_stretches_of_segments_leave_the_gaps_between_them() -> None:
    film = make_film(film_of(["run", "run"], length=1.0, stride=3.0))
    assert [(one.left, one.width) for one in film.stretches] == [(0, 25), (75, 25)]


def test_segments_that_overlap_have_a_row_each_with_all_of_their_time() -> None:
    film = make_film(film_of(["run", "jump"], length=4.0, stride=1.0, kind="segment"))
    assert [mark.path for mark in film.marks] == [
        "M0.00 100V40.0H80.00V100z", "M20.00 100V39.0H100.00V100z",
    ]  # fmt: skip
    assert "overlap" in film.notes[0]


def test_labels_differ_by_letter_as_well_as_by_colour() -> None:
    film = make_film(film_of(["run", "jump", "run"]))
    assert [(mark.name, mark.code, mark.tone) for mark in film.marks] == [
        ("run", "A", 0), ("jump", "B", 1),
    ]  # fmt: skip


def test_labels_beyond_eight_share_one_colour() -> None:
    film = make_film(film_of([f"label {i}" for i in range(11)]))
    assert len(film.marks) == 9
    assert (film.marks[-1].name, film.marks[-1].tone) == ("3 other labels", 8)


def test_the_script_gets_each_window_with_its_times_label_and_score() -> None:
    data = make_film(film_of(["run", "jump"])).data
    assert data["labels"] == ["run", "jump"]
    assert data["windows"] == [[0, 4, 0, 0.6], [1, 5, 1, 0.61]]
    assert (data["start"], data["end"]) == (0, 5)


def test_a_very_long_film_is_thinned_and_says_so() -> None:
    film = make_film(film_of(["run", "jump", "wave"] * 4000))
    assert len(film.data["windows"]) <= 4000
    assert len(film.stretches) <= 800
    assert film.number == 12_000
    assert "of 3 neighbouring windows" in film.notes[0]


def test_many_films_get_less_room_each() -> None:
    film = make_film(film_of(["run", "jump"] * 500), num_films=200)
    assert len(film.data["windows"]) <= 200
    assert len(film.stretches) <= 100


def test_the_similarity_of_frames_of_all_windows_is_one_line() -> None:
    rows = film_of(["run"])
    ranked = (ScoredLabel("run", 0.9, 0.3, (0.1, 0.2, 0.3, 0.2)),)
    for start in (0.0, 1.0):
        times = tuple(start + i for i in range(4))
        rows.add(prediction(ranked=ranked, frames_s=times, start_s=start, end_s=start + 4))
    plot = rows.frames()
    assert plot is not None
    assert plot.lines[0].path.count("L") == 4
