import io
import tracemalloc

import numpy as np
import pytest

from actcli.config import LimitsConfig
from actcli.errors import VideoError
from actcli.video.decode import read_frames
from actcli.video.shots import CutFinder, find_cuts

RATE = 25
LIMITS = LimitsConfig()


def shot(seed, num_frames, *, pan=0, size=(24, 32)):
    """One picture, moved sideways by `pan` pixels a frame; [num_frames, h, w]."""
    scene = np.random.default_rng(seed).integers(0, 255, (6, 8)).astype(np.uint8)
    picture = np.kron(scene, np.ones((size[0] // 6, size[1] // 8), np.uint8))
    return np.stack([np.roll(picture, pan * i, axis=1) for i in range(num_frames)])


def told(frames, rate=RATE):
    finder = CutFinder(rate)
    return [index for index in map(finder.add, frames) if index is not None] + finder.finish()


def film(numbered, name="film.mp4", lengths=(40, 30, 50), pan=0, **options):
    frames = np.concatenate(
        [shot(seed, count, pan=pan, size=(96, 128)) for seed, count in enumerate(lengths)]
    )
    pictures = np.repeat(frames[..., None], 3, axis=3)
    options = {"rate": RATE, "num_frames": len(frames)} | options
    return numbered(name, picture=pictures.__getitem__, **options)


def test_the_first_frame_of_each_new_shot_is_told():
    frames = np.concatenate([shot(1, 40), shot(2, 30, pan=1), shot(3, 50)])
    assert told(frames) == [40, 70]


def test_a_cut_is_told_two_thirds_of_a_second_late():
    finder = CutFinder(RATE)
    late = [finder.add(picture) for picture in np.concatenate([shot(1, 40), shot(2, 40)])]
    assert [(i, cut) for i, cut in enumerate(late) if cut is not None] == [(40 + 16, 40)]


def test_a_camera_that_moves_fast_is_no_cut():
    assert told(shot(1, 80, pan=3)) == []


@pytest.mark.parametrize("times", [2, 3])
def test_a_moving_camera_whose_frames_are_shown_again_is_no_cut(times):
    assert told(np.repeat(shot(1, 60, pan=3), times, axis=0)) == []


def test_a_cut_into_a_moving_camera_is_found():
    assert told(np.concatenate([shot(1, 40), shot(2, 40, pan=1)])) == [40]


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_a_flash_is_no_cut(num_frames):
    frames = shot(1, 60).copy()
    frames[30 : 30 + num_frames] = 250
    assert told(frames) == []


def test_a_flash_may_last_longer_where_there_are_more_frames_a_second():
    frames = shot(1, 120).copy()
    frames[60:68] = 250
    assert told(frames, rate=60) == []
    assert told(frames, rate=RATE) == [60]


def test_of_two_changes_in_half_a_second_the_larger_counts():
    base = shot(1, 60).astype(np.int16)
    step = np.where(np.arange(60) >= 25, 12, 0) + np.where(np.arange(60) >= 33, 60, 0)
    frames = (base // 2 + step[:, None, None]).astype(np.uint8)
    assert told(frames) == [33]
    assert told(frames, rate=12) == [25, 33]


def test_no_shot_is_shorter_than_half_a_second():
    frames = np.concatenate([shot(1, 6)] + [shot(seed, 20) for seed in (2, 3, 4)])
    assert told(frames) == [26, 46]


def test_a_dissolve_is_not_found():
    mix = np.linspace(0, 1, 14)[1:-1, None, None]
    between = ((1 - mix) * shot(1, 12) + mix * shot(2, 12)).astype(np.uint8)
    assert told(np.concatenate([shot(1, 40), between, shot(2, 40)])) == []


def test_dark_shots_have_cuts_too():
    assert told(np.concatenate([shot(1, 40), shot(2, 40)]) // 8) == [40]


def test_a_slow_film_ends_with_a_shot_of_few_frames():
    frames = np.concatenate([shot(1, 30), shot(2, 3)])
    assert told(frames, rate=5) == [30]
    assert told(frames, rate=RATE) == []


@pytest.mark.parametrize("num_frames", [0, 1, 2, 5])
def test_a_film_of_few_frames_has_no_cut(num_frames):
    assert told(shot(1, 5)[:num_frames]) == []


def test_a_finder_holds_a_few_pictures_only():
    finder, pictures = CutFinder(RATE), shot(1, 30, pan=1)
    tracemalloc.start()
    for i in range(2000):
        finder.add(pictures[i % 30])
        if i == 500:
            before, _ = tracemalloc.get_traced_memory()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 10_000


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.avi", "film.ts"])
def test_cuts_of_a_film_are_times_of_its_frames(numbered, name):
    path = film(numbered, name)
    timeline = read_frames(path, lambda _: [0], lambda *_: np.zeros(0, np.uint8), LIMITS).timeline
    assert find_cuts(path, LIMITS) == tuple(timeline.times_s[[40, 70]].tolist())


def test_times_count_from_the_first_frame_and_follow_the_clock(numbered):
    ticks = [1000 + i + (20 if i >= 60 else 0) for i in range(120)]
    path = film(numbered, "late.mkv", times=ticks)
    assert find_cuts(path, LIMITS) == pytest.approx([40 / RATE, 90 / RATE], abs=2e-3)


def test_a_file_object_is_read_and_stays_open(numbered):
    stream = io.BytesIO(film(numbered).read_bytes())
    assert find_cuts(stream, LIMITS) == pytest.approx([1.6, 2.8])
    assert not stream.closed


def test_one_shot_has_no_cuts(numbered):
    assert find_cuts(film(numbered, "one.mp4", lengths=(60,), pan=4), LIMITS) == ()


def test_a_film_cut_off_half_way_still_has_its_first_cuts(numbered, tmp_path):
    whole = film(numbered, "whole.mkv").read_bytes()
    (tmp_path / "part.mkv").write_bytes(whole[: len(whole) * 3 // 5])
    assert find_cuts(tmp_path / "part.mkv", LIMITS)[0] == pytest.approx(1.6)


def test_what_is_no_video_is_an_error_of_its_kind(tmp_path):
    (tmp_path / "notes.mp4").write_text("no video")
    with pytest.raises(VideoError) as caught:
        find_cuts(tmp_path / "notes.mp4", LIMITS)
    assert caught.value.kind == "not_video"


def test_what_lacks_most_of_its_frames_is_an_error(numbered, tmp_path):
    options = {"movflags": "+faststart"}
    whole = film(numbered, "front.mp4", container_options=options).read_bytes()
    (tmp_path / "part.mp4").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(VideoError) as caught:
        find_cuts(tmp_path / "part.mp4", LIMITS)
    assert caught.value.kind == "truncated"


@pytest.mark.parametrize("name", ["film.mp4", "film.ts"])
def test_limits_hold_whether_or_not_a_header_tells(numbered, name):
    with pytest.raises(VideoError, match="too long"):
        find_cuts(film(numbered, name), LimitsConfig(max_duration_s=2))
