"""Decode a whole video and count its frames: slower than looking up, and always right."""

from __future__ import annotations

from array import array
from collections.abc import Collection
from dataclasses import dataclass, field

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from actcli.errors import VideoError
from actcli.video.reader import Convert, Reader
from actcli.video.streams import format_name, pixel_aspect
from actcli.video.timeline import NO_TIME, Clock, Packets, Timeline, shown_times

# A video with less than this share of its listed frames does not stand for itself.
MIN_DECODED_SHARE = 0.5
# Formats of a fixed rate, where counting is as good as reading times.
_COUNTED_FORMATS = frozenset({"avi"})


@dataclass(slots=True, eq=False)
class Counted:
    """What one pass over all frames found."""

    frames: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    """The wanted frames by their index among the shown ones."""
    pts: array[int] = field(default_factory=lambda: array("q"))
    dts: array[int] = field(default_factory=lambda: array("q"))
    durations: array[int] = field(default_factory=lambda: array("q"))
    num_damaged: int = 0
    has_errors: bool = False

    def note(self, frame: VideoFrame) -> None:
        """Take the next frame."""
        self.pts.append(NO_TIME if frame.pts is None else frame.pts)
        self.dts.append(NO_TIME if frame.dts is None else frame.dts)
        self.durations.append(frame.duration or 0)
        self.num_damaged += frame.is_corrupt

    def end(self, reader: Reader) -> None:
        """All frames were taken of what the reader could give."""
        self.has_errors = bool(reader.decode_errors) or reader.is_cut_off

    def timeline(self, clock: Clock) -> Timeline:
        """When the counted frames are shown."""
        return shown_times(
            np.array(self.pts, np.int64),
            np.array(self.dts, np.int64),
            np.array(self.durations, np.int64),
            clock,
        )


def count_frames(
    reader: Reader, wanted: Collection[int], convert: Convert, *, stop_early: bool = False
) -> Counted:
    """Decode from the start, keeping only the frames whose indices are wanted.

    stop_early: end after the last wanted frame
    """
    result = Counted()
    last = max(wanted, default=-1)
    for index, frame in enumerate(reader.frames()):
        result.note(frame)
        if index in wanted:
            result.frames[index] = convert(frame, pixel_aspect(reader.stream))
        if stop_early and index >= last:
            break
    result.end(reader)
    return result


def damage_warnings(counted: Counted, packets: Packets, reader: Reader) -> list[str]:
    """What is missing of a video, in sentences.

    Raises VideoError if no frame, or fewer than half of the listed ones, could be decoded.
    """
    decoded, listed = len(counted.pts), packets.listed
    if decoded == 0:
        raise _no_frames(listed, reader.last_error)
    is_damaged = counted.has_errors or not packets.is_complete
    text = f"only {decoded} of {listed} frames could be decoded"
    if is_damaged and decoded < MIN_DECODED_SHARE * listed:
        raise VideoError("truncated", text, hint="copy, download or record the file again")
    warnings = [text] if is_damaged and decoded < listed else []
    if counted.num_damaged:
        verb = "is" if counted.num_damaged == 1 else "are"
        warnings.append(f"{counted.num_damaged} of {decoded} decoded frames {verb} damaged")
    return warnings


def _no_frames(listed: int, error: av.error.FFmpegError | None) -> VideoError:
    if isinstance(error, av.error.PatchWelcomeError):
        return VideoError("unsupported", "no decoder for this kind of its codec")
    if listed == 0:
        return VideoError("no_frames", "no frames (the video stream is empty)")
    return VideoError(
        "no_frames",
        f"no frame could be decoded (got 0 of {listed})",
        hint="check the file with ffprobe",
    )


def time_warnings(reader: Reader, timeline: Timeline, clock: Clock) -> list[str]:
    """A sentence if times had to be counted in a format that should have them."""
    if timeline.has_timestamps or format_name(reader.container) in _COUNTED_FORMATS:
        return []
    return [f"no timestamps: times are counted at {1 / clock.frame_s:g} frames per second"]
