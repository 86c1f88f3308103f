"""When each frame of a video is shown, worked out from packets or from decoded frames.

Pure arithmetic on integers in a stream's time base; nothing here opens or decodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

NO_TIME = int(np.iinfo(np.int64).min)
KEY, DISCARD, CORRUPT = 1, 2, 4

# Formats with one clock that may restart or jump within a file, as in joined broadcasts.
JUMPING_FORMATS = frozenset({"mpegts", "mpeg"})
JUMP_S = 10.0
RESTART_S = 1.0
ASSUMED_RATE = Fraction(25)


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The shown frames of a video in order."""

    times_s: NDArray[np.float64]
    """[number of frames], not falling, from 0"""
    duration_s: float
    """Until the last frame goes; 0 for no frames."""
    has_timestamps: bool
    """False where times are counted from the frame rate because the file has none."""

    @property
    def num_frames(self) -> int:
        """How many frames are shown."""
        return len(self.times_s)

    @property
    def average_rate(self) -> float:
        """Frames per second over the whole video, which must have frames."""
        return self.num_frames / self.duration_s


@dataclass(frozen=True, slots=True)
class Clock:
    """How a stream counts time."""

    time_base: Fraction
    rate: Fraction | None
    """Frames per second on average, as far as the file tells."""
    jumps: bool = False
    """Whether the clock may restart or jump within the file."""

    @property
    def frame_s(self) -> float:
        """Seconds that a frame lasts if nothing else is known."""
        return float(1 / (self.rate or ASSUMED_RATE))


@dataclass(frozen=True, slots=True, eq=False)
class Packets:
    """The packets of one video stream in decoding order; times in its time base."""

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    durations: NDArray[np.int64]
    flags: NDArray[np.uint8]
    """KEY, DISCARD (decoded but hidden by an edit list), CORRUPT"""
    is_complete: bool
    """The demuxer reached the end without an error."""
    listed: int
    """Shown frames that the container lists, whether or not they could be read."""

    def shown(self) -> NDArray[np.int64]:
        """Indices of the packets whose frames are shown, in the order of showing."""
        (kept,) = np.nonzero(self.flags & DISCARD == 0)
        order = np.argsort(self.pts[kept], kind="stable")
        return np.asarray(kept[order], dtype=np.int64)

    def timeline(self, clock: Clock) -> Timeline:
        """When frames are shown, if every packet that is not discarded gives one frame."""
        shown = self.shown()
        return shown_times(self.pts[shown], self.dts[shown], self.durations[shown], clock)

    def has_exact_times(self) -> bool:
        """Whether packets alone tell which frames are shown and when.

        So it is if the file is whole, every packet has its own time, and no picture is shown before
        the first key frame: such pictures may lack what they refer to and never appear.
        """
        shown = self.shown()
        if not self.is_complete or shown.size == 0 or self.listed > shown.size:
            return False
        pts = self.pts[shown]
        return bool(
            self.flags[0] & KEY
            and not np.any(self.flags & CORRUPT)
            and pts[0] != NO_TIME
            and np.all(np.diff(pts) > 0)
            and pts[0] >= self.pts[0]
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of packets to decode from a key frame on, and the times wanted from it."""

    first: int
    last: int
    wanted: tuple[int, ...]


def shown_times(
    pts: NDArray[np.int64], dts: NDArray[np.int64], durations: NDArray[np.int64], clock: Clock
) -> Timeline:
    """Turn the clock readings of shown frames, in their order, into seconds from the first.

    With a reading for each frame these count. Without, decoding times are taken, whose steps are
    those of the shown frames, and failing these, index / average rate.
    """
    if len(pts) == 0:
        return Timeline(np.zeros(0), 0.0, has_timestamps=False)
    if np.all(pts != NO_TIME):
        return _clocked(pts, durations, clock, has_timestamps=True)
    (known,) = np.nonzero(dts != NO_TIME)
    # Frames that leave the decoder at the end of the file have no decoding time of their own.
    if known.size > 1 and known[-1] == known.size - 1 and np.all(np.diff(dts[known]) > 0):
        step = int(np.median(np.diff(dts[known])))
        missing = np.arange(1, len(dts) - known.size + 1)
        filled = np.concatenate([dts[known], dts[known[-1]] + step * missing])
        steps = np.maximum(durations, step)
        return _clocked(filled, steps, clock, has_timestamps=False)
    times_s = np.arange(len(pts), dtype=np.float64) * clock.frame_s
    return Timeline(times_s, len(pts) * clock.frame_s, has_timestamps=False)


def _clocked(
    ticks: NDArray[np.int64], durations: NDArray[np.int64], clock: Clock, *, has_timestamps: bool
) -> Timeline:
    lasting_s = np.where(durations > 0, durations * float(clock.time_base), clock.frame_s)
    # Rationals are applied to differences, so that a clock far from zero loses no precision.
    since = (ticks - ticks[0]).astype(np.float64)
    elapsed = since * clock.time_base.numerator / clock.time_base.denominator
    steps_s = np.diff(elapsed)
    broken = (steps_s < 0) | (steps_s > JUMP_S) if clock.jumps else steps_s <= -RESTART_S
    if np.any(broken):
        steps_s = np.where(broken, lasting_s[:-1], steps_s)
        elapsed = np.concatenate([[0.0], np.cumsum(steps_s)])
    times_s: NDArray[np.float64] = np.maximum.accumulate(elapsed)
    return Timeline(times_s, float(times_s[-1] + lasting_s[-1]), has_timestamps)


def key_frames(packets: Packets) -> NDArray[np.int64]:
    """Places among the shown frames of those that need no other to be decoded, the first always."""
    is_key = (packets.flags[packets.shown()] & KEY) > 0
    is_key[0] = True
    (places,) = np.nonzero(is_key)
    return places


def plan_segments(packets: Packets, wanted: Sequence[int], merge_gap: int) -> list[Segment]:
    """Group wanted packets by the key frame that decoding must start from.

    Neighbours whose gap is at most `merge_gap` packets become one segment.
    wanted: indices into `packets`, any order
    """
    (keys,) = np.nonzero(packets.flags & KEY)
    indices = np.sort(np.asarray(wanted, np.int64))
    places = np.searchsorted(keys, indices, side="right") - 1
    # A picture decoded after a key frame but shown before it also needs the frames before.
    while np.any(early := packets.pts[keys[places]] > packets.pts[indices]):
        places[early] -= 1
    starts: dict[int, list[int]] = {}
    for index, key in zip(indices.tolist(), keys[places].tolist(), strict=True):
        starts.setdefault(key, []).append(index)
    groups: list[tuple[int, list[int]]] = []
    last = -merge_gap - 1
    for first, members in sorted(starts.items()):
        if groups and first - last <= merge_gap:
            groups[-1][1].extend(members)
        else:
            groups.append((first, members))
        last = max(last, members[-1])
    return [
        Segment(first, max(members), tuple(packets.pts[members].tolist()))
        for first, members in groups
    ]
