"""When frames are shown, from hand-written packets."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from actcli.video.timeline import (
    CORRUPT,
    DISCARD,
    KEY,
    NO_TIME,
    Clock,
    Packets,
    Timeline,
    plan_segments,
    shown_times,
)

CLOCK = Clock(Fraction(1, 10), Fraction(10))


def packets(
    pts: list[int], flags: dict[int, int] | None = None, *, listed: int = 0, whole: bool = True
) -> Packets:
    marks = np.zeros(len(pts), np.uint8)
    marks[0] = KEY
    for index, flag in (flags or {}).items():
        marks[index] = flag
    ticks = np.array(pts, np.int64)
    kept = int((marks & DISCARD == 0).sum())
    return Packets(ticks, ticks, np.ones_like(ticks), marks, whole, max(listed, kept))


def times(
    pts: list[int | None], *, dts: list[int | None] | None = None, clock: Clock = CLOCK
) -> Timeline:
    def ticks(values: list[int | None]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([NO_TIME if v is None else v for v in values], np.int64)

    none: list[int | None] = [None] * len(pts)
    return shown_times(ticks(pts), ticks(dts or none), np.ones(len(pts), np.int64), clock)


def test_times_count_from_the_first_shown_frame() -> None:
    timeline = times([50, 51, 53])
    assert timeline.times_s.tolist() == [0.0, 0.1, 0.3]
    assert timeline.has_timestamps


def test_the_duration_ends_with_the_last_frame() -> None:
    assert times([50, 51, 53]).duration_s == pytest.approx(0.4)


def test_a_frame_without_a_duration_lasts_as_long_as_the_average() -> None:
    ticks = np.array([0, 1], np.int64)
    assert shown_times(ticks, ticks, ticks * 0, CLOCK).duration_s == pytest.approx(0.2)


def test_missing_times_are_index_over_rate() -> None:
    timeline = times([None, None, 7])
    assert timeline.times_s.tolist() == pytest.approx([0.0, 0.1, 0.2])
    assert timeline.duration_s == pytest.approx(0.3)
    assert not timeline.has_timestamps


def test_decoding_times_stand_in_for_missing_ones() -> None:
    timeline = times([None] * 4, dts=[4, 6, 8, None])
    assert timeline.times_s.tolist() == pytest.approx([0.0, 0.2, 0.4, 0.6])
    assert timeline.duration_s == pytest.approx(0.8)


def test_a_clock_that_starts_again_goes_on() -> None:
    assert times([500, 501, 0, 1]).times_s.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_a_broadcast_clock_that_jumps_ahead_goes_on() -> None:
    clock = Clock(Fraction(1, 10), Fraction(10), jumps=True)
    assert times([0, 1, 999], clock=clock).times_s.tolist() == pytest.approx([0.0, 0.1, 0.2])


def test_a_long_pause_is_kept_where_clocks_do_not_jump() -> None:
    assert times([0, 1, 999]).times_s[-1] == pytest.approx(99.9)


def test_a_frame_slightly_out_of_order_does_not_turn_time_back() -> None:
    assert times([0, 2, 1, 3]).times_s.tolist() == pytest.approx([0.0, 0.2, 0.2, 0.3])


def test_a_huge_clock_loses_no_precision() -> None:
    base = 2**61
    timeline = times([base, base + 1], clock=Clock(Fraction(1, 90000), None))
    assert timeline.times_s[1] == 1 / 90000


def test_no_frames_take_no_time() -> None:
    assert times([]).duration_s == 0.0


def test_packets_are_shown_in_the_order_of_their_times() -> None:
    assert packets([0, 3, 1, 2]).shown().tolist() == [0, 2, 3, 1]


def test_discarded_packets_are_not_shown() -> None:
    assert packets([-2, -1, 0, 1], {0: KEY | DISCARD, 1: DISCARD}).shown().tolist() == [2, 3]


@pytest.mark.parametrize(
    ("doubtful", "why"),
    [
        (packets([0, 1, 2], whole=False), "the file is cut off"),
        (packets([0, 1, 2], listed=4), "more frames are listed"),
        (packets([0, 1, 1]), "two frames at one time"),
        (packets([0, NO_TIME, 2]), "a time is missing"),
        (packets([0, 1, 2], {1: CORRUPT}), "a packet is damaged"),
        (packets([0, 1, 2], {0: 0}), "no key frame first"),
        (packets([5, 3, 4, 6]), "pictures before the first key frame"),
    ],
)
def test_packets_are_not_trusted_if_anything_is_odd(doubtful: Packets, why: str) -> None:
    assert not doubtful.has_exact_times(), why


def test_whole_and_regular_packets_are_trusted() -> None:
    assert packets([0, 3, 1, 2]).has_exact_times()


def test_packets_hidden_by_an_edit_list_do_not_cost_trust() -> None:
    assert packets([-2, -1, 0, 1], {0: KEY | DISCARD, 1: DISCARD}).has_exact_times()


def test_a_segment_starts_at_the_key_frame_before() -> None:
    (segment,) = plan_segments(packets([0, 1, 2, 3, 4], {2: KEY}), [3], 0)
    assert (segment.first, segment.last, segment.wanted) == (2, 3, (3,))


def test_a_picture_shown_before_its_key_frame_needs_the_one_before() -> None:
    # Decoded 0 1 5 3 4, shown 0 1 3 4 5: 3 and 4 refer to 1 as well as to the key frame 5.
    (segment,) = plan_segments(packets([0, 1, 5, 3, 4], {2: KEY}), [3], 0)
    assert (segment.first, segment.last) == (0, 3)


def test_each_group_of_pictures_has_its_segment() -> None:
    segments = plan_segments(packets(list(range(9)), {3: KEY, 6: KEY}), [7, 1, 0], 0)
    assert [(s.first, s.last) for s in segments] == [(0, 1), (6, 7)]


def test_near_segments_are_read_in_one_go() -> None:
    segments = plan_segments(packets(list(range(9)), {3: KEY, 6: KEY}), [1, 4, 7], 2)
    assert [(s.first, s.last, s.wanted) for s in segments] == [(0, 7, (1, 4, 7))]
