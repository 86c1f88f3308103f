"""Every way in which a file is read, as one reader that a decode process can run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np

from actcli.config import LimitsConfig, SamplingConfig, WindowConfig
from actcli.remote.ranges import Blocks, RangeFile
from actcli.types import Clip, Preprocessing, VideoRef
from actcli.video.clips import read_clip
from actcli.video.decode import read_frames
from actcli.video.picture import PictureMaker
from actcli.video.shots import cut_steps
from actcli.video.training_clips import TrainingReader, TrainingRef
from actcli.video.worker import WindowReader
from actcli.windows import Beat, WindowsRef

SMALL: Final = Preprocessing(32)
LIMITS: Final = LimitsConfig(
    max_pixels=4096 * 4096, timeout_s=20, max_memory_mib=2048, max_frames=100_000
)
WAYS: Final = ("clip", "clip", "counted", "fast", "views", "windows", "shots", "training", "remote")
ADDRESS: Final = "http://"
"""What a path begins with whose reader may keep what it fetched."""
_EIGHT: Final = SamplingConfig(num_frames=8)


@dataclass
class BytesObject:
    """Bytes as a remote object."""

    content: bytes
    identity: str | None = None

    def __post_init__(self) -> None:
        self.size, self.head = len(self.content), self.content[:1024]

    def read_range(self, start: int, end: int) -> bytes:
        return self.content[start:end]

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class AnyReader:
    """Reads in the way that a ref's id names before its first colon."""

    def __call__(self, ref: VideoRef) -> Clip:
        way, path = ref.id.partition(":")[0], ref.path
        if way == "windows":
            return self._windows(ref)
        if way == "shots":
            list(cut_steps(path, LIMITS))
            return _no_clip(ref)
        if way == "training":
            reader = TrainingReader(_EIGHT, SMALL, LIMITS, None, is_random=True)
            return reader(TrainingRef.of(ref, seed=len(path)))
        if way == "remote":
            return self._remote(ref)
        sampling = {"fast": SamplingConfig(num_frames=4, decode="fast"),
                    "views": SamplingConfig(num_frames=2, num_views=3, num_crops=3),
                    }.get(way, _EIGHT)  # fmt: skip
        return read_clip(ref, sampling, SMALL, LIMITS, seek=False if way == "counted" else None)

    def _windows(self, ref: VideoRef) -> Clip:
        from actcli.video.worker import ClipReader

        windows = WindowConfig(window_s=0.5, window_stride_s=0.25, shots=len(ref.id) % 2 == 0)
        reader = WindowReader(ClipReader(_EIGHT, SMALL, LIMITS), windows)
        for block in reader(WindowsRef(ref)):
            assert isinstance(block, Beat) or block.frames.shape[1:] == (1, 3, 32, 32)
        return _no_clip(ref)

    def _remote(self, ref: VideoRef) -> Clip:
        """By ranges, where an MP4 file's packets are listed without being fetched."""
        file: Any = RangeFile(Blocks(BytesObject(local_path(ref).read_bytes())))
        read_frames(file, lambda t: range(min(4, t.num_frames)), PictureMaker(SMALL), LIMITS)
        return _no_clip(ref)


def _no_clip(ref: VideoRef) -> Clip:
    return Clip(ref, np.zeros((1, 1, 3, 8, 8), np.uint8), np.zeros((1, 1)), 0.0, 0.0)


def local_path(ref: VideoRef) -> Path:
    """Where its bytes are: refs to be read in the way of remote files have an address."""
    return Path(ref.path.removeprefix(ADDRESS))


def way_of(seed: int) -> str:
    """In which way a mutant is read."""
    return Random(f"way {seed}").choice(WAYS)
