"""Clips for training: other moments and other pixels each time, all from the seed of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from actcli.types import Clip, Preprocessing, SamplePlan, VideoRef

if TYPE_CHECKING:
    from actcli.config import LimitsConfig, SamplingConfig
    from actcli.video.augment import Augmentation
    from actcli.video.timeline import Timeline

_STORED: Final = 256 / 224
"""Shorter side that published videos were stored with, in units of the model's."""


@dataclass(frozen=True, slots=True)
class TrainingRef(VideoRef):
    """A video, and the seed of what becomes of it."""

    seed: int = 0

    @classmethod
    def of(cls, ref: VideoRef, seed: int) -> TrainingRef:
        """The same video with a seed."""
        return cls(**{f.name: getattr(ref, f.name) for f in fields(VideoRef)}, seed=seed)


@dataclass(frozen=True, slots=True)
class TrainingReader:
    """How clips are read to train on; travels to the workers without importing a decoder here."""

    sampling: SamplingConfig
    preprocessing: Preprocessing
    limits: LimitsConfig
    augmentation: Augmentation | None
    """None takes clips as `classify` does."""
    is_random: bool
    """Whether moments are drawn."""

    def __call__(self, ref: VideoRef) -> Clip:
        """The clip of a `TrainingRef`; raises VideoError."""
        from actcli.video.clips import read_clip, read_whole_frames

        assert isinstance(ref, TrainingRef), "requests of training have seeds"
        draw = partial(drawn_plan, self.sampling, ref.seed)
        plan = draw if self.is_random else None
        if self.augmentation is None:
            return read_clip(ref, self.sampling, self.preprocessing, self.limits, plan=plan)
        side = self.preprocessing.size_px
        scale = self.preprocessing.scale_px or round(side * _STORED)
        stored = replace(self.preprocessing, scale_px=scale)
        frames, clip = read_whole_frames(ref, self.sampling, stored, self.limits, plan=plan)
        return replace(clip, frames=self.augmentation(frames, side, ref.seed)[None])

    @property
    def clip_bytes(self) -> int:
        """Size of one clip's frames, T * 3 * X * X."""
        return self.sampling.num_frames * 3 * self.preprocessing.size_px**2


def drawn_plan(sampling: SamplingConfig, seed: int, timeline: Timeline, part: range) -> SamplePlan:
    """T moments of a part of a video, at random: one of each of T equal segments, or a run with a
    stride from a random start; by frame number where the published code of a method does it.

    part: indices of the frames to choose from
    """
    import numpy as np

    from actcli.video.published_sampling import actionclip_indices, clip_fsar_indices

    count, number, random = sampling.num_frames, len(part), Random(seed)
    if sampling.scheme == "time":
        start_s, end_s = timeline.times_s[part[0]], _end_of(timeline, part)
        return SamplePlan(timestamps_s=(_moments(sampling, start_s, end_s, random),))
    if sampling.scheme == "actionclip":
        legacy = np.random.RandomState(random.getrandbits(32))
        chosen: Sequence[int] = actionclip_indices(number, num_frames=count, random=legacy)
    else:
        chosen = clip_fsar_indices(
            number, timeline.average_rate, num_frames=count, rate=sampling.rate, random=random,
            is_training=True,
        )  # fmt: skip
    return SamplePlan(indices=(tuple(part[i] for i in chosen),))


def _moments(
    sampling: SamplingConfig, start_s: float, end_s: float, random: Random
) -> tuple[float, ...]:
    count, stride = sampling.num_frames, sampling.stride_s
    if stride is None:
        width = (end_s - start_s) / count
        return tuple(start_s + (i + random.random()) * width for i in range(count))
    room = max(0.0, end_s - start_s - (count - 1) * stride)
    first = start_s + random.random() * room
    return tuple(min(end_s, first + i * stride) for i in range(count))


def _end_of(timeline: Timeline, part: range) -> float:
    """When the last frame of a part stops being shown."""
    after = part[-1] + 1
    end: float = timeline.times_s[after] if after < len(timeline.times_s) else timeline.duration_s
    return end
