"""Clips for training: moments and changes that follow from the seed of a request."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actcli.config import LimitsConfig, SamplingConfig
from actcli.types import Preprocessing, VideoRef
from actcli.video.augment import Augmentation
from actcli.video.clips import read_clip
from actcli.video.training_clips import TrainingReader, TrainingRef

PLAIN = Preprocessing(32)


def reader(sampling: SamplingConfig, **options: Any) -> TrainingReader:
    given: dict[str, Any] = {"augmentation": None, "is_random": True} | options
    return TrainingReader(sampling, PLAIN, LimitsConfig(), **given)


@pytest.mark.parametrize(
    "sampling",
    [SamplingConfig(num_frames=4), SamplingConfig(num_frames=4, scheme="actionclip"),
     SamplingConfig(num_frames=4, scheme="clip-fsar"), SamplingConfig(num_frames=3, stride_s=0.1),
     SamplingConfig(num_frames=4, scheme="clip-fsar", rate=8)],
)  # fmt: skip
def test_moments_follow_from_the_seed(
    numbered: Callable[..., Path], sampling: SamplingConfig
) -> None:
    ref, read = VideoRef(str(numbered("a.mp4"))), reader(sampling)
    times = [read(TrainingRef.of(ref, seed)).times_s for seed in (0, 0, 1, 2, 3)]
    assert np.array_equal(times[0], times[1])
    assert len({t.tobytes() for t in times}) > 1
    assert all(t.shape == (1, sampling.num_frames) for t in times)
    assert all((np.diff(t) >= 0).all() for t in times)


def test_one_moment_falls_into_each_segment(numbered: Callable[..., Path]) -> None:
    ref = VideoRef(str(numbered("a.mp4")))
    read = reader(SamplingConfig(num_frames=4))
    end = read_clip(ref, SamplingConfig(), PLAIN, LimitsConfig()).end_s
    for seed in range(20):
        (times,) = read(TrainingRef.of(ref, seed)).times_s
        for i, time in enumerate(times):
            assert i * end / 4 - 0.05 <= time < (i + 1) * end / 4


def test_fixed_moments_without_changes_are_the_clip_of_classify(
    numbered: Callable[..., Path],
) -> None:
    ref = VideoRef(str(numbered("a.mp4")), start_s=0.1)
    sampling = SamplingConfig(num_frames=4)
    ours = reader(sampling, is_random=False)(TrainingRef.of(ref, 5))
    theirs = read_clip(ref, sampling, PLAIN, LimitsConfig())
    assert np.array_equal(ours.frames, theirs.frames)
    assert np.array_equal(ours.times_s, theirs.times_s)


def test_changed_clips_have_the_size_of_the_model(numbered: Callable[..., Path]) -> None:
    ref = VideoRef(str(numbered("a.mp4")))
    read = pickle.loads(pickle.dumps(reader(SamplingConfig(), augmentation=Augmentation())))
    clips = [read(TrainingRef.of(ref, seed)) for seed in range(4)]
    assert all(clip.frames.shape == (1, 8, 3, 32, 32) for clip in clips)
    assert len({clip.frames.tobytes() for clip in clips}) == 4
