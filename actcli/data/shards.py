"""One of n parts of a run's videos, by a stable hash: the same on any machine, in any order.

shard(ref) = first 8 bytes of sha256(id, start, end), read as a number, mod n
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from actcli.errors import UsageError
from actcli.types import VideoRef

_SHARD = re.compile(r"([0-9]{1,9})/([0-9]{1,9})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` of `count`, counted from 0."""

    index: int
    count: int

    def has(self, ref: VideoRef) -> bool:
        """Whether a video is in this part."""
        return shard_of(ref, self.count) == self.index


def parse_shard(text: str) -> Shard:
    """What `--shard` was given, as in "0/4".

    Raises UsageError.
    """
    found = _SHARD.fullmatch(text.strip())
    index, count = map(int, found.groups()) if found else (0, 0)
    if index >= count:
        raise UsageError(
            f"--shard: not a part of a whole (got {text!r}, expected 0/4, 1/4, 2/4 or 3/4)",
            hint="--shard 0/4",
        )
    return Shard(index, count)


def shard_of(ref: VideoRef, count: int) -> int:
    """Which of `count` parts a video is in; its name as typed and its trim decide."""
    about = json.dumps([ref.id, ref.start_s, ref.end_s])
    return int.from_bytes(hashlib.sha256(about.encode()).digest()[:8]) % count


def only_shard(
    refs: list[VideoRef] | Iterator[VideoRef],
    shard: str | Shard | None,
    *,
    whole_videos: bool = False,
) -> list[VideoRef] | Iterator[VideoRef]:
    """The videos of one part in their order: a list of a list, else an iterator; None is all.

    whole_videos: leave the trims out of account, so that windows of a video stay together

    Raises UsageError for text that names no part.
    """
    if shard is None:
        return refs
    part = parse_shard(shard) if isinstance(shard, str) else shard
    found = (ref for ref in refs if part.has(VideoRef(ref.id) if whole_videos else ref))
    return list(found) if isinstance(refs, list) else found
