"""Frames by a GPU's own video decoder, through torchcodec: `--decode nvdec`.

Packets tell, as for a look-up, which frames are shown when; torchcodec decodes them, and what it
gives is checked by its time. Scaling and the rest stay where they were, so that only decoding is
another's. What it can't be asked for is decoded by the CPU.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from actcli.config import LimitsConfig
from actcli.errors import ResourceError
from actcli.video.decode import Choose, Reading, make_reading, read_frames
from actcli.video.lookup import PROGRESSIVE, UnreliableError, can_look_up
from actcli.video.reader import Convert, Reader, open_video
from actcli.video.source import Source
from actcli.video.streams import check_duration, clock_of, codec_name, pixel_aspect
from actcli.video.timeline import Packets

_DEVICE = "cuda"
# What the hardware decodes and torchcodec turns into the colours that we turn them into.
_FORMATS: Final = frozenset({"yuv420p", "yuvj420p", "nv12"})
_UNKNOWN: Final = 0  # AV_FIELD_UNKNOWN: of all but H.264, whose decoder knows, it means no fields


def require() -> None:
    """Raise ResourceError where no GPU can be asked to decode."""
    if importlib.util.find_spec("torchcodec") is None:
        raise ResourceError(
            "--decode nvdec: torchcodec is not installed", hint="pip install 'actcli[torchcodec]'"
        )
    import torch

    if not torch.cuda.is_available():
        raise ResourceError("--decode nvdec: no CUDA device is there", hint="--decode exact")


def read_frames_by_gpu(
    source: Source, choose: Choose, convert: Convert, limits: LimitsConfig
) -> Reading:
    """As `actcli.video.decode.read_frames`, which has what the GPU can't be asked for; a warning
    says why.

    Raises VideoError.
    """
    deadline = time.monotonic() + limits.timeout_s
    try:
        with open_video(source, limits, deadline) as reader:
            packets = reader.scan()
            timeline = packets.timeline(clock_of(reader.container, reader.stream))
            if not can_look_up(reader, packets):
                raise UnreliableError("its packets don't tell which frames are shown")
            check_duration(timeline.duration_s, limits)
            wanted = sorted(set(choose(timeline)))
            frames = _look_up(source, reader, packets, wanted, convert)
            return make_reading(reader, frames, timeline)
    except UnreliableError as error:
        reason = f"--decode nvdec: decoded by the CPU ({error})"
    reading = read_frames(source, choose, convert, limits)
    return replace(reading, warnings=(*reading.warnings, reason))


def _look_up(
    source: Source, reader: Reader, packets: Packets, wanted: Sequence[int], convert: Convert
) -> dict[int, NDArray[np.uint8]]:
    """The wanted frames by their index among the shown ones.

    reader: of the same source, which tells what is in it and decodes nothing
    wanted: ascending
    Raises UnreliableError where the GPU, or what is between it and us, does not give these frames.
    """
    _refuse(source, reader)
    try:
        # RuntimeError: FFmpeg's libraries are not there, or of no version that it knows.
        from torchcodec.decoders import VideoDecoder

        decoder = VideoDecoder(source, stream_index=reader.stream.index, device=_DEVICE)
        if len(decoder) != len(packets.shown()):
            raise UnreliableError("it counts other frames")
        if decoder.cpu_fallback:
            raise UnreliableError("not a video for it")
        found = decoder.get_frames_at(list(wanted))
    except (ImportError, RuntimeError, ValueError, IndexError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnreliableError(f"torchcodec: {first}") from error
    _check_times(reader, packets, wanted, found.pts_seconds)
    aspect = pixel_aspect(reader.stream)
    pictures = found.data.permute(0, 2, 3, 1).cpu().numpy()  # [n, H, W, 3], upright
    stored = (reader.stream.height, reader.stream.width)
    if aspect != 1 and (pictures.shape[1:3] != stored or stored[0] == stored[1]):
        raise UnreliableError("turned, with pixels that are not square")
    return {
        index: convert(VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24"), aspect)
        for index, picture in zip(wanted, pictures, strict=True)
    }


def _refuse(source: Source, reader: Reader) -> None:
    """Raise UnreliableError for what must not be left to another decoder."""
    context = reader.stream.codec_context
    kind = None if context.format is None else context.format.name
    order = getattr(context, "field_order", None)  # told by PyAV from 18.1 on
    is_progressive = order == PROGRESSIVE or (
        order == _UNKNOWN and codec_name(reader.stream) != "h264"
    )
    if not isinstance(source, Path) and type(source) is not str:
        raise UnreliableError("not a file on this machine")
    if kind not in _FORMATS:
        raise UnreliableError(f"pixels of the kind {kind}")
    if not is_progressive:
        raise UnreliableError("perhaps interlaced")


def _check_times(reader: Reader, packets: Packets, wanted: Sequence[int], times_s: Any) -> None:
    base = reader.stream.time_base
    assert base is not None, "a stream that is looked up has times"
    told_s = packets.pts[packets.shown()[list(wanted)]] * float(base)
    if np.abs(np.asarray(times_s) - told_s).max() > float(base) / 2:
        raise UnreliableError("it shows frames at other times")
