"""One decode process: it reads a job, decodes the clip, and sends the frames back.

It is imported by the fork server before any worker starts, so that a new worker costs
milliseconds. It holds no state between jobs.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from multiprocessing.connection import Connection, wait

from actcli.errors import VideoError
from actcli.types import Clip, VideoRef
from actcli.video.pool import ClipHeader, Read

log = logging.getLogger("actcli.video.worker")


def read_or_error(ref: VideoRef, read: Read) -> Clip | VideoError:
    """The clip, or why there is none; a bug while reading costs its video, never the run."""
    try:
        return read(ref)
    except VideoError as error:
        return error
    except MemoryError:
        return VideoError("too_large", "not enough memory to decode it")
    except Exception as error:
        log.debug("reading %s failed", ref.id, exc_info=True)
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
            if isinstance(result, VideoError):
                connection.send(result)
                continue
            connection.send(
                ClipHeader(
                    result.frames.shape,
                    tuple(map(tuple, result.times_s.tolist())),
                    result.start_s,
                    result.end_s,
                    result.warnings,
                )
            )
            connection.send_bytes(result.frames.reshape(-1).data)
    except (EOFError, OSError):
        return  # the parent is gone or has no more use for us


def _end_with_parent() -> None:
    """A parent that was killed can't tell us: leave even in the middle of a decode."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is always a child"

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="actcli-parent-watch").start()
