"""Long videos in pieces: a block of sampled frames and the windows that they complete.

Shape letters: V views, T frames of a window, K crops, n frames of a block, X model input side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from actcli.types import Part, VideoRef, check_rank

if TYPE_CHECKING:
    import numpy as np

BLOCK_FRAMES = 64
"""Frames of a block at most: one pass of the model on a CPU."""
BLOCKS_AHEAD: Final = 2
"""Of one reader, read before its first is taken."""


class Beat:
    """Comes among the blocks of a video now and then while all of it must be read first."""


BEAT: Final = Beat()
BEAT_FRAMES: Final = 256
"""Frames that are decoded between two beats."""


class Stretch(Protocol):
    """A result of a whole video, or of a window or segment of it."""

    @property
    def ref(self) -> VideoRef:
        """The video, trimmed to the stretch."""

    @property
    def start_s(self) -> float:
        """Where it begins."""

    @property
    def part(self) -> Part | None:
        """Where in its video it lies; None is the whole."""


@dataclass(frozen=True, slots=True)
class WindowsRef:
    """A video whose windows are asked for, from one of their blocks on."""

    video: VideoRef
    first_block: int = 0
    stripe: int = 0
    """Which share of the blocks, where several readers have one each."""
    stripes: int = 1

    def has(self, block: int) -> bool:
        """Whether a block is asked for, by its number."""
        is_own = block // BLOCKS_AHEAD % self.stripes == self.stripe
        return is_own and block >= self.first_block


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a video, and which of the video's sampled frames stand for it."""

    start_s: float
    end_s: float
    first_frame: int
    """Index among all shown frames of the one on screen at `start_s`."""
    last_frame: int
    places: tuple[tuple[int, ...], ...]  # [V][T]
    """Numbers of its frames among all that are sampled from the video, from 0 on."""
    times_s: tuple[tuple[float, ...], ...]  # [V][T]


@dataclass(frozen=True, slots=True, eq=False)
class WindowBlock:
    """The next sampled frames of a video, each once, and the windows that they complete."""

    ref: VideoRef
    frames: np.ndarray[Any, Any]
    """uint8 [n, K, 3, X, X], K crops"""
    number: int
    """Which block of the video it is, from 0."""
    first_place: int
    """Number of `frames[0]` among all that are sampled from the video."""
    windows: tuple[Window, ...]
    video_s: float
    """Duration of the whole video."""
    is_last: bool
    may_keep: bool = True
    """Whether the next run would find the same block under this number."""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_rank("WindowBlock", "frames", self.frames, "n K 3 X X")


def goes_on(before: Stretch | None, after: Stretch) -> bool:
    """Whether a result is of the same video as the one before it, further on.

    Where the same video is named twice in a row, its second run begins again at an earlier time.
    Segments of different labels may begin together.
    """
    if before is None or before.part is None or after.part is None:
        return False
    if before.part.kind != after.part.kind:
        return False
    if (before.ref.id, before.ref.path) != (after.ref.id, after.ref.path):
        return False
    if before.start_s == after.start_s and after.part.kind == "segment":
        return getattr(before, "label", None) != getattr(after, "label", None)
    return before.start_s < after.start_s
