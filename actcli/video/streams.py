"""Which of a file's streams is the video, and whether it may be decoded."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from actcli.config import LimitsConfig
from actcli.errors import VideoError
from actcli.video.timeline import JUMPING_FORMATS, Clock

_STILL = Disposition.attached_pic | Disposition.timed_thumbnails
# Formats whose header gives durations; others estimate them from the bit rate.
HEADED_FORMATS = frozenset({"mov", "matroska", "avi"})
# Beyond this a pixel shape is a mistake of the file; players ignore it too.
_MAX_ASPECT = 8
_LINE_PADDING, _MAX_LINES = 64, 65536


def format_name(container: InputContainer) -> str:
    """FFmpeg's first name of a container's format: mov, matroska, avi, mpegts, ..."""
    return container.format.name.split(",")[0]


def choose_stream(container: InputContainer) -> VideoStream:
    """The video to look at: not a cover picture, marked default if any is, the largest picture.

    Raises VideoError("not_video") without a video stream and VideoError("unsupported") without a
    decoder for one.
    """
    videos = [stream for stream in container.streams.video if not _is_still(stream)]
    if not videos:
        raise VideoError("not_video", f"no video stream (found {_describe(container)})")
    decodable = [stream for stream in videos if stream.codec_context is not None]
    if not decodable:
        raise VideoError("unsupported", "no decoder for this video")
    return max(
        decodable,
        key=lambda stream: (
            bool(stream.disposition & Disposition.default),
            stream.width * stream.height,
            -stream.index,
        ),
    )


def prepare_stream(container: InputContainer, stream: VideoStream, limits: LimitsConfig) -> None:
    """Set up `stream` to be decoded by one thread within the limits, and leave all others unread.

    Raises VideoError("too_large") for what the header already tells.
    """
    check_pixels(stream.width, stream.height, limits)
    if container.duration and format_name(container) in HEADED_FORMATS:
        check_duration(container.duration / 1e6, limits)
    for other in container.streams:
        if other.index != stream.index and hasattr(av.stream, "Discard"):
            other.discard = av.stream.Discard.all  # older PyAV reads these packets and drops them
    context = stream.codec_context
    context.thread_count = 1
    context.thread_type = "NONE"
    context.options = decoder_limits(limits)
    try:
        context.open(strict=False)
    except av.error.FFmpegError as error:
        raise VideoError(
            "unsupported", f"the decoder does not take this video ({codec_name(stream)})"
        ) from error


def decoder_limits(limits: LimitsConfig) -> dict[str, str]:
    """FFmpeg's own limit, which holds before it allocates; it counts padding of the lines too."""
    return {"max_pixels": str(limits.max_pixels + _LINE_PADDING * _MAX_LINES)}


def check_pixels(width: int, height: int, limits: LimitsConfig) -> None:
    """Raise VideoError("too_large") if a picture has more pixels than allowed."""
    if width * height > limits.max_pixels:
        raise VideoError(
            "too_large",
            f"frames are too large (got {width}x{height}, {width * height} pixels, "
            f"expected at most {limits.max_pixels})",
            hint=f"--max-pixels {width * height}",
        )


def check_duration(duration_s: float, limits: LimitsConfig) -> None:
    """Raise VideoError("too_large") if a video lasts longer than allowed."""
    if duration_s > limits.max_duration_s:
        raise VideoError(
            "too_large",
            f"too long (got {duration_s:.0f} s, expected at most {limits.max_duration_s:.0f} s)",
            hint=f"--max-duration {int(duration_s) + 1}",
        )


def clock_of(container: InputContainer, stream: VideoStream) -> Clock:
    """How the stream counts time; the rate is None where the file tells none."""
    # The guess also heeds what the codec says; headers of AVI and raw streams are often wrong.
    rate = stream.guessed_rate or stream.average_rate or stream.base_rate
    return Clock(
        stream.time_base or Fraction(1, 1000),
        Fraction(rate) if rate else None,
        jumps=format_name(container) in JUMPING_FORMATS,
    )


def pixel_aspect(stream: VideoStream) -> Fraction:
    """How much wider than high a pixel is shown; 1 where unknown or absurd."""
    aspect = stream.sample_aspect_ratio
    if not aspect or not Fraction(1, _MAX_ASPECT) <= aspect <= _MAX_ASPECT:
        return Fraction(1)
    return aspect


def codec_name(stream: VideoStream) -> str:
    """The codec's own name (av1), not the decoder's (libdav1d)."""
    return stream.codec_context.codec.canonical_name


def _is_still(stream: Stream) -> bool:
    return bool(stream.disposition & _STILL)


def _describe(container: InputContainer) -> str:
    counts = Counter(
        "cover picture" if _is_still(stream) else f"{stream.type} stream"
        for stream in container.streams
    )
    parts = [f"{n} {name}{'s' if n > 1 else ''}" for name, n in counts.items()]
    return " and ".join(parts) if parts else "no streams at all"
