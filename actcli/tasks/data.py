"""Check the videos of a list: are they there, and can their frames be read?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from actcli.config import LimitsConfig, SamplingConfig
from actcli.errors import VideoError
from actcli.types import Clip, Failure, Preprocessing, VideoRef
from actcli.video.loader import start_loader
from actcli.video.worker import ClipReader

# Reading is what is tried, so the pictures may be small.
_SIDE_PX = 16
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Checked:
    """One video of a list that was looked at."""

    ref: VideoRef
    error: VideoError | None = None
    warnings: tuple[str, ...] = ()
    """What is wrong with a video that can be read."""


def check_videos(
    refs: Iterable[VideoRef],
    *,
    decode: bool = True,
    workers: int | None = None,
    sampling: SamplingConfig | None = None,
    limits: LimitsConfig | None = None,
) -> Iterator[Checked]:
    """Look at each video, and yield what was found, in order.

    decode: read the frames that a task with this `sampling` would read; otherwise only look whether
        the files are there
    workers: decode processes; None is one per core, 0 decodes in this process

    Raises ResourceError if decode processes can't go on.
    """
    if not decode:
        for ref in refs:
            yield look(ref)
        return
    limits = limits or LimitsConfig()
    read = ClipReader(sampling or SamplingConfig(), Preprocessing(_SIDE_PX, "squash"), limits)
    loader = start_loader(
        read,
        workers,
        limits,
        batch_size=_BATCH,
        clip_bytes=read.clip_bytes,
    )
    with loader:
        # What isn't there passes through the loader in its place.
        there = (ref if item.error is None else item for ref in refs if (item := look(ref)))
        for result in loader.load(there):
            if isinstance(result, Clip):
                yield Checked(result.ref, None, result.warnings)
            elif isinstance(result, Failure):
                yield Checked(result.ref, result.error)
            elif isinstance(result, Checked):
                yield result


def look(ref: VideoRef) -> Checked:
    """Whether there is a file with something in it, without opening it."""
    from actcli.video.source import check_regular

    try:
        check_regular(ref.path)
    except VideoError as error:
        return Checked(ref, error)
    return Checked(ref)
