"""One decode process: it reads a job, decodes the clip, and sends the frames back.

It holds no state between jobs. The parent imports this module too, so nothing heavy stands at its
top; the fork server imports torch and the decoder once, so that a new worker costs milliseconds.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, TypeVar, cast

from actcli.errors import VideoError
from actcli.types import Clip, Preprocessing, VideoRef
from actcli.windows import BEAT, BLOCK_FRAMES, Beat, WindowBlock, WindowsRef

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from actcli.config import LimitsConfig, SamplingConfig, WindowConfig

log = logging.getLogger("actcli.video.worker")

T = TypeVar("T")

Read = Callable[[VideoRef], Clip]
ReadBlocks = Callable[[WindowsRef], Iterator[WindowBlock | Beat]]
GO = "go on"
"""What a worker that sent blocks ahead waits for."""
BLOCKS_AHEAD = 2
"""Of one video, sent before its first is taken."""


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


@dataclass(frozen=True, slots=True)
class ClipHeader:
    """A `Clip` without its pixels, which follow it through the pipe as raw bytes."""

    shape: tuple[int, ...]
    times_s: tuple[tuple[float, ...], ...]
    start_s: float
    end_s: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """A `WindowBlock` without its pixels, which follow it as raw bytes."""

    shape: tuple[int, ...]
    about: dict[str, Any]
    """Its fields but for ref and frames."""


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
        return VideoError("too_large", "not enough memory to decode it")
    except Exception as error:
        log.info("reading %s failed", ref.id, exc_info=True)
        return VideoError(
            "crashed",
            f"internal error while reading ({type(error).__name__}: {error})",
            hint="run again with --workers 0 -v and report what it prints",
        )


def serve(connection: Connection, read: Read | ReadBlocks) -> None:
    """Answer jobs until the parent closes the connection; first message: ready.

    A clip is one answer. Of a video in windows each block is one, and None or an error the last.
    """
    import torch

    end_with_parent()
    torch.set_num_threads(1)
    try:
        connection.send("ready")
        while (job := connection.recv()) is not None:
            if isinstance(job, WindowsRef):
                _send_blocks(connection, read_blocks(job, cast("ReadBlocks", read)))
            elif job != GO:  # which may come after the last block
                _send(connection, read_or_error(job, cast("Read", read)))
    except (EOFError, OSError):
        return  # the parent is gone or has no more use for us


def _send(connection: Connection, result: Clip | VideoError) -> None:
    if isinstance(result, Clip):
        send_clip(connection, result)
    else:
        connection.send(result)


def _send_blocks(connection: Connection, blocks: Iterator[WindowBlock | Beat | VideoError]) -> None:
    """Send blocks as they come, so many ahead of what the parent has taken."""
    ahead = 0
    for block in blocks:
        if isinstance(block, VideoError):
            connection.send(block)
            return
        if isinstance(block, Beat):
            connection.send(BEAT)
            continue
        if ahead == BLOCKS_AHEAD:
            connection.recv()
            ahead -= 1
        send_block(connection, block)
        ahead += 1
    connection.send(None)


def send_block(connection: Connection, block: WindowBlock) -> None:
    """As `send_clip`."""
    names = [field.name for field in fields(block) if field.name not in ("ref", "frames")]
    about = {name: getattr(block, name) for name in names}
    connection.send(BlockHeader(block.frames.shape, about))
    connection.send_bytes(block.frames.reshape(-1).data)


def receive_block(connection: Connection, header: BlockHeader, ref: VideoRef) -> WindowBlock:
    """As `receive_clip`."""
    return WindowBlock(ref, _receive_pixels(connection, header.shape), **header.about)


def _receive_pixels(connection: Connection, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    import numpy as np

    frames = np.empty(shape, dtype=np.uint8)
    connection.recv_bytes_into(frames.reshape(-1).data)
    return frames


def send_clip(connection: Connection, clip: Clip) -> None:
    """The worker's end of a clip's way: what it is, then its pixels as they lie in memory."""
    times_s = tuple(map(tuple, clip.times_s.tolist()))
    header = ClipHeader(clip.frames.shape, times_s, clip.start_s, clip.end_s, clip.warnings)
    connection.send(header)
    connection.send_bytes(clip.frames.reshape(-1).data)


def receive_clip(connection: Connection, header: ClipHeader, ref: VideoRef) -> Clip:
    """The parent's end, after the header; raises EOFError or OSError if the worker dies."""
    import numpy as np

    frames = _receive_pixels(connection, header.shape)
    times_s = np.asarray(header.times_s)
    return Clip(ref, frames, times_s, header.start_s, header.end_s, header.warnings)


def end_with_parent() -> None:
    """A parent that was killed can't tell us: leave even in the middle of a decode."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is always a child"

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="actcli-parent-watch").start()
