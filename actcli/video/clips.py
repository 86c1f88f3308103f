"""A video reference in, its sampled frames out: what a decode worker does for one job."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from actcli.config import LimitsConfig, SamplingConfig
from actcli.types import Clip, Preprocessing, VideoRef
from actcli.video.decode import read_frames
from actcli.video.picture import PictureMaker
from actcli.video.published_sampling import published_plan
from actcli.video.sampling import choose_frames, frames_between, make_plan, trim_span
from actcli.video.timeline import Timeline


def read_clip(
    ref: VideoRef,
    sampling: SamplingConfig,
    preprocessing: Preprocessing,
    limits: LimitsConfig,
    *,
    stream: BinaryIO | None = None,
    seek: bool | None = None,
) -> Clip:
    """The frames of one video, or of its trimmed part, that stand for it.

    stream: a seekable file object to read instead of `ref.path`; it stays open
    seek: how to find frames, which does not change them; see `actcli.video.decode.read_frames`
    Raises VideoError.
    """

    def choose(timeline: Timeline) -> list[int]:
        return [index for view in _indices(timeline, ref, sampling) for index in view]

    reading = read_frames(
        ref.path if stream is None else stream,
        choose,
        PictureMaker(preprocessing),
        limits,
        seek=seek,
    )
    timeline = reading.timeline
    indices = np.array(_indices(timeline, ref, sampling))  # [V, T]
    start_s, end_s = trim_span(timeline.duration_s, ref.start_s, ref.end_s)
    size = preprocessing.size_px
    frames = np.empty((*indices.shape, 3, size, size), np.uint8)  # [V, T, 3, X, X]
    for place, index in np.ndenumerate(indices):
        frames[place] = reading.frames[int(index)]
    return Clip(ref, frames, timeline.times_s[indices], start_s, end_s, reading.warnings)


def _indices(
    timeline: Timeline, ref: VideoRef, sampling: SamplingConfig
) -> tuple[tuple[int, ...], ...]:
    start_s, end_s = trim_span(timeline.duration_s, ref.start_s, ref.end_s)
    if sampling.scheme == "time":
        plan = make_plan(sampling, start_s, end_s)
    else:
        part = frames_between(start_s, end_s, timeline.times_s)
        plan = published_plan(sampling, part, timeline.average_rate)
    return choose_frames(plan, timeline.times_s)
