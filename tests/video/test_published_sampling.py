"""Frames by number against the authors' indices, worked examples and laws; then in real videos."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.config import ClassifyConfig, LimitsConfig, SamplingConfig, with_options
from actcli.errors import UsageError
from actcli.types import Clip, Preprocessing, VideoRef
from actcli.video.clips import read_clip
from actcli.video.published_sampling import clip_fsar_indices, published_plan
from tests.parity import reference
from tests.video.making import numbers, write_video

Make = Callable[..., Path]
COUNTS = st.integers(1, 3000)
LENGTHS = st.integers(1, 64)
RATES_PER_S = st.floats(1, 120)
SEGMENTS = SamplingConfig(num_frames=8, scheme="clip-fsar")
SPACED = SamplingConfig(num_frames=8, scheme="clip-fsar", rate=35)


def chosen(count: int, *, rate: int = 35, fps: float = 25.0, **more: Any) -> tuple[int, ...]:
    more = {"num_frames": 8, "random": Random(0)} | more
    return clip_fsar_indices(count, fps, rate=rate, **more)


@pytest.mark.skipif(not reference.is_there(), reason=reference.WHY_ABSENT)
def test_indices_are_the_authors() -> None:
    cases = json.loads((reference.FOLDER / "clip_fsar/sampling_indices.json").read_text())
    assert len(cases) >= 64
    for case in cases:
        ours = clip_fsar_indices(
            case["num_frames_video"],
            case["fps"],
            num_frames=case["T"],
            rate=case["sampling_rate"],
            random=Random(case.get("python_random_seed")),
            is_training=case["split"] == "train",
        )
        assert list(ours) == case["indices"], case


def test_spacing_is_in_single_precision() -> None:
    length = 8 * 35 * 20 / 12
    start = (979 - length + 1) / 2
    doubles = np.linspace(start, start + length - 35, 8).astype(int).tolist()
    assert doubles == [256, 318, 379, 441, 503, 565, 626, 688]
    assert chosen(979, fps=20.0) == (256, 318, 380, 441, 503, 565, 626, 688)
    # Here it is the ends that must be rounded first: 1925 otherwise.
    assert chosen(3699, fps=20.0) == (1616, 1678, 1740, 1801, 1863, 1924, 1986, 2048)


@given(COUNTS, RATES_PER_S, LENGTHS, st.integers(1, 40))
def test_spacing_is_torchs(count: int, fps: float, num_frames: int, rate: int) -> None:
    import torch

    length = num_frames * rate * fps / 12
    length = length if length <= count else count // num_frames * num_frames
    start = max(count - length + 1, 0) / 2
    line = torch.linspace(start, start + length - rate, num_frames, dtype=torch.float32)
    ours = np.array(chosen(count, fps=fps, num_frames=num_frames, rate=rate))
    theirs = line.clamp(0, count - 1).long().numpy()
    # Torch rounds once or twice by the processor; a frame apart only where it is all but whole.
    near = (line.clamp(0, count - 1) - line.clamp(0, count - 1).round()).abs().numpy() < 1e-3
    assert ((ours == theirs) | (near & (np.abs(ours - theirs) <= 1))).all()


@given(st.integers(8, 3000), st.integers(0, 99))
def test_above_40_one_frame_comes_from_each_segment(count: int, seed: int) -> None:
    width = count // 8
    taken = chosen(count, rate=50, random=Random(seed))
    assert [index // width for index in taken] == list(range(8))


def test_above_40_every_frame_of_a_segment_may_be_taken_and_the_remainder_never() -> None:
    random = Random(0)
    taken = {index for _ in range(300) for index in chosen(39, rate=50, random=random)}
    assert taken == set(range(32))


def test_draws_are_pythons_in_order() -> None:
    random = Random(3)
    expected = tuple(random.randint(i * 12, i * 12 + 11) for i in range(8))
    assert chosen(100, rate=50, random=Random(3)) == expected
    assert chosen(100, rate=50, random=Random(3), is_training=True) == expected


@given(COUNTS, RATES_PER_S, LENGTHS, st.integers(1, 80), st.booleans())
def test_indices_are_of_frames_that_exist(
    count: int, fps: float, num_frames: int, rate: int, is_training: bool
) -> None:
    taken = chosen(count, fps=fps, num_frames=num_frames, rate=rate, is_training=is_training)
    assert len(taken) == num_frames
    assert all(0 <= index < count for index in taken)


@given(st.integers(1, 7))
def test_above_40_all_frames_of_a_short_video_are_spread_in_order(count: int) -> None:
    taken = chosen(count, rate=50)
    assert list(taken) == sorted(taken)
    assert set(taken) == set(range(count))


def test_a_test_at_40_or_less_draws_nothing_and_training_starts_anywhere() -> None:
    random = Random(1)
    before = random.getstate()
    centred = chosen(2500, random=random)
    assert random.getstate() == before
    starts = {chosen(2500, random=random, is_training=True)[0] for _ in range(200)}
    assert min(starts) < centred[0] / 4
    assert max(starts) > centred[0] * 7 / 4


def test_a_plan_counts_from_the_start_of_its_part() -> None:
    whole, part = (published_plan(SEGMENTS, p, 25.0) for p in (range(80), range(20, 100)))
    assert whole.indices is not None
    assert part.indices == (tuple(index + 20 for index in whole.indices[0]),)


def read(path: Path, sampling: SamplingConfig, *, seek: bool | None = None, **trim: float) -> Clip:
    small = Preprocessing(64, resize="squash")
    return read_clip(VideoRef(str(path), **trim), sampling, small, LimitsConfig(), seek=seek)


@pytest.mark.parametrize("sampling", [SEGMENTS, SPACED], ids=["random", "spaced"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_both_ways_of_reading_find_the_chosen_frames(
    numbered: Make, suffix: str, sampling: SamplingConfig
) -> None:
    path = numbered(f"a.{suffix}", codec="h264-b")  # 60 frames in 2 s
    expected = clip_fsar_indices(60, 30.0, num_frames=8, rate=sampling.rate, random=Random(0))
    looked_up, counted, auto = (read(path, sampling, seek=seek) for seek in (True, False, None))
    assert numbers(counted.frames[0]) == list(expected)
    for other in (looked_up, auto):
        assert np.array_equal(other.frames, counted.frames)
        assert np.array_equal(other.times_s, counted.times_s)


@pytest.mark.parametrize("seek", [True, False])
def test_a_trim_is_sampled_as_if_it_were_the_video(numbered: Make, seek: bool) -> None:
    path = numbered("a.mp4", codec="h264-b")
    clip = read(path, SEGMENTS, seek=seek, start_s=1.0, end_s=1.8)
    # 24 frames of 30, from number 30 on.
    expected = clip_fsar_indices(24, 30.0, num_frames=8, rate=50, random=Random(0))
    assert numbers(clip.frames[0]) == [30 + index for index in expected]
    assert (clip.start_s, clip.end_s) == (1.0, 1.8)


def test_a_trim_between_two_frames_holds_the_one_on_screen(numbered: Make) -> None:
    clip = read(numbered("a.mp4", codec="h264-b"), SEGMENTS, start_s=1.01, end_s=1.02)
    assert numbers(clip.frames[0]) == [30] * 8


def test_frames_that_could_not_be_decoded_are_not_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", codec="mpeg4")
    data = bytearray(path.read_bytes())
    middle = data.find(b"00dc", len(data) * 6 // 10)
    data[middle + 8 : middle + 20] = bytes(12)
    path.write_bytes(data)
    # Were 60 frames counted, each would be taken once, and the last, which is missing, replaced.
    (times,) = read(path, SamplingConfig(num_frames=60, scheme="clip-fsar")).times_s
    assert len(set(times)) == 59
    assert times[-1] > times[-2]


def test_uneven_frames_are_chosen_by_number_not_by_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", num_frames=4, times=[0, 1, 2, 90], rate=10, codec="h264")
    clip = read(path, SamplingConfig(num_frames=4, scheme="clip-fsar"))
    assert numbers(clip.frames[0]) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_views": 3}, r"^--views: .* \(got 3, expected 1\)"),
        ({"stride_s": 0.5}, r"^--stride: .* \(got 0.5, expected none\)"),
    ],
)
def test_views_and_strides_are_refused_beside_a_published_scheme(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        with_options(ClassifyConfig(), {"scheme": "clip-fsar"} | options)
    assert with_options(ClassifyConfig(), options).sampling.scheme == "time"
