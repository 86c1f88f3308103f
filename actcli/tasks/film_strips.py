"""Small pictures of videos for reports: chosen frames, decoded once more and kept as a few KB."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actcli.config import LimitsConfig, SamplingConfig
from actcli.types import Clip, Failure, Preprocessing, SamplePlan, VideoRef
from actcli.video.loader import start_loader

SIDE_PX: Final = 112
"""Of the longer side of a frame."""
NUM_FRAMES: Final = 6
"""Of a video whose moments are not given."""
_QUALITY: Final = 62


@dataclass(frozen=True, slots=True)
class FilmStrip:
    """Frames of one video as small pictures, in the order of their times."""

    ref: VideoRef
    times_s: tuple[float, ...]
    """Seconds from the first shown frame, of the frames themselves."""
    frames: tuple[bytes, ...]
    """WebP, or JPEG where Pillow was built without it"""


@dataclass(frozen=True, slots=True)
class StripReader:
    """How the frames of each strip are read; travels to decode workers.

    times_s: the moments wanted of each video; without any, a few that are spread evenly
    """

    times_s: Mapping[VideoRef, tuple[float, ...]]
    limits: LimitsConfig

    def __call__(self, ref: VideoRef) -> Clip:
        """The frames of `ref`, whole and scaled: uint8 [1, T, 3, h, w]; raises VideoError."""
        from actcli.video.clips import read_whole_frames

        times_s = self.times_s[ref]
        plan = None
        if times_s:

            def plan(timeline: object, part: range) -> SamplePlan:
                return SamplePlan(timestamps_s=(times_s,))

        sampling = SamplingConfig(num_frames=len(times_s) or NUM_FRAMES)
        how = Preprocessing(SIDE_PX, resize="longest", interpolation="bilinear")
        frames, clip = read_whole_frames(ref, sampling, how, self.limits, plan=plan)
        pixels = np.stack(frames).transpose(0, 3, 1, 2)[None]
        return Clip(ref, np.ascontiguousarray(pixels), clip.times_s, clip.start_s, clip.end_s)


def film_strips(
    wanted: Sequence[tuple[VideoRef, Sequence[float]]],
    limits: LimitsConfig | None = None,
    *,
    workers: int | None = None,
) -> Iterator[FilmStrip | Failure]:
    """The strip of each video, or why there is none, in order.

    wanted:  videos, and seconds from the first shown frame at which to look; none is a few moments
             spread over the video, or over its trimmed part
    workers: decode processes; None is one per core, 0 decodes in this process
    """
    known = limits or LimitsConfig()
    moments = {ref: tuple(sorted(times_s)) for ref, times_s in wanted}
    if not moments:
        return
    largest = max(map(len, moments.values())) or NUM_FRAMES
    reader, clip_bytes = StripReader(moments, known), largest * 3 * SIDE_PX * SIDE_PX
    with start_loader(reader, workers, known, batch_size=16, clip_bytes=clip_bytes) as loader:
        for result in loader.load(list(moments)):
            if isinstance(result, Failure):
                yield result
            elif isinstance(result, Clip):
                yield _strip(result)


def _strip(clip: Clip) -> FilmStrip:
    pictures = tuple(encode_picture(frame) for frame in clip.frames[0])
    return FilmStrip(clip.ref, tuple(clip.times_s[0].tolist()), pictures)


def encode_picture(frame: NDArray[np.uint8]) -> bytes:
    """uint8 [3, h, w] as a small file."""
    from PIL import Image, features

    file = io.BytesIO()
    kind = "WEBP" if features.check("webp") else "JPEG"
    Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0))).save(
        file, kind, quality=_QUALITY, **({"method": 4} if kind == "WEBP" else {})
    )
    return file.getvalue()
