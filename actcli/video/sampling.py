"""Which moments of a video stand for it: arithmetic on seconds, without a decoder.

Times count from the first shown frame. T is frames per view, V views per video.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from actcli.config import SamplingConfig
from actcli.errors import VideoError
from actcli.types import SamplePlan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Times = Sequence[float] | NDArray[np.float64]

# Container clocks round to micro- or milliseconds and sums of binary fractions miss by less, so
# a frame that starts this little after the asked moment counts as already shown.
TOLERANCE_S = 1e-6


def trim_span(duration_s: float, start_s: float | None, end_s: float | None) -> tuple[float, float]:
    """The part of a video that a trim leaves, as (start, end) in seconds.

    An end beyond the video is the video's end. Raises VideoError("no_frames") when nothing is left.
    """
    start = 0.0 if start_s is None else max(0.0, start_s)
    end = duration_s if end_s is None else min(duration_s, end_s)
    if start >= duration_s:
        raise VideoError(
            "no_frames",
            f"the trim starts after the end of the video (got {start:g} s, "
            f"expected less than {duration_s:g} s)",
        )
    if end <= start:
        raise VideoError(
            "no_frames", f"the trim is empty (got {start:g} s to {end:g} s, expected end > start)"
        )
    return start, end


def uniform_times(
    num_frames: int, num_views: int, start_s: float, end_s: float
) -> tuple[tuple[float, ...], ...]:
    """One moment from each of T equal segments; V views divide every segment evenly.

        t(v, i) = start + (i + (v + 1/2) / V) / T * (end - start)

    returns: [V][T] seconds, rising within a view
    """
    length_s = end_s - start_s
    return tuple(
        tuple(
            start_s + (i + (view + 0.5) / num_views) / num_frames * length_s
            for i in range(num_frames)
        )
        for view in range(num_views)
    )


def dense_times(
    num_frames: int, num_views: int, stride_s: float, start_s: float, end_s: float
) -> tuple[tuple[float, ...], ...]:
    """Runs of T moments `stride_s` apart, their starts spread evenly over the video.

    A run spans (T - 1) * stride_s. One view is centred; of several the first starts with the video
    and the last ends with it. Where the video is shorter than a run, its end is repeated.

    returns: [V][T] seconds, rising within a view
    """
    room_s = max(0.0, end_s - start_s - (num_frames - 1) * stride_s)
    if num_views == 1:
        offsets = [room_s / 2]
    else:
        offsets = [room_s * view / (num_views - 1) for view in range(num_views)]
    return tuple(
        tuple(min(end_s, start_s + offset + i * stride_s) for i in range(num_frames))
        for offset in offsets
    )


def make_plan(sampling: SamplingConfig, start_s: float, end_s: float) -> SamplePlan:
    """The moments to look at between `start_s` and `end_s`: dense where a stride is set."""
    if sampling.stride_s is None:
        times = uniform_times(sampling.num_frames, sampling.num_views, start_s, end_s)
    else:
        times = dense_times(
            sampling.num_frames, sampling.num_views, sampling.stride_s, start_s, end_s
        )
    return SamplePlan(timestamps_s=times)


def frame_at(time_s: float, shown_s: Times) -> int:
    """The index of the frame on screen at `time_s`: the last one shown by then, or the first.

    shown_s: when each frame appears, in seconds, not falling
    """
    return max(0, bisect_right(shown_s, time_s + TOLERANCE_S) - 1)


def frames_between(start_s: float, end_s: float, shown_s: Times) -> range:
    """The indices of the frames on screen from `start_s` until before `end_s`: one at least.

    shown_s: when each frame appears, in seconds, not falling
    """
    first = frame_at(start_s, shown_s) if start_s > 0 else 0
    return range(first, max(first + 1, bisect_left(shown_s, end_s - TOLERANCE_S)))


def choose_frames(plan: SamplePlan, shown_s: Times) -> tuple[tuple[int, ...], ...]:
    """The frame index for each place of a plan, [V][T]; indices beyond the end are the last."""
    if plan.timestamps_s is not None:
        return tuple(tuple(frame_at(t, shown_s) for t in view) for view in plan.timestamps_s)
    assert plan.indices is not None
    last = len(shown_s) - 1
    return tuple(tuple(min(max(0, i), last) for i in view) for view in plan.indices)
