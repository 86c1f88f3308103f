"""Small pictures of chosen moments, and what becomes of videos that have none."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from actcli.config import LimitsConfig
from actcli.tasks.film_strips import NUM_FRAMES, FilmStrip, StripReader, film_strips
from actcli.types import Failure, VideoRef
from tests.video.making import number_picture, read_number, write_video


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty numbered frames at 30 a second, 96 by 64."""
    return write_video(tmp_path_factory.mktemp("film") / "a.mp4")


def shown(strip: object) -> list[int]:
    assert isinstance(strip, FilmStrip)
    pictures = [np.array(Image.open(io.BytesIO(frame))) for frame in strip.frames]
    return [read_number(picture.transpose(2, 0, 1)) for picture in pictures]


def test_the_frames_are_those_on_screen_at_the_moments(film: Path) -> None:
    (strip,) = film_strips([(VideoRef(str(film)), (1.0, 0.0, 0.51))], workers=0)
    assert shown(strip) == [0, 15, 30]
    assert isinstance(strip, FilmStrip)
    assert strip.times_s == pytest.approx((0.0, 0.5, 1.0))


def test_without_moments_a_few_are_spread_over_the_trimmed_part(film: Path) -> None:
    (strip,) = film_strips([(VideoRef(str(film), 1.0, 2.0), ())], workers=0)
    assert len(shown(strip)) == NUM_FRAMES
    assert min(shown(strip)) >= 30


def test_pictures_are_small_and_keep_the_shape_of_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", num_frames=3,
                       picture=lambda number: number_picture(number, 64, 128))  # fmt: skip
    (strip,) = film_strips([(VideoRef(str(path)), (0.0,))], workers=0)
    assert isinstance(strip, FilmStrip)
    assert Image.open(io.BytesIO(strip.frames[0])).size == (56, 112)
    assert len(strip.frames[0]) < 4000


def test_a_video_that_is_gone_is_a_failure_in_its_place(film: Path, tmp_path: Path) -> None:
    gone = VideoRef(str(tmp_path / "gone.mp4"))
    wanted = [(gone, (0.0,)), (VideoRef(str(film)), (0.0,))]
    first, second = film_strips(wanted, workers=0)
    assert isinstance(first, Failure)
    assert first.ref == gone
    assert shown(second) == [0]


def test_strips_come_from_workers_too(film: Path) -> None:
    wanted = [(VideoRef(str(film), id=str(i)), (i / 30,)) for i in range(4)]
    assert [shown(one) for one in film_strips(wanted, workers=1)] == [[0], [1], [2], [3]]


def test_the_reader_travels_to_workers() -> None:
    reader = StripReader({VideoRef("a.mp4"): (1.0,)}, LimitsConfig())
    assert pickle.loads(pickle.dumps(reader)) == reader


def test_nothing_wanted_starts_nothing() -> None:
    assert list(film_strips([])) == []
