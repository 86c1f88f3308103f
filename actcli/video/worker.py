"""One decode process: it reads a job, decodes the clip, and sends the frames back.

It holds no state between jobs. The parent imports this module too, so nothing heavy stands at its
top; the fork server imports torch and the decoder once, so that a new worker costs milliseconds.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from actcli.errors import VideoError
from actcli.types import Clip, Preprocessing, VideoRef

if TYPE_CHECKING:
    from actcli.config import LimitsConfig, SamplingConfig

log = logging.getLogger("actcli.video.worker")

Read = Callable[[VideoRef], Clip]


@dataclass(frozen=True, slots=True)
class ClipReader:
    """How every clip of a run is read; travels to the workers without importing a decoder here."""

    sampling: SamplingConfig
    preprocessing: Preprocessing
    limits: LimitsConfig

    def __call__(self, ref: VideoRef) -> Clip:
        """The clip of `ref`; raises VideoError."""
        from actcli.video.clips import read_clip

        return read_clip(ref, self.sampling, self.preprocessing, self.limits)

    @property
    def clip_bytes(self) -> int:
        """Size of one clip's frames, V * T * 3 * X * X, V with all crops."""
        side, sampling = self.preprocessing.size_px, self.sampling
        return sampling.num_views * sampling.num_crops * sampling.num_frames * 3 * side * side


@dataclass(frozen=True, slots=True)
class ClipHeader:
    """A `Clip` without its pixels, which follow it through the pipe as raw bytes."""

    shape: tuple[int, ...]
    times_s: tuple[tuple[float, ...], ...]
    start_s: float
    end_s: float
    warnings: tuple[str, ...]


def read_or_error(ref: VideoRef, read: Read) -> Clip | VideoError:
    """The clip, or why there is none; a bug while reading costs its video, never the run."""
    try:
        return read(ref)
    except VideoError as error:
        return error
    except MemoryError:
        return VideoError("too_large", "not enough memory to decode it")
    except Exception as error:
        log.info("reading %s failed", ref.id, exc_info=True)
        return VideoError(
            "crashed",
            f"internal error while reading ({type(error).__name__}: {error})",
            hint="run again with --workers 0 -v and report what it prints",
        )


def serve(connection: Connection, read: Read) -> None:
    """Answer jobs until the parent closes the connection; first message: ready."""
    import torch

    _end_with_parent()
    torch.set_num_threads(1)
    try:
        connection.send("ready")
        while (ref := connection.recv()) is not None:
            result = read_or_error(ref, read)
            if isinstance(result, Clip):
                send_clip(connection, result)
            else:
                connection.send(result)
    except (EOFError, OSError):
        return  # the parent is gone or has no more use for us


def send_clip(connection: Connection, clip: Clip) -> None:
    """The worker's end of a clip's way: what it is, then its pixels as they lie in memory."""
    times_s = tuple(map(tuple, clip.times_s.tolist()))
    header = ClipHeader(clip.frames.shape, times_s, clip.start_s, clip.end_s, clip.warnings)
    connection.send(header)
    connection.send_bytes(clip.frames.reshape(-1).data)


def receive_clip(connection: Connection, header: ClipHeader, ref: VideoRef) -> Clip:
    """The parent's end, after the header; raises EOFError or OSError if the worker dies."""
    import numpy as np

    frames = np.empty(header.shape, dtype=np.uint8)
    connection.recv_bytes_into(frames.reshape(-1).data)
    times_s = np.asarray(header.times_s)
    return Clip(ref, frames, times_s, header.start_s, header.end_s, header.warnings)


def _end_with_parent() -> None:
    """A parent that was killed can't tell us: leave even in the middle of a decode."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is always a child"

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="actcli-parent-watch").start()
