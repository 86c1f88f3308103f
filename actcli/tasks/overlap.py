"""Whether videos that a checkpoint is measured on were there when it was trained, or chosen.

A checkpoint keeps a sketch of each set: the smallest 256 of the digests of its clips. Whichever
clips two sets share, they share the same part of their sketches on average, so that some thousand
bytes tell how much of a training set is measured on, however large it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from actcli.cache import Cache
from actcli.types import VideoRef

_SIZE: Final = 256
_HEX: Final = 16
_SAID: Final = {"train": "trained", "val": "chosen"}


def sketch(refs: Iterable[VideoRef], cache: Cache) -> list[str]:
    """The smallest digests of the contents of videos and of the parts that are taken of them."""
    return sorted(_digests(refs, cache))[:_SIZE]


def overlaps(
    training: Mapping[str, Any] | None, refs: Iterable[VideoRef], cache: Cache
) -> list[str]:
    """What to say of a checkpoint that is measured on clips which it knows; often nothing.

    training: what a checkpoint says of its training
    """
    kept = (training or {}).get("sketches")
    if not isinstance(kept, Mapping) or not any(kept.values()):
        return []
    measured, said = _digests(refs, cache), []
    for use, verb in _SAID.items():
        own = kept.get(use) or ()
        if common := sum(digest in measured for digest in own):
            share = common / len(own)
            said.append(f"the checkpoint was {verb} on clips of which about {share:.0%} are here")
    return said


def _digests(refs: Iterable[VideoRef], cache: Cache) -> set[str]:
    found = set()
    for ref in refs:
        try:
            content = cache.file_digest(ref.path).hex()
        except (OSError, ValueError):
            continue
        text = f"{content} {ref.start_s or 0.0} {ref.end_s}"
        found.add(hashlib.sha256(text.encode()).hexdigest()[:_HEX])
    return found
