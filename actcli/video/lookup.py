"""Find frames by their time, decoding only from the key frame before each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from actcli.video.reader import Convert, Reader
from actcli.video.streams import codec_name, format_name, pixel_aspect
from actcli.video.timeline import Packets, Segment, plan_segments

# Reading on is cheaper than a seek over so few packets.
MERGE_GAP = 2
# Containers that store each packet's time of showing and find a key frame by it.
_EXACT_FORMATS = frozenset({"mov", "matroska"})
# Codecs of which every packet in those containers holds exactly one shown frame.
_EXACT_CODECS = frozenset({"h264", "hevc", "vp9", "av1"})
PROGRESSIVE = 1  # AV_FIELD_PROGRESSIVE; a lone field of a frame must not be left out
# A decoder holds back fewer frames than this to put them in order.
_REORDER_PACKETS = 64


class UnreliableError(Exception):
    """The packets promised something that the decoder did not keep."""


def can_look_up(reader: Reader, packets: Packets) -> bool:
    """Whether packets tell exactly which frames are shown when, and key frames can be sought."""
    return (
        format_name(reader.container) in _EXACT_FORMATS
        and codec_name(reader.stream) in _EXACT_CODECS
        and packets.has_exact_times()
    )


def look_up(
    reader: Reader, packets: Packets, wanted: Sequence[int], convert: Convert, *, merge_gap: int
) -> dict[int, NDArray[np.uint8]]:
    """The wanted frames by their index among the shown ones; as `look_up_each`."""
    return dict(look_up_each(reader, packets, wanted, convert, merge_gap=merge_gap))


def look_up_each(
    reader: Reader, packets: Packets, wanted: Sequence[int], convert: Convert, *, merge_gap: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(index among the shown ones, frame) of each wanted frame as it leaves the decoder.

    merge_gap: read on instead of seeking if the next key frame is at most so many packets away
    Raises UnreliableError if a frame is not found at its time or anything is damaged on the way.
    """
    shown = packets.shown()
    index_of = {int(packets.pts[shown[index]]): index for index in wanted}
    for segment in plan_segments(packets, [int(shown[index]) for index in wanted], merge_gap):
        for frame in _decode_segment(reader, packets, segment):
            assert frame.pts is not None
            yield index_of[frame.pts], convert(frame, pixel_aspect(reader.stream))


def _decode_segment(reader: Reader, packets: Packets, segment: Segment) -> Iterator[VideoFrame]:
    """The frames of a segment at its wanted times, as they leave the decoder."""
    missing = set(segment.wanted)
    context = reader.stream.codec_context
    can_skip = _tells_what_is_unneeded(reader.stream)
    # The other field of a frame of H.264 may come in the packet after; else none after is needed.
    reads_on = _REORDER_PACKETS if codec_name(reader.stream) == "h264" and not can_skip else 0
    try:
        reader.seek(int(packets.pts[segment.first]))
    except av.error.FFmpegError as error:
        raise UnreliableError("a seek failed") from error
    for position, packet in _number(reader.packets(), packets, segment.first):
        if position < segment.first:
            continue
        if can_skip:
            context.skip_frame = "DEFAULT" if packet.pts in missing else "NONREF"
        yield from _take(reader, reader.decode(packet), missing)
        if not missing:
            return
        if position >= segment.last + reads_on:
            break
    yield from _take(reader, reader.decode(None), missing)
    if missing:
        raise UnreliableError("a listed frame does not appear")


def _tells_what_is_unneeded(stream: VideoStream) -> bool:
    """Whether a picture that says that no other refers to it can be left out.

    In H.264 it may be one field of a frame, unless there are none: PyAV tells from 18.1 on. In HEVC
    fields are frames of their own, but higher temporal layers may refer to it, if there are any.
    """
    name, context = codec_name(stream), stream.codec_context
    if name == "hevc":
        config = context.extradata or b""  # HEVCDecoderConfigurationRecord, ISO/IEC 14496-15, 8.3.3
        return len(config) > 21 and config[0] == 1 and config[21] >> 3 & 7 == 1
    return name == "h264" and getattr(context, "field_order", None) == PROGRESSIVE


def _number(
    read: Iterator[Packet[VideoStream]], packets: Packets, first: int
) -> Iterator[tuple[int, Packet[VideoStream]]]:
    """Packets after a seek to the one at `first`, each with its position among all.

    Where an edit list shifts times, MP4 seeks to the key frame before.
    """
    landed: int | None = None
    for count, packet in enumerate(read):
        if landed is None:
            (places,) = np.nonzero(packets.pts[: first + 1] == packet.pts)
            landed = int(places[-1]) if places.size else 0
        position = landed + count
        if position >= len(packets.pts) or packet.pts != packets.pts[position]:
            raise UnreliableError("a seek led elsewhere")
        yield position, packet


def _take(reader: Reader, frames: list[VideoFrame], missing: set[int]) -> Iterator[VideoFrame]:
    if reader.decode_errors or reader.is_cut_off:
        raise UnreliableError("a packet is damaged")
    for frame in frames:
        if frame.pts in missing:
            if frame.is_corrupt:
                raise UnreliableError("a wanted frame is damaged")
            missing.remove(frame.pts)
            yield frame
