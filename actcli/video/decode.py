"""Read chosen frames of a video, exactly and without holding the others.

Two ways lead to the same frames. Where packets alone tell which frames are shown (whole MP4,
Matroska and WebM files), frames are looked up: decoding starts at the key frame before each, and
each found frame is checked by its time. Everywhere else, and whenever a check fails, all frames are
decoded and counted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from actcli.config import LimitsConfig
from actcli.errors import VideoError
from actcli.types import VideoInfo
from actcli.video.counting import count_frames, damage_warnings, time_warnings
from actcli.video.lookup import MERGE_GAP, UnreliableError, can_look_up, look_up
from actcli.video.reader import Convert, Reader, open_video
from actcli.video.source import Source
from actcli.video.streams import (
    HEADED_FORMATS,
    check_duration,
    clock_of,
    codec_name,
    format_name,
)
from actcli.video.timeline import Packets, Timeline, key_frames

log = logging.getLogger("actcli.video.decode")

# A header rounds; a video shorter than this share of what it says was cut off.
_SHORT_SHARE = 0.9

Choose = Callable[[Timeline], Sequence[int]]
"""From all shown frames to the indices of the wanted ones, in any order, repeats allowed."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """The wanted frames of a video by their index among the shown ones."""

    frames: dict[int, NDArray[np.uint8]]
    timeline: Timeline
    codec: str
    container: str
    warnings: tuple[str, ...]
    is_counted: bool
    """All frames were decoded and counted, instead of looked up by their time."""
    shown_instead: dict[int, int] = field(default_factory=dict)
    """Of wanted frames that others stand for: the index of those."""


def probe(source: Source, limits: LimitsConfig | None = None) -> VideoInfo:
    """What a video is, without keeping a frame of it.

    source: a path or a seekable file object, which stays open
    Raises VideoError if no frame can be shown.
    """
    shapes = []

    def note_shape(frame: VideoFrame, aspect: Fraction) -> NDArray[np.uint8]:
        rotation = round(frame.rotation / 90) % 4 * 90
        shapes.append((max(1, round(frame.width * aspect)), frame.height, rotation))
        return np.zeros(0, np.uint8)

    reading = read_frames(source, lambda _: [0], note_shape, limits or LimitsConfig())
    timeline = reading.timeline
    width, height, rotation = shapes[-1]
    return VideoInfo(
        duration_s=timeline.duration_s,
        num_frames=timeline.num_frames,
        average_rate=timeline.average_rate,
        width=height if rotation % 180 else width,
        height=width if rotation % 180 else height,
        rotation_deg=rotation,
        codec=reading.codec,
        container=reading.container,
        has_timestamps=timeline.has_timestamps,
    )


def read_frames(
    source: Source,
    choose: Choose,
    convert: Convert,
    limits: LimitsConfig,
    *,
    seek: bool | None = None,
    keys_only: bool = False,
) -> Reading:
    """Decode the frames that `choose` picks from the video's timeline.

    source: a path or a seekable file object, which stays open
    seek: True looks frames up with a seek to every key frame needed, False decodes and counts all
        frames, None does what is faster; the frames are the same
    keys_only: where frames are looked up, take the last key frame before each wanted one instead
    Raises VideoError.
    """
    deadline = time.monotonic() + limits.timeout_s
    with open_video(source, limits, deadline) as reader:
        packets = reader.scan()
        timeline = packets.timeline(clock_of(reader.container, reader.stream))
        if seek is not False and can_look_up(reader, packets):
            check_duration(timeline.duration_s, limits)
            wanted = sorted(set(choose(timeline)))
            instead = _keys_before(packets, wanted) if keys_only else {}
            needed = sorted(set(instead.values())) or wanted
            try:
                gap = 0 if seek else MERGE_GAP
                frames = look_up(reader, packets, needed, convert, merge_gap=gap)
                frames |= {index: frames[key] for index, key in instead.items()}
                return replace(make_reading(reader, frames, timeline), shown_instead=instead)
            except UnreliableError as reason:
                log.debug("%s; decoding all frames", reason)
    guess = _choose_if_possible(choose, timeline)
    with open_video(source, limits, deadline) as reader:
        counted = count_frames(reader, guess, convert)
        clock = clock_of(reader.container, reader.stream)
        warnings = damage_warnings(counted, packets, reader)
        timeline = counted.timeline(clock)
        check_duration(timeline.duration_s, limits)
        warnings += time_warnings(reader, timeline, clock)
        reading = make_reading(reader, counted.frames, timeline, warnings)
    missing = set(choose(timeline)) - counted.frames.keys()
    if missing:
        with open_video(source, limits, deadline) as reader:
            again = count_frames(reader, missing, convert, stop_early=True)
        reading.frames.update(again.frames)
        if not missing <= again.frames.keys():
            raise VideoError("unreadable", "the file changed while it was read")
    return reading


def _keys_before(packets: Packets, wanted: Sequence[int]) -> dict[int, int]:
    """For each wanted frame the last key frame that is not after it."""
    keys = key_frames(packets)
    places = np.searchsorted(keys, wanted, side="right") - 1
    return {index: int(keys[place]) for index, place in zip(wanted, places, strict=True)}


def _choose_if_possible(choose: Choose, timeline: Timeline) -> set[int]:
    """The likely frames, kept on the first pass to save a second; none if packets tell nothing."""
    if timeline.num_frames == 0:
        return set()
    try:
        return set(choose(timeline))
    except VideoError:
        return set()


def cut_warning(reader: Reader, timeline: Timeline) -> tuple[str, ...]:
    """A sentence if the video ends long before its header says."""
    container = format_name(reader.container)
    told_s = (reader.container.duration or 0) / 1e6
    if container in HEADED_FORMATS - {"mov"} and timeline.duration_s < _SHORT_SHARE * told_s:
        return (f"the video ends at {timeline.duration_s:.1f} s of the {told_s:.1f} s announced",)
    return ()


def make_reading(
    reader: Reader,
    frames: dict[int, NDArray[np.uint8]],
    timeline: Timeline,
    warnings: list[str] | None = None,
) -> Reading:
    """What was read of a video.

    warnings: of one whose frames were counted; None if they were looked up
    """
    return Reading(
        frames,
        timeline,
        codec_name(reader.stream),
        format_name(reader.container),
        tuple(warnings or ()) or cut_warning(reader, timeline),
        is_counted=warnings is not None,
    )
