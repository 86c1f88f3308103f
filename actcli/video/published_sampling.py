"""Frames by number, as published methods choose them: pure functions of exact counts.

ActionCLIP: Wang, Xing, Liu (arXiv 2109.08472). CLIP-FSAR: Wang et al., IJCV 2023 (arXiv
2303.02982). Both by their authors' code, with indices from 0. Parity: tests/parity, on stored
indices of that code.

Letters: n frames of a video, T frames per clip, L consecutive frames of each segment, R the
SAMPLING_RATE of CLIP-FSAR's published configs.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Final

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from actcli.config import SamplingConfig
from actcli.types import SamplePlan

_RANDOM_ABOVE: Final = 40
_TARGET_FPS: Final = 12


def published_plan(sampling: SamplingConfig, part: range, fps: float) -> SamplePlan:
    """The frames that stand for a part of a video under the published scheme of `sampling`.

    Random draws start afresh with the seed 0 for each video, so that a video gives the same frames
    whenever, in whatever company and by whomever it is read. The published test draws anew.

    part: indices of the frames to choose from
    """
    if sampling.scheme == "actionclip":
        chosen = actionclip_indices(len(part), num_frames=sampling.num_frames)
    else:
        chosen = clip_fsar_indices(
            len(part), fps, num_frames=sampling.num_frames, rate=sampling.rate, random=Random(0)
        )
    return SamplePlan(indices=(tuple(part[i] for i in chosen),))


def actionclip_indices(
    count: int, *, num_frames: int, random: RandomState | None = None, length: int = 1
) -> tuple[int, ...]:
    """The frames of one clip, by their places among the n = `count` frames of a video.

    Test: floor(i n / T + (n / T - L) / 2 + j), or floor(i n / S) where there are not S = T L
    frames, or the middle one for T = 1. Training, with `random`: L frames from a random place of
    each of T segments, or each frame once and some of them again, in order.

    random:  numpy's legacy generator, drawn from in the order of the published code
    length:  L, 1 in every published config
    returns: S indices
    """
    wanted = num_frames * length
    if random is not None:
        if count <= wanted:
            again = random.randint(count, size=wanted - count)
            return tuple(sorted([*range(count), *again.tolist()]))
        ticks = [i * count // num_frames for i in range(num_frames + 1)]
        starts = [
            first + (int(random.randint(room)) if (room := last - first - length + 1) > 0 else 0)
            for first, last in pairwise(ticks)
        ]
        return tuple(start + j for start in starts for j in range(length))
    if num_frames == 1:
        return (count // 2,)
    if count <= wanted:
        return tuple(i * count // wanted for i in range(wanted))
    offset = (count / num_frames - length) / 2
    return tuple(
        int(i * count / num_frames + offset + j) for i in range(num_frames) for j in range(length)
    )


def clip_fsar_indices(
    count: int,
    fps: float,
    *,
    num_frames: int,
    rate: int,
    random: Random,
    is_training: bool = False,
) -> tuple[int, ...]:
    """The T frames of one clip, by their places among the n = `count` frames of a video.

    R > 40, training and test: one random frame of each of T segments of floor(n / T) frames; what
    remains at the end is never taken. R <= 40: T frames evenly spaced over L - R frames, where

        L = T R fps / 12, or T floor(n / T) if that is more than n

    from a random start in training, and a centred one in test. R is not scaled by fps, so the last
    frames of a video are not seen; where n < R the places left of 0 become 0.

    A video of fewer than T frames under R > 40 makes the published code fail; here its frames are
    spread over the T places.

    fps:     the average rate of the whole video
    random:  Python's own, drawn from in the order of the published code; not at all in a test with
             R <= 40
    """
    if rate > _RANDOM_ABOVE:
        return _one_of_each_segment(count, num_frames, random)
    length = num_frames * rate * fps / _TARGET_FPS
    if length > count:
        length = float(count // num_frames * num_frames)
    room = max(count - length + 1, 0.0)
    start = random.uniform(0, room) if is_training else room / 2
    places = _evenly_spaced(start, start + length - rate, num_frames)
    return tuple(int(place) for place in places.clip(0, count - 1))


def _one_of_each_segment(count: int, num_frames: int, random: Random) -> tuple[int, ...]:
    width = count // num_frames
    if width == 0:
        return tuple((2 * i + 1) * count // (2 * num_frames) for i in range(num_frames))
    return tuple(random.randint(i * width, (i + 1) * width - 1) for i in range(num_frames))


def _evenly_spaced(start: float, end: float, num: int) -> NDArray[np.float32]:
    """`torch.linspace` of float32, number for number: doubles fall on other frames.

    From both ends towards the middle, each product and sum rounded once, as torch does where the
    processor can. Torch without that, and numpy, differ in the last place.
    """
    first, last = np.float32(start), np.float32(end)
    step = (last - first) / np.float32(max(1, num - 1))
    i = np.arange(num, dtype=np.float64)
    from_first = np.float64(first) + np.float64(step) * i
    from_last = np.float64(last) - np.float64(step) * (num - 1 - i)
    return np.where(i < max(1, num // 2), from_first, from_last).astype(np.float32)
