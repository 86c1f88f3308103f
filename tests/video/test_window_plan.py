"""Where windows lie: of one length, every stride, to the end of the video."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actcli.config import SamplingConfig, WindowConfig
from actcli.types import VideoRef
from actcli.video.timeline import Timeline
from actcli.video.window_plan import plan_windows, spans_within, window_spans
from actcli.windows import BLOCK_FRAMES


def timeline(num_frames: int = 300, rate: float = 30.0) -> Timeline:
    return Timeline(np.arange(num_frames) / rate, num_frames / rate, has_timestamps=True)


def plan(window_s: float, stride_s: float | None = None, **more: object) -> object:
    windows = WindowConfig(window_s=window_s, window_stride_s=stride_s)
    sampling = SamplingConfig(num_frames=4)
    return plan_windows(VideoRef("a.mp4"), sampling, windows, timeline(), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("span", "length", "stride", "expected"),
    [
        ((0.0, 4.0), 2.0, 1.0, [(0, 2), (1, 3), (2, 4)]),
        ((0.0, 4.5), 2.0, 1.0, [(0, 2), (1, 3), (2, 4), (2.5, 4.5)]),  # the end is reached
        ((1.0, 3.0), 2.0, 1.0, [(1, 3)]),
        ((0.0, 1.5), 2.0, 1.0, [(0, 1.5)]),  # shorter than a window
        ((0.0, 7.0), 1.0, 3.0, [(0, 1), (3, 4), (6, 7)]),  # with gaps
    ],
)
def test_windows_of_one_length_lie_a_stride_apart(
    span: tuple[float, float], length: float, stride: float, expected: list[tuple[float, float]]
) -> None:
    assert list(window_spans(*span, length, stride)) == expected


@settings(deadline=None)
@given(duration=st.floats(0.05, 50), length=st.floats(0.5, 60), share=st.floats(0.05, 1.0))
def test_windows_no_further_apart_than_their_length_cover_all(
    duration: float, length: float, share: float
) -> None:
    spans = list(window_spans(0.0, duration, length, share * length))
    assert spans[0][0] == 0.0
    assert spans[-1][1] == pytest.approx(duration)
    for one, following in pairwise(spans):
        assert one[0] < following[0] <= one[1] + 1e-9
        assert following[1] - following[0] == pytest.approx(length)


def test_no_window_reaches_across_a_cut() -> None:
    spans = list(spans_within((3.0, 3.5), 0.0, 6.0, 2.0, 1.0))
    assert spans == [(0, 2), (1, 3), (3.0, 3.5), (3.5, 5.5), (4.0, 6.0)]


def test_cuts_outside_a_trim_change_nothing() -> None:
    whole = list(window_spans(1.0, 4.0, 2.0, 1.0))
    assert list(spans_within((0.5, 1.0, 4.0, 9.0), 1.0, 4.0, 2.0, 1.0)) == whole


@pytest.mark.parametrize("stride_s", [0.01, 0.1, 1.0, 2.0])
def test_blocks_hold_each_frame_once_and_each_window_once_its_frames_are_there(
    stride_s: float,
) -> None:
    made = plan(1.0, stride_s)
    seen, windows, ended = 0, [], []
    for first, end, own, is_last in made.blocks(0):  # type: ignore[attr-defined]
        assert first == seen
        assert end - first <= BLOCK_FRAMES
        assert all(place < end for window in own for view in window.places for place in view)
        seen, windows = end, windows + list(own)
        ended.append(is_last)
    assert ended == [False] * (len(ended) - 1) + [True]
    assert seen == len(made.wanted)  # type: ignore[attr-defined]
    assert [(window.start_s, window.end_s) for window in windows] == list(made.spans)  # type: ignore[attr-defined]


def test_a_window_names_the_frames_that_are_on_screen_in_it() -> None:
    (_, _, (window, *_), _), *_ = plan(1.0).blocks(10)  # type: ignore[attr-defined]
    assert (window.first_frame, window.last_frame) == (0, 29)
    assert window.places == ((10, 11, 12, 13),)
    assert window.times_s == (pytest.approx((3 / 30, 11 / 30, 18 / 30, 26 / 30)),)


def test_what_was_told_already_is_left_out() -> None:
    spans = plan(1.0, after_s=7.0).spans  # type: ignore[attr-defined]
    assert spans == ((8.0, 9.0), (9.0, 10.0))
    assert list(plan(1.0, after_s=99.0).blocks(0)) == []  # type: ignore[attr-defined]
