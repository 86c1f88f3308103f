"""The clip of a video: shapes, times, trims, views."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actcli.config import LimitsConfig, SamplingConfig
from actcli.demo.clips import write_clip
from actcli.errors import VideoError
from actcli.types import Clip, Preprocessing, VideoRef
from actcli.video.clips import read_clip
from tests.video.making import numbers, write_video

Make = Callable[..., Path]
SMALL = Preprocessing(64, resize="squash")


def clip_of(
    path: Path,
    num_frames: int,
    *,
    start: float | None = None,
    end: float | None = None,
    **more: Any,
) -> Clip:
    sampling = SamplingConfig(
        num_frames=num_frames, num_views=more.pop("views", 1), stride_s=more.pop("stride_s", None)
    )
    ref = VideoRef(str(path), start, end)
    return read_clip(ref, sampling, SMALL, LimitsConfig(), **more)


def test_a_clip_holds_the_middle_of_each_segment(numbered: Make) -> None:
    clip = clip_of(numbered("a.mp4", codec="h264-b"), 4)  # 60 frames in 2 s
    assert clip.frames.shape == (1, 4, 3, 64, 64)
    assert clip.frames.dtype == np.uint8
    assert clip.frames.flags.c_contiguous
    assert numbers(clip.frames[0]) == [7, 22, 37, 52]
    assert clip.times_s.tolist() == [pytest.approx([7 / 30, 22 / 30, 37 / 30, 52 / 30])]
    assert (clip.start_s, clip.end_s, clip.warnings) == (0.0, 2.0, ())


def test_views_take_their_own_frames(numbered: Make) -> None:
    clip = clip_of(numbered("a.mp4", codec="h264-b"), 2, views=2)
    assert [numbers(view) for view in clip.frames] == [[7, 37], [22, 52]]


def test_a_stride_takes_frames_that_far_apart(numbered: Make) -> None:
    clip = clip_of(numbered("a.mp4", codec="h264-b"), 3, stride_s=0.5)
    assert numbers(clip.frames[0]) == [15, 30, 45]


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_a_trim_keeps_its_part(numbered: Make, suffix: str) -> None:
    clip = clip_of(numbered(f"a.{suffix}", codec="h264-b"), 2, start=1.0, end=2.0)
    assert numbers(clip.frames[0]) == [37, 52]
    assert (clip.start_s, clip.end_s) == (1.0, 2.0)


def test_a_trim_beyond_the_end_is_cut_there(numbered: Make) -> None:
    clip = clip_of(numbered("a.mp4", codec="h264-b"), 1, start=1.5, end=30.0)
    assert (clip.start_s, clip.end_s) == (1.5, 2.0)


@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_a_trim_after_the_end_is_an_error(numbered: Make, suffix: str) -> None:
    with pytest.raises(VideoError, match="starts after the end") as caught:
        clip_of(numbered(f"a.{suffix}", codec="h264-b"), 2, start=5.0)
    assert caught.value.kind == "no_frames"


def test_a_video_shorter_than_a_clip_repeats_frames(tmp_path: Path) -> None:
    clip = clip_of(write_video(tmp_path / "a.mp4", num_frames=3), 8)
    assert numbers(clip.frames[0]) == [0, 0, 0, 1, 1, 2, 2, 2]


def test_a_single_frame_stands_for_all(tmp_path: Path) -> None:
    clip = clip_of(write_video(tmp_path / "a.mp4", num_frames=1), 4, views=3)
    assert clip.frames.shape[:2] == (3, 4)
    assert not clip.frames.any() or len(np.unique(clip.frames.reshape(12, -1), axis=0)) == 1


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_bytes_and_a_path_give_the_same_clip(numbered: Make, suffix: str) -> None:
    path = numbered(f"a.{suffix}", codec="h264-b")
    stream = io.BytesIO(path.read_bytes())
    stream.seek(100)
    streamed = clip_of(Path("nowhere.mp4"), 8, stream=stream)
    assert np.array_equal(streamed.frames, clip_of(path, 8).frames)
    assert not stream.closed


def test_uneven_frames_are_chosen_by_time_not_by_number(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", num_frames=4, times=[0, 1, 2, 90], rate=10, codec="h264")
    clip = clip_of(path, 4)
    assert numbers(clip.frames[0]) == [2, 2, 2, 2]


def test_the_reference_is_handed_back(numbered: Make) -> None:
    ref = VideoRef(str(numbered("a.mp4")), id="as typed", label="run")
    clip = read_clip(
        ref, SamplingConfig(num_frames=1, num_views=1, stride_s=None), SMALL, LimitsConfig()
    )
    assert clip.ref is ref


def test_an_error_survives_the_way_from_a_worker(tmp_path: Path) -> None:
    with pytest.raises(VideoError) as caught:
        clip_of(tmp_path / "none.mp4", 1)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.kind, copy.message, copy.hint) == ("not_found", "no such file", None)


def test_three_crops_are_views_beside_each_other_and_the_middle_is_the_usual_one(
    tmp_path: Path,
) -> None:
    write_clip(tmp_path / "a.mp4", "run", seed=3)
    ref, small = VideoRef(str(tmp_path / "a.mp4")), Preprocessing(32, scale_px=64)
    one = read_clip(ref, SamplingConfig(num_frames=2, num_views=2), small, LimitsConfig())
    three = read_clip(
        ref, SamplingConfig(num_frames=2, num_views=2, num_crops=3), small, LimitsConfig()
    )
    assert three.frames.shape == (6, 2, *one.frames.shape[2:])
    assert three.times_s.tolist() == [view for view in one.times_s.tolist() for _ in range(3)]
    np.testing.assert_array_equal(three.frames[[1, 4]], one.frames)
    assert not np.array_equal(three.frames[0], three.frames[2])


def test_fast_takes_the_key_frame_before_each_moment(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", num_frames=60, gop=10)
    exact = read_clip(VideoRef(str(path)), SamplingConfig(num_frames=4), SMALL, LimitsConfig())
    fast = read_clip(
        VideoRef(str(path)), SamplingConfig(num_frames=4, decode="fast"), SMALL, LimitsConfig()
    )
    wanted = numbers(exact.frames[0])
    assert numbers(fast.frames[0]) == [n // 10 * 10 for n in wanted]
    assert (fast.times_s <= exact.times_s).all()
    assert fast.warnings == ()


def test_fast_says_where_there_are_few_key_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", num_frames=60, gop=60)
    fast = read_clip(
        VideoRef(str(path)), SamplingConfig(num_frames=4, decode="fast"), SMALL, LimitsConfig()
    )
    assert numbers(fast.frames[0]) == [0, 0, 0, 0]
    assert fast.warnings == ("--decode fast: has 1 key frames for 4 moments",)


def test_fast_is_exact_where_key_frames_are_not_known(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", num_frames=30, codec="mpeg4")
    exact, fast = (
        read_clip(VideoRef(str(path)), SamplingConfig(num_frames=4, decode=how), SMALL,
                  LimitsConfig())
        for how in ("exact", "fast")
    )  # fmt: skip
    np.testing.assert_array_equal(exact.frames, fast.frames)
