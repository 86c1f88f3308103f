"""One opened video: its packets, its frames, and what goes wrong on the way."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from actcli.config import LimitsConfig
from actcli.errors import VideoError
from actcli.paths import AllowedUri
from actcli.video.source import Source, open_media
from actcli.video.streams import check_pixels, choose_stream, format_name, prepare_stream
from actcli.video.timeline import CORRUPT, DISCARD, KEY, NO_TIME, Packets

Convert = Callable[[VideoFrame, Fraction], NDArray[np.uint8]]
"""From a decoded frame and its pixels' aspect (width / height) to what is kept of it."""


@dataclass(slots=True, eq=False)
class Reader:
    """A container, its chosen stream, and the errors met so far; not for sharing by threads."""

    container: InputContainer
    stream: VideoStream
    limits: LimitsConfig
    deadline: float
    """Reading `time.monotonic()` beyond this is a timeout."""
    decode_errors: int = 0
    last_error: av.error.FFmpegError | None = None
    is_cut_off: bool = False
    """Reading ended in an error instead of the end of the file."""
    far: str | None = None
    """Where the container is, if that is another machine: its packets cost to be read."""

    def packets(self) -> Iterator[Packet[VideoStream]]:
        """The stream's packets from the current position on; a read error is the end."""
        demuxer = self.container.demux(self.stream)
        num_packets = 0
        while True:
            if time.monotonic() > self.deadline:
                raise VideoError(
                    "timeout",
                    f"took too long to read (expected at most {self.limits.timeout_s:g} s)",
                    hint="--timeout SECONDS",
                )
            try:
                packet = next(demuxer, None)
            except av.error.FFmpegError:
                self.is_cut_off = True
                return
            except IndexError:
                # At the end PyAV looks up streams that a transport stream announced late.
                return
            if packet is None:
                return
            if packet.size:  # the last ones are empty: they only tell a decoder to finish
                num_packets += 1
                if num_packets > self.limits.max_frames:
                    raise VideoError("too_large", f"more than {self.limits.max_frames} frames")
                yield packet

    def decode(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """The frames that a packet, or None for the end, releases; none if it is damaged."""
        try:
            frames = self.stream.codec_context.decode(packet)
        except av.error.FFmpegError as error:
            self.decode_errors += 1
            self.last_error = error
            return []
        for frame in frames:
            check_pixels(frame.width, frame.height, self.limits)
        return frames

    def frames(self) -> Iterator[VideoFrame]:
        """All shown frames from the current position to the end."""
        for packet in self.packets():
            yield from self.decode(packet)
        yield from self.decode(None)

    def seek(self, pts: int) -> None:
        """Go to the key frame shown at `pts`, or to one before it; `pts` is in the time base."""
        self.container.seek(pts, stream=self.stream, backward=True)

    def scan(self) -> Packets:
        """Read every packet from the current position without decoding.

        Of a remote MP4 file the packets are listed by its index, and their bytes not fetched.
        """
        if self.far is not None and format_name(self.container) == "mov":
            with open_media(self.far, self.limits, is_listing=True) as container:
                stream = container.streams[self.stream.index]
                assert isinstance(stream, VideoStream), "the same file again"
                return Reader(container, stream, self.limits, self.deadline).scan()
        pts, dts, durations, flags = array("q"), array("q"), array("q"), bytearray()
        for packet in self.packets():
            pts.append(NO_TIME if packet.pts is None else packet.pts)
            dts.append(NO_TIME if packet.dts is None else packet.dts)
            durations.append(packet.duration or 0)
            flags.append(
                KEY * packet.is_keyframe | DISCARD * packet.is_discard | CORRUPT * packet.is_corrupt
            )
        num_shown = sum(1 for flag in flags if not flag & DISCARD)
        return Packets(
            np.array(pts, np.int64),
            np.array(dts, np.int64),
            np.array(durations, np.int64),
            np.frombuffer(bytes(flags), np.uint8),
            is_complete=not self.is_cut_off,
            listed=max(num_shown, self._num_indexed(len(flags))),
        )

    def _num_indexed(self, num_packets: int) -> int:
        """Shown frames in the container's index if it has more entries than packets were read."""
        entries = self.stream.index_entries
        if len(entries) <= num_packets:
            return 0
        return sum(1 for entry in entries if not entry.is_discard)


@contextmanager
def open_video(source: Source, limits: LimitsConfig, deadline: float) -> Iterator[Reader]:
    """A reader of the file's video stream, closed at the end whatever happens.

    source: a path or a seekable file object, which stays open
    deadline: on the clock of `time.monotonic()`
    Raises VideoError.
    """
    with open_media(source, limits) as container:
        stream = choose_stream(container)
        prepare_stream(container, stream, limits)
        far = source if isinstance(source, AllowedUri) else None
        yield Reader(container, stream, limits, deadline, far=far)
