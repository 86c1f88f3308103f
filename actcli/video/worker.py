"""One decode process: it reads a job, decodes the clip, and sends the frames back.

It holds no state between jobs. The parent imports this module too, so nothing heavy stands at its
top; the fork server imports torch and the decoder once, so that a new worker costs milliseconds.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, TypeVar, cast

from actcli.errors import VideoError
from actcli.types import Clip, Preprocessing, VideoRef
from actcli.video.bounds import Bounds
from actcli.video.messages import Ended, Ready, StillAtWork, send
from actcli.windows import BLOCK_FRAMES, BLOCKS_AHEAD, Beat, WindowBlock, WindowsRef

if TYPE_CHECKING:
    from actcli.config import LimitsConfig, SamplingConfig, WindowConfig

log = logging.getLogger("actcli.video.worker")

T = TypeVar("T")

Read = Callable[[VideoRef], Clip]
ReadBlocks = Callable[[WindowsRef], Iterator[WindowBlock | Beat]]
GO = "go on"
"""What a worker that sent blocks ahead waits for."""


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
    def opens_devices(self) -> bool:
        """Whether a GPU decodes, for which a process must open it and map its memory."""
        return self.sampling.decode == "nvdec"

    @property
    def clip_bytes(self) -> int:
        """Size of one clip's frames, V * T * 3 * X * X, V with all crops."""
        return math.prod(self._shape)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a clip's frames have the shape of all."""
        return shape == self._shape

    @property
    def _shape(self) -> tuple[int, ...]:
        side, sampling = self.preprocessing.size_px, self.sampling
        return (sampling.num_views * sampling.num_crops, sampling.num_frames, 3, side, side)


@dataclass(frozen=True, slots=True)
class WindowReader:
    """How every video of a run is read in windows."""

    clips: ClipReader
    windows: WindowConfig

    def __call__(self, request: WindowsRef) -> Iterator[WindowBlock | Beat]:
        """The blocks of a video, from the one asked for on; raises VideoError, also after some."""
        from actcli.video.windows import WindowReading

        how = self.clips
        return WindowReading(
            request, how.sampling, self.windows, how.preprocessing, how.limits
        ).blocks()

    @property
    def clip_bytes(self) -> int:
        """Size of the blocks of one video that may wait, B * n * K * 3 * X * X at most."""
        side, crops = self.clips.preprocessing.size_px, self.clips.sampling.num_crops
        return BLOCKS_AHEAD * BLOCK_FRAMES * crops * 3 * side * side


def read_or_error(ref: VideoRef, read: Read) -> Clip | VideoError:
    """The clip, or why there is none; a bug while reading costs its video, never the run."""
    found = _try(lambda: read(ref), ref)
    assert found is not None, "a reader gives a clip"
    return found


def read_blocks(request: WindowsRef, read: ReadBlocks) -> Iterator[WindowBlock | Beat | VideoError]:
    """The blocks, and after them why there are no more, if the video did not end."""

    def all_blocks() -> Iterator[WindowBlock | Beat]:
        yield from read(request)

    left = all_blocks()
    while (block := _try(partial(next, left, None), request.video)) is not None:
        yield block
        if isinstance(block, VideoError):
            return


def _try(run: Callable[[], T], ref: VideoRef) -> T | VideoError:
    try:
        return run()
    except VideoError as error:
        return error
    except MemoryError:
        return _no_memory()
    except Exception as error:
        if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
            return _no_memory()  # as torch puts it
        log.info("reading %s failed", ref.id, exc_info=True)
        return VideoError(
            "crashed",
            f"internal error while reading ({type(error).__name__}: {error})",
            hint="run again with --workers 0 -v and report what it prints",
        )


def _no_memory() -> VideoError:
    return VideoError(
        "too_large", "not enough memory to decode it", hint="--max-memory MIB allows a worker more"
    )


def serve(connection: Connection, read: Read | ReadBlocks, bounds: Bounds, is_online: bool) -> None:
    """Answer jobs until the parent closes the connection; first message: ready.

    A clip is one answer. Of a video in windows each block is one, and an end or an error the last.

    is_online: there may be remote videos among the jobs
    """
    import torch

    bounds.put_up(is_online=is_online)  # before there is a second thread
    end_with_parent()
    torch.set_num_threads(1)
    try:
        send(connection, Ready())
        while (job := connection.recv()) is not None:
            bounds.renew_time()
            if isinstance(job, WindowsRef):
                blocks = read_blocks(job, cast("ReadBlocks", read))
                _send_blocks(connection, blocks, bounds)
            elif job != GO:  # which may come after the last block
                send(connection, read_or_error(job, cast("Read", read)))
    except (EOFError, OSError):
        return  # the parent is gone or has no more use for us


def _send_blocks(
    connection: Connection, blocks: Iterator[WindowBlock | Beat | VideoError], bounds: Bounds
) -> None:
    """Send blocks as they come, so many ahead of what the parent has taken."""
    ahead = 0
    for block in blocks:
        bounds.renew_time()
        if isinstance(block, VideoError):
            send(connection, block)
            return
        if isinstance(block, Beat):
            send(connection, StillAtWork())
            continue
        if ahead == BLOCKS_AHEAD:
            connection.recv()
            ahead -= 1
        send(connection, block)
        ahead += 1
    send(connection, Ended())


def end_with_parent() -> None:
    """A parent that was killed can't tell us: leave even in the middle of a decode."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is always a child"

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="actcli-parent-watch").start()
