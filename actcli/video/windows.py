"""A long video in blocks: each frame decoded once however much windows overlap, in flat memory.

Where packets tell which frames are shown, frames are looked up in the order of time. Elsewhere the
file is decoded from its start and each frame is compared with what the packets announced; where
they were wrong, all frames are counted, and the windows that are left follow what was counted.
Windows that were given before that stand: all their frames had been found at their times.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actcli.config import LimitsConfig, SamplingConfig, WindowConfig
from actcli.errors import VideoError
from actcli.types import Preprocessing
from actcli.video.counting import Counted, damage_warnings, time_warnings
from actcli.video.decode import cut_warning
from actcli.video.lookup import MERGE_GAP, UnreliableError, can_look_up, look_up_each
from actcli.video.picture import PictureMaker
from actcli.video.reader import Convert, Reader, open_video
from actcli.video.streams import check_duration, clock_of, pixel_aspect
from actcli.video.timeline import NO_TIME, Packets, Timeline, key_frames
from actcli.video.transform import three_crops
from actcli.video.window_plan import WindowPlan, plan_windows
from actcli.windows import BEAT, BEAT_FRAMES, Beat, WindowBlock, WindowsRef

log = logging.getLogger("actcli.video.windows")

Found = Iterator[tuple[int, NDArray[np.uint8]]]
"""(index among the shown frames, picture), each wanted one once, in order of showing"""


@dataclass(slots=True)
class WindowReading:
    """One video being read in blocks."""

    request: WindowsRef
    sampling: SamplingConfig
    windows: WindowConfig
    preprocessing: Preprocessing
    limits: LimitsConfig
    _cuts: tuple[float, ...] = ()
    _num_blocks: int = 0
    _num_places: int = 0
    """Of all blocks so far, given or left out."""
    _last_start_s: float = -1.0
    """Where the last window of these starts."""
    _may_keep: bool = True

    def blocks(self) -> Generator[WindowBlock | Beat, None, None]:
        """The blocks from the one that is asked for on.

        The time limit is for each block or beat. Raises VideoError, also after some of them.
        """
        path = self.request.video.path
        if self.windows.shots:
            from actcli.video.shots import cut_steps

            self._cuts = yield from cut_steps(path, self.limits)
        is_sought = False
        try:
            with open_video(path, self.limits, self._deadline()) as reader:
                packets = reader.scan()
                timeline = packets.timeline(clock_of(reader.container, reader.stream))
                is_sought = can_look_up(reader, packets)
                if is_sought:
                    yield from self._look_up(reader, packets, timeline)
                    return
                self._refuse_stripes()
            if timeline.num_frames:
                with open_video(path, self.limits, self._deadline()) as reader:
                    plan = self._plan(timeline)
                    wanted = self._wanted(plan)
                    found = _as_announced(reader, packets, wanted, self._convert())
                    clock = clock_of(reader.container, reader.stream)
                    told = cut_warning(reader, timeline)
                    told += tuple(time_warnings(reader, timeline, clock))
                    yield from self._blocks(reader, plan, found, told)
                    return
        except UnreliableError as reason:
            self._refuse_stripes()
            log.debug("%s; counting all frames", reason)
            # A run that continues this one would seek past the damage, and plan otherwise.
            self._may_keep = not is_sought
        yield from self._recount(packets)

    def _refuse_stripes(self) -> None:
        if self.request.stripes > 1:
            raise VideoError("unreadable", "it can only be read as a whole")

    def _deadline(self) -> float:
        return time.monotonic() + self.limits.timeout_s

    def _convert(self) -> PictureMaker:
        return PictureMaker(self.preprocessing, is_whole=self.sampling.num_crops > 1)

    def _plan(self, timeline: Timeline) -> WindowPlan:
        check_duration(timeline.duration_s, self.limits)
        return plan_windows(
            self.request.video,
            self.sampling,
            self.windows,
            timeline,
            cuts=self._cuts,
            after_s=self._last_start_s,
        )

    def _wanted(self, plan: WindowPlan) -> NDArray[np.int64]:
        """The frames of those blocks of a plan that are asked for."""
        found = [
            plan.wanted[first:end]
            for number, (first, end, *_) in enumerate(plan.edges(), self._num_blocks)
            if self.request.has(number)
        ]
        return np.concatenate([np.zeros(0, np.int64), *found])

    def _look_up(
        self, reader: Reader, packets: Packets, timeline: Timeline
    ) -> Iterator[WindowBlock]:
        plan = self._plan(timeline)
        if self.sampling.decode == "fast":
            plan = plan.at_frames(key_frames(packets))
        wanted = self._wanted(plan).tolist()
        found = look_up_each(reader, packets, wanted, self._convert(), merge_gap=MERGE_GAP)
        yield from self._blocks(reader, plan, found, cut_warning(reader, timeline))

    def _recount(self, packets: Packets) -> Generator[WindowBlock | Beat, None, None]:
        """What is left, by the times of all frames that can be decoded."""
        path = self.request.video.path
        with open_video(path, self.limits, self._deadline()) as reader:
            counted = yield from self._count(reader)
            clock = clock_of(reader.container, reader.stream)
            warnings = damage_warnings(counted, packets, reader)
            timeline = counted.timeline(clock)
            warnings += time_warnings(reader, timeline, clock)
        plan = self._plan(timeline)
        with open_video(path, self.limits, self._deadline()) as reader:
            found = _chosen(reader, self._wanted(plan), self._convert())
            try:
                yield from self._blocks(reader, plan, found, tuple(warnings))
            except UnreliableError as error:
                raise VideoError("unreadable", "the file changed while it was read") from error

    def _count(self, reader: Reader) -> Generator[Beat, None, Counted]:
        counted = Counted()
        for index, frame in enumerate(reader.frames()):
            counted.note(frame)
            if index % BEAT_FRAMES == 0:
                yield BEAT
                reader.deadline = self._deadline()
        counted.end(reader)
        return counted

    def _blocks(
        self,
        reader: Reader,
        plan: WindowPlan,
        found: Found,
        warnings: tuple[str, ...] = (),
    ) -> Iterator[WindowBlock]:
        """The plan's blocks, filled with what is found, from the one that is asked for on."""
        base, held = self._num_places, dict[int, NDArray[np.uint8]]()
        for first, end, windows, is_last in plan.blocks(base):
            is_wanted = self.request.has(self._num_blocks)
            places = plan.wanted[first:end].tolist() if is_wanted else []
            pictures = [_take(place, held, found) for place in places]
            if is_last and next(found, None) is not None:
                raise AssertionError("more frames than were wanted")
            if windows:
                self._last_start_s = windows[-1].start_s
            number, self._num_blocks = self._num_blocks, self._num_blocks + 1
            self._num_places = base + end
            if is_wanted:
                frames = self._stacked(pictures)
                yield WindowBlock(
                    self.request.video, frames, number, base + first, windows,
                    plan.timeline.duration_s, is_last, self._may_keep, warnings,
                )  # fmt: skip
                reader.deadline = self._deadline()

    def _stacked(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Pictures as [n, K, 3, X, X]."""
        size, crops = self.preprocessing.size_px, self.sampling.num_crops
        frames = np.empty((len(pictures), crops, 3, size, size), np.uint8)
        for i, picture in enumerate(pictures):
            frames[i] = three_crops(picture, size) if crops > 1 else picture
        return frames


def _take(index: int, held: dict[int, NDArray[np.uint8]], found: Found) -> NDArray[np.uint8]:
    """The picture of a frame; those that leave the decoder before it are held."""
    while index not in held:
        item = next(found, None)
        if item is None:
            raise UnreliableError("a wanted frame does not appear")
        held[item[0]] = item[1]
    return held.pop(index)


def _chosen(reader: Reader, wanted: NDArray[np.int64], convert: Convert) -> Found:
    """Frames by their number from the start of the file."""
    left = iter(wanted.tolist())
    next_wanted = next(left, None)
    for index, frame in enumerate(reader.frames()):
        if next_wanted is None:
            return
        if index == next_wanted:
            yield index, convert(frame, pixel_aspect(reader.stream))
            next_wanted = next(left, None)


def _as_announced(
    reader: Reader, packets: Packets, wanted: NDArray[np.int64], convert: Convert
) -> Found:
    """As `_chosen`, while every frame is shown when the packets say.

    Raises UnreliableError if one isn't, if there are more or fewer, or if anything is damaged.
    """
    told = packets.pts[packets.shown()]
    is_wanted = np.zeros(len(told), bool)
    is_wanted[wanted] = True
    index = -1
    for index, frame in enumerate(reader.frames()):
        pts = NO_TIME if frame.pts is None else frame.pts
        if index >= len(told) or pts != told[index]:
            raise UnreliableError("a frame is shown at another time than its packet says")
        if frame.is_corrupt or reader.decode_errors:
            raise UnreliableError("a packet is damaged")
        if is_wanted[index]:
            yield index, convert(frame, pixel_aspect(reader.stream))
    if index + 1 < len(told) or reader.is_cut_off or reader.decode_errors:
        raise UnreliableError("a listed frame does not appear")
