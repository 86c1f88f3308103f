"""Small videos whose frame i shows the number i, made with PyAV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

BITS = 8
COLUMNS, ROWS = 4, 2
WIDTH, HEIGHT = 96, 64
DARK, LIGHT = 40, 215

# Encoder and options for each codec under test; every one with several groups of pictures.
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"preset": "veryfast", "bf": "0", "x264-params": "scenecut=0"}),
    "h264-b": (
        "libx264",
        {"preset": "veryfast", "bf": "3", "x264-params": "scenecut=0:b-pyramid=normal"},
    ),
    "h264-open": (
        "libx264",
        {"preset": "veryfast", "bf": "3", "x264-params": "scenecut=0:open-gop=1"},
    ),
    "hevc-b": (
        "libx265",
        {"preset": "ultrafast", "x265-params": "log-level=none:bframes=3:scenecut=0:pools=1"},
    ),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "vp9-hidden": (
        "libvpx-vp9",
        {"deadline": "good", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "12"},
    ),
    "vp8": ("libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    "mpeg4": ("mpeg4", {"bf": "0"}),
    "mpeg4-b": ("mpeg4", {"bf": "2"}),
}


def number_picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray[Any, Any]:
    """uint8 [height, width, 3]: eight blocks, dark for 0 and light for 1, lowest bit first."""
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    grid = np.array(bits, np.uint8).reshape(ROWS, COLUMNS) * (LIGHT - DARK) + DARK
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    return np.repeat(grid[rows][:, columns, None], 3, axis=2)


def read_number(picture: np.ndarray[Any, Any]) -> int:
    """The number in a picture, uint8 [3, H, W], squashed but neither cropped nor turned."""
    grey = picture.mean(axis=0)
    height, width = grey.shape
    number = 0
    for bit in range(BITS):
        row, column = divmod(bit, COLUMNS)
        y, x = int((row + 0.5) * height / ROWS), int((column + 0.5) * width / COLUMNS)
        number |= int(grey[y - 1 : y + 2, x - 1 : x + 2].mean() > 127) << bit
    return number


def write_video(
    path: Path | str,
    *,
    codec: str = "h264",
    num_frames: int = 60,
    gop: int = 12,
    times: Sequence[int] | None = None,
    rate: int = 30,
    container: str | None = None,
    container_options: dict[str, str] | None = None,
    picture: Callable[[int], np.ndarray[Any, Any]] = number_picture,
    prepare: Callable[[Any], None] | None = None,
    pixel_format: str = "yuv420p",
    dress: Callable[[VideoFrame], None] | None = None,
) -> Path:
    """Encode numbered frames; `times` gives their places on a clock of `rate` ticks a second.

    prepare: called with the stream before encoding; dress: with each frame, to tag it
    """
    encoder, options = CODECS.get(codec, (codec, {}))
    with av.open(
        str(path), "w", format=container, container_options=container_options or {}
    ) as output:
        stream: Any = output.add_stream(encoder, rate=rate, options=options)
        first = picture(0)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pixel_format
        stream.gop_size = gop
        stream.time_base = stream.codec_context.time_base = Fraction(1, rate)
        stream.thread_count = 1
        if prepare:
            prepare(stream)
        for number in range(num_frames):
            frame = VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame = frame.reformat(format=pixel_format, threads=1)
            if dress:
                dress(frame)
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return Path(path)


def remux(source: Path, target: Path, container: str | None = None, **options: str) -> Path:
    """The same packets in another container."""
    with (
        av.open(str(source)) as read,
        av.open(str(target), "w", format=container, container_options=options) as written,
    ):
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)
    return target


def numbers(frames: Iterable[np.ndarray[Any, Any]]) -> list[int]:
    """The numbers of several pictures, [.., 3, X, X] flattened."""
    return [read_number(picture) for picture in frames]
