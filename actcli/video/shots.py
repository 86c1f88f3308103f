"""Where a film cuts from one shot to the next, found in one pass over tiny grey pictures.

    d(i) = mean of |x(i) - x(i - 1)|        over the pixels of x, a frame as grey 32 x 24, 0..255

Frame i begins a new shot if all of these hold:

1. d(i) >= 5: something changes at all.
2. d(i) >= 2.5 times the mean of the larger half of the n steps before it and the n after it: more
   changes than around it, so that a moving camera is no cut. The larger half, so that frames shown
   twice, whose d is 0, do not count. n is a sixth of a second, at least 4 frames.
3. None of the n frames from i on resembles one of the n before: each pair differs by 5 and by
   d(i) / 2 or more. A flash shorter than n is no cut, since what was before it comes back.
4. No larger d(j) that passes 1 to 3 is within half a second, nor is the beginning of the film.

A threshold relative to the neighbours is how PySceneDetect's detect-adaptive tells cuts from motion
(3 times the mean of two frames on either side, and at least 15 of 255, in hue, saturation and
value). The larger half, rule 3 and the constants here are our own, chosen on 16 films of drawn and
real clips with known cuts.

Only hard cuts are found: no fade, no dissolve. A light that is switched on looks like a cut.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator
from itertools import product
from typing import Final

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from actcli.config import LimitsConfig
from actcli.video.counting import Counted, damage_warnings
from actcli.video.reader import open_video
from actcli.video.source import Source
from actcli.video.streams import check_duration, clock_of
from actcli.windows import BEAT, BEAT_FRAMES, Beat

MIN_SHOT_S: Final = 0.5
_WIDTH, _HEIGHT = 32, 24
_MIN_CHANGE = 5.0
_MIN_RATIO = 2.5
_MIN_AROUND, _AROUND_S = 4, 1 / 6
_MIN_UNLIKE = 0.5


class CutFinder:
    """Finds the frames that begin a new shot, from all frames in order; needs a dozen of them.

    rate: frames per second, for the shortest shot
    """

    def __init__(self, rate: float) -> None:
        self._min_frames = max(1, round(MIN_SHOT_S * rate))
        self._around = max(_MIN_AROUND, round(_AROUND_S * rate))
        # The frame that is judged, with those around it; a change belongs to the later frame.
        self._pictures: deque[NDArray[np.int16]] = deque(maxlen=2 * self._around + 1)
        self._changes: deque[float] = deque(maxlen=2 * self._around + 1)
        self._num_frames = 0
        self._next = 1  # the frame to be judged next
        self._last = 0  # the last beginning that was told
        self._waiting: tuple[int, float] | None = None  # a cut that a larger one may replace

    def add(self, luma: NDArray[np.uint8]) -> int | None:
        """Take one more frame; tell one that begins a new shot as soon as that is certain.

        luma: grey, [h, w], all of one size; a few hundred pixels are enough
        returns: an index among the frames added, two thirds of a second late; each is larger than
            those told before
        """
        picture = luma.astype(np.int16)
        self._changes.append(_unlikeness(picture, self._pictures[-1]) if self._pictures else 0.0)
        self._pictures.append(picture)
        self._num_frames += 1
        return self._judge_next() if self._next + self._around < self._num_frames else None

    def finish(self) -> list[int]:
        """The frames that begin a new shot and were not told yet, once there are no more frames.

        One with less than a sixth of a second after it (or 4 frames) counts only if that is half a
        second nevertheless, as it is where frames are few.
        """
        found = []
        while self._next <= self._num_frames - self._min_frames:
            found.append(self._judge_next())
        if self._waiting:
            found.append(self._waiting[0])
            self._waiting = None
        return [index for index in found if index is not None]

    def _judge_next(self) -> int | None:
        index, told = self._next, None
        self._next += 1
        if self._waiting and index - self._waiting[0] >= self._min_frames:
            told = self._last = self._waiting[0]
            self._waiting = None
        place = index - self._num_frames + len(self._pictures)
        change = self._changes[place]
        is_far = index - self._last >= self._min_frames
        is_largest = self._waiting is None or change > self._waiting[1]
        if is_far and is_largest and self._is_cut(place):
            self._waiting = index, change
        return told

    def _is_cut(self, place: int) -> bool:
        """Rules 1 to 3 for the frame at `place` among the held ones."""
        change = self._changes[place]
        if change < _MIN_CHANGE:
            return False
        first, last = max(place - self._around, 0), place + self._around
        changes, pictures = list(self._changes), list(self._pictures)
        larger = sorted(changes[first:place] + changes[place + 1 : last + 1])[-self._around :]
        if change * len(larger) < _MIN_RATIO * sum(larger):
            return False
        pairs = product(pictures[first:place], pictures[place:last])
        unlike = max(_MIN_CHANGE, _MIN_UNLIKE * change)
        return all(_unlikeness(before, after) >= unlike for before, after in pairs)


def find_cuts(source: Source, limits: LimitsConfig) -> tuple[float, ...]:
    """The times at which new shots begin, in seconds from the first shown frame; all frames are
    decoded once.

    source: a path or a seekable file object, which stays open
    returns: times of frames, rising; without the first frame's, so none for a single shot
    Raises VideoError, for damage as `actcli.video.decode.read_frames` does.
    """
    steps = cut_steps(source, limits)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: tuple[float, ...] = end.value
            return found


def cut_steps(source: Source, limits: LimitsConfig) -> Generator[Beat, None, tuple[float, ...]]:
    """As `find_cuts`, with a beat now and then: the time limit is for what lies between two."""
    with open_video(source, limits, time.monotonic() + limits.timeout_s) as reader:
        packets = reader.scan()
    counted, shrink = Counted(), _Shrink()
    found: list[int] = []
    with open_video(source, limits, time.monotonic() + limits.timeout_s) as reader:
        clock = clock_of(reader.container, reader.stream)
        finder = CutFinder(1 / clock.frame_s)
        for index, frame in enumerate(reader.frames()):
            counted.note(frame)
            told = finder.add(shrink(frame))
            found += [] if told is None else [told]
            if index % BEAT_FRAMES == 0:
                yield BEAT
                reader.deadline = time.monotonic() + limits.timeout_s
        counted.end(reader)
        damage_warnings(counted, packets, reader)
    timeline = counted.timeline(clock)
    check_duration(timeline.duration_s, limits)
    found += finder.finish()
    return tuple(timeline.times_s[found].tolist())


class _Shrink:
    """Frames as tiny grey pictures. One converter for all: to set one up takes a millisecond."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        tiny = self._reformatter.reformat(
            frame, _WIDTH, _HEIGHT, "gray", interpolation=Interpolation.AREA, threads=1
        )
        return np.asarray(tiny.to_ndarray(), dtype=np.uint8)


def _unlikeness(a: NDArray[np.int16], b: NDArray[np.int16]) -> float:
    """Mean absolute difference of two pictures."""
    return float(np.abs(a - b).mean())
