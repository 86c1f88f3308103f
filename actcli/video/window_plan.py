"""Where the windows of a video lie and which of its frames they need: arithmetic on times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from actcli.config import SamplingConfig, WindowConfig
from actcli.errors import VideoError
from actcli.types import VideoRef
from actcli.video.clips import choose_indices
from actcli.video.sampling import TOLERANCE_S, frames_between, trim_span
from actcli.video.timeline import Timeline
from actcli.windows import BLOCK_FRAMES, Window

MAX_WINDOWS = 500_000
"""Of one video, whose plan is held by a worker: one every 0.17 s of a day."""
_MOST_WINDOWS = 4 * BLOCK_FRAMES
"""Of a block: windows closer than frames are need none of their own."""


def window_spans(
    start_s: float, end_s: float, length_s: float, stride_s: float
) -> Iterator[tuple[float, float]]:
    """Windows of one length from `start_s`, every `stride_s`, and one that ends with `end_s`.

        (start + k * stride, start + k * stride + length), k = 0, 1, ... while it fits

    Where these don't reach the end, one more does, closer to the last than a stride. What is
    shorter than a window is one. Seconds; gaps are left where the stride is longer than a window.
    """
    count = max(0, int((end_s - start_s - length_s + TOLERANCE_S) // stride_s) + 1)
    for k in range(count):
        yield start_s + k * stride_s, min(end_s, start_s + k * stride_s + length_s)
    reached = start_s + (count - 1) * stride_s + length_s if count else start_s
    if reached < end_s - TOLERANCE_S and (count == 0 or stride_s <= length_s):
        yield max(start_s, end_s - length_s), end_s


def spans_within(
    cuts: tuple[float, ...], start_s: float, end_s: float, length_s: float, stride_s: float
) -> Iterator[tuple[float, float]]:
    """The windows of each shot between two cuts, so that none reaches across one."""
    inner = [cut for cut in cuts if start_s + TOLERANCE_S < cut < end_s - TOLERANCE_S]
    edges = [start_s, *inner, end_s]
    for first, last in pairwise(edges):
        yield from window_spans(first, last, length_s, stride_s)


@dataclass(frozen=True, slots=True, eq=False)
class WindowPlan:
    """All windows of a video in order, by the indices of their frames."""

    spans: tuple[tuple[float, float], ...]
    """W windows, seconds from the first shown frame"""
    indices: NDArray[np.int64]
    """[W, V, T], among all shown frames"""
    wanted: NDArray[np.int64]
    """All of these, each once, rising"""
    timeline: Timeline

    def at_frames(self, usable: NDArray[np.int64]) -> WindowPlan:
        """The same with the last usable frame before each; the first frame is always usable."""
        indices = usable[np.searchsorted(usable, self.indices, side="right") - 1]
        return replace(self, indices=indices, wanted=np.unique(indices))

    def edges(self) -> Iterator[tuple[int, int, int, int]]:
        """(first place, end place, first window, end window) of each block.

        Places are indices into `wanted`.
        """
        ends = np.searchsorted(self.wanted, self.indices).max((1, 2), initial=-1) + 1  # [W]
        first = done = 0
        while done < len(ends) or first < len(self.wanted):
            end = min(first + BLOCK_FRAMES, len(self.wanted))
            complete = int(np.searchsorted(np.maximum.accumulate(ends), end, side="right"))
            if complete - done > _MOST_WINDOWS:
                complete = done + _MOST_WINDOWS
                end = max(first, int(ends[done:complete].max()))
            yield first, end, done, complete
            first, done = end, complete

    def blocks(self, base: int) -> Iterator[tuple[int, int, tuple[Window, ...], bool]]:
        """(first place, end place, windows, whether it is the last) of each block.

        Places are indices into `wanted`; those of windows count from `base`.
        """
        places = np.searchsorted(self.wanted, self.indices)  # [W, V, T]
        for first, end, done, complete in self.edges():
            windows = tuple(self._window(w, base + places[w]) for w in range(done, complete))
            yield first, end, windows, complete == len(self.spans)

    def _window(self, w: int, places: NDArray[np.int64]) -> Window:
        start_s, end_s = self.spans[w]
        shown = frames_between(start_s, end_s, self.timeline.times_s)
        times_s = self.timeline.times_s[self.indices[w]]
        return Window(
            start_s, end_s, shown[0], shown[-1],
            tuple(map(tuple, places.tolist())), tuple(map(tuple, times_s.tolist())),
        )  # fmt: skip


def plan_windows(
    ref: VideoRef,
    sampling: SamplingConfig,
    windows: WindowConfig,
    timeline: Timeline,
    *,
    cuts: tuple[float, ...] = (),
    after_s: float = -1.0,
) -> WindowPlan:
    """The windows of a video, or of its trimmed part.

    cuts: where shots begin; no window reaches across one
    after_s: leave out windows that start by then
    Raises VideoError where the trim leaves nothing.
    """
    start_s, end_s = trim_span(timeline.duration_s, ref.start_s, ref.end_s)
    length_s, stride_s = windows.window_s or end_s, windows.stride_s
    if (end_s - start_s) / stride_s > MAX_WINDOWS:
        raise VideoError(
            "too_large",
            f"{(end_s - start_s) / stride_s:.0f} windows (expected at most {MAX_WINDOWS})",
            hint="a longer --stride",
        )
    spans = tuple(
        span for span in spans_within(cuts, start_s, end_s, length_s, stride_s) if span[0] > after_s
    )
    chosen = [
        choose_indices(replace(ref, start_s=start, end_s=end), sampling, timeline)
        for start, end in spans
    ]
    indices = np.array(chosen, np.int64).reshape(-1, sampling.num_views, sampling.num_frames)
    return WindowPlan(spans, indices, np.unique(indices), timeline)
