"""A video reference in, its sampled frames out: what a decode worker does for one job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from actcli.config import LimitsConfig, SamplingConfig
from actcli.types import Clip, Preprocessing, SamplePlan, VideoRef
from actcli.video.decode import Reading, read_frames
from actcli.video.picture import PictureMaker
from actcli.video.published_sampling import published_plan
from actcli.video.sampling import choose_frames, frames_between, make_plan, trim_span
from actcli.video.timeline import Timeline
from actcli.video.transform import three_crops

Plan = Callable[[Timeline, range], SamplePlan]
"""(times of all frames, those to choose from) -> which ones"""


def read_clip(
    ref: VideoRef,
    sampling: SamplingConfig,
    preprocessing: Preprocessing,
    limits: LimitsConfig,
    *,
    stream: BinaryIO | None = None,
    seek: bool | None = None,
    plan: Plan | None = None,
) -> Clip:
    """The frames of one video, or of its trimmed part, that stand for it.

    stream: a seekable file object to read instead of `ref.path`; it stays open
    seek: how to find frames, which does not change them; see `actcli.video.decode.read_frames`
    plan: what chooses them, the same whenever it is asked; None is what `sampling` says
    Raises VideoError.
    """
    choice = _Choice(ref, sampling, plan)
    source = ref.path if stream is None else stream
    crops, size = sampling.num_crops, preprocessing.size_px
    maker = PictureMaker(preprocessing, is_whole=crops > 1)
    if sampling.decode == "nvdec":
        from actcli.video.nvdec import read_frames_by_gpu

        reading = read_frames_by_gpu(source, choice, maker, limits)
    else:
        keys_only = sampling.decode == "fast"
        reading = read_frames(source, choice, maker, limits, seek=seek, keys_only=keys_only)
    indices = choice.indices(reading.timeline)
    frames = np.empty((len(indices), crops, indices.shape[1], 3, size, size), np.uint8)
    for (view, place), index in np.ndenumerate(indices):
        picture = reading.frames[int(index)]
        frames[view, :, place] = three_crops(picture, size) if crops > 1 else picture
    # [V * crops, T, 3, X, X]: the crops of one clip stand beside each other
    return choice.clip(reading, frames.reshape(-1, *frames.shape[2:]))


def read_whole_frames(
    ref: VideoRef,
    sampling: SamplingConfig,
    preprocessing: Preprocessing,
    limits: LimitsConfig,
    *,
    plan: Plan | None = None,
) -> tuple[list[NDArray[np.uint8]], Clip]:
    """The frames of one view scaled, but not cropped: T of uint8 [h, w, 3].

    plan: as in `read_clip`
    returns: the frames, and the clip without them
    Raises VideoError.
    """
    choice = _Choice(ref, sampling, plan)
    maker = PictureMaker(preprocessing, is_whole=True)
    reading = read_frames(ref.path, choice, maker, limits)
    (view,) = choice.indices(reading.timeline).tolist()
    frames = [reading.frames[index].transpose(1, 2, 0) for index in view]
    return frames, choice.clip(reading, np.empty((1, len(view), 3, 0, 0), np.uint8))


def choose_indices(
    ref: VideoRef, sampling: SamplingConfig, timeline: Timeline, plan: Plan | None = None
) -> NDArray[np.int64]:
    """The index among all shown frames of each one that stands for a video, [V, T].

    plan: as in `read_clip`
    Raises VideoError where the trim leaves nothing.
    """
    start_s, end_s = trim_span(timeline.duration_s, ref.start_s, ref.end_s)
    if plan is None and sampling.scheme == "time":
        chosen = make_plan(sampling, start_s, end_s)
    else:
        part = frames_between(start_s, end_s, timeline.times_s)
        if plan is not None:
            chosen = plan(timeline, part)
        else:
            chosen = published_plan(sampling, part, timeline.average_rate)
    return np.array(choose_frames(chosen, timeline.times_s))


@dataclass(frozen=True, slots=True)
class _Choice:
    """The frames of a video that stand for it, by whatever is known of its timeline."""

    ref: VideoRef
    sampling: SamplingConfig
    plan: Plan | None

    def __call__(self, timeline: Timeline) -> list[int]:
        """The indices of all views, one after another."""
        chosen: list[int] = self.indices(timeline).flatten().tolist()
        return chosen

    def indices(self, timeline: Timeline) -> NDArray[np.int64]:
        """The index of each frame of each view, [V, T]."""
        return choose_indices(self.ref, self.sampling, timeline, self.plan)

    def clip(self, reading: Reading, frames: NDArray[np.uint8]) -> Clip:
        """What was read, with its frames [V, T, 3, X, X]."""
        timeline, ref = reading.timeline, self.ref
        start_s, end_s = trim_span(timeline.duration_s, ref.start_s, ref.end_s)
        indices, warnings = self.indices(timeline), reading.warnings
        if instead := reading.shown_instead:
            indices = np.vectorize(instead.__getitem__)(indices)
            if 2 * len(set(instead.values())) < len(instead):
                count = len(set(instead.values()))
                warnings += (f"--decode fast: has {count} key frames for {len(instead)} moments",)
        times_s = timeline.times_s[indices.repeat(len(frames) // len(indices), 0)]
        return Clip(ref, frames, times_s, start_s, end_s, warnings)
