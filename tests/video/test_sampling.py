"""Moments and frame indices against numbers worked out by hand."""

from __future__ import annotations

import pytest

from actcli.config import SamplingConfig
from actcli.errors import VideoError
from actcli.types import SamplePlan
from actcli.video.sampling import (
    choose_frames,
    dense_times,
    frame_at,
    frames_between,
    make_plan,
    trim_span,
    uniform_times,
)


def test_uniform_sampling_takes_the_middle_of_each_segment() -> None:
    assert uniform_times(4, 1, 0.0, 8.0) == ((1.0, 3.0, 5.0, 7.0),)


def test_views_of_uniform_sampling_divide_each_segment() -> None:
    assert uniform_times(2, 2, 0.0, 8.0) == ((1.0, 5.0), (3.0, 7.0))


def test_uniform_sampling_of_a_trim_starts_at_its_start() -> None:
    assert uniform_times(2, 1, 10.0, 14.0) == ((11.0, 13.0),)


def test_dense_sampling_with_one_view_is_centred() -> None:
    assert dense_times(4, 1, 0.5, 0.0, 10.0) == ((4.25, 4.75, 5.25, 5.75),)


def test_dense_views_start_at_both_ends_and_evenly_between() -> None:
    starts = [view[0] for view in dense_times(3, 3, 1.0, 0.0, 10.0)]
    assert starts == [0.0, 4.0, 8.0]


def test_the_last_dense_view_ends_with_the_video() -> None:
    assert dense_times(3, 2, 1.0, 0.0, 10.0)[1] == (8.0, 9.0, 10.0)


def test_dense_sampling_of_a_short_video_repeats_its_end() -> None:
    assert dense_times(4, 1, 1.0, 0.0, 1.5) == ((0.0, 1.0, 1.5, 1.5),)


def test_dense_sampling_of_a_trim_stays_within_it() -> None:
    assert dense_times(2, 2, 1.0, 5.0, 8.0) == ((5.0, 6.0), (7.0, 8.0))


def test_a_stride_makes_sampling_dense() -> None:
    plan = make_plan(SamplingConfig(num_frames=2, num_views=1, stride_s=2.0), 0.0, 4.0)
    assert plan.timestamps_s == ((1.0, 3.0),)


def test_without_a_stride_sampling_is_uniform() -> None:
    plan = make_plan(SamplingConfig(num_frames=4, num_views=1, stride_s=None), 0.0, 4.0)
    assert plan.timestamps_s == ((0.5, 1.5, 2.5, 3.5),)


@pytest.mark.parametrize(
    ("time_s", "index"),
    [(-1.0, 0), (0.0, 0), (0.09, 0), (0.1, 1), (0.1999999999, 2), (0.35, 2), (99.0, 2)],
)
def test_the_frame_on_screen_is_the_last_one_shown_by_then(time_s: float, index: int) -> None:
    assert frame_at(time_s, [0.0, 0.1, 0.2]) == index


def test_of_frames_shown_at_one_moment_the_last_counts() -> None:
    assert frame_at(1.0, [0.0, 1.0, 1.0, 2.0]) == 2


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (0.0, 0.4, [0, 1, 2, 3]),
        (0.1, 0.3, [1, 2]),
        (0.1000000001, 0.3000000001, [1, 2]),
        (0.15, 0.25, [1, 2]),
        (0.11, 0.12, [1]),
        (0.35, 0.36, [3]),
    ],
)
def test_the_frames_of_a_part_are_those_on_screen_during_it(
    start_s: float, end_s: float, expected: list[int]
) -> None:
    assert list(frames_between(start_s, end_s, [0.0, 0.1, 0.2, 0.3])) == expected


def test_all_frames_of_a_whole_video_count_even_if_shown_at_one_moment() -> None:
    assert list(frames_between(0.0, 1.0, [0.0, 0.0, 0.5])) == [0, 1, 2]


def test_a_plan_of_indices_is_clamped_to_the_video() -> None:
    plan = SamplePlan(indices=((-1, 1, 7),))
    assert choose_frames(plan, [0.0, 0.1, 0.2]) == ((0, 1, 2),)


def test_a_plan_of_times_repeats_frames_of_a_short_video() -> None:
    plan = SamplePlan(timestamps_s=uniform_times(6, 1, 0.0, 0.3))
    assert choose_frames(plan, [0.0, 0.1, 0.2]) == ((0, 0, 1, 1, 2, 2),)


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        (None, None, (0.0, 10.0)),
        (2.0, None, (2.0, 10.0)),
        (None, 4.0, (0.0, 4.0)),
        (9.0, 99.0, (9.0, 10.0)),
        (-1.0, 4.0, (0.0, 4.0)),
    ],
)
def test_a_trim_is_cut_to_the_video(
    start: float | None, end: float | None, span: tuple[float, float]
) -> None:
    assert trim_span(10.0, start, end) == span


def test_a_trim_after_the_end_says_how_long_the_video_is() -> None:
    with pytest.raises(VideoError, match=r"got 12 s, expected less than 10 s") as caught:
        trim_span(10.0, 12.0, 13.0)
    assert caught.value.kind == "no_frames"


def test_an_empty_trim_is_an_error() -> None:
    with pytest.raises(VideoError, match="the trim is empty"):
        trim_span(10.0, 4.0, 4.0)
