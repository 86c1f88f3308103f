"""Files that are there whole, or as they were before."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final

_OLD_S: Final = 3600.0
"""Longer than a draft is written without a pause."""
_LOOKED_AT: Final = 1000
"""Files of a folder, which may hold a million of them."""


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; what is there when the block ends takes the place.

    Its name is short, whatever the other's, so that it fits wherever that one does; a link stays a
    link. If the block raises, the draft is removed and `path` stays as it was; what a process that
    was killed left goes with a later draft of the same file. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    own = zlib.crc32(os.fsencode(target.name))
    draft = target.with_name(f".draft-{os.getpid()}-{own:08x}")
    _remove_old(target.parent, f"-{own:08x}")
    try:
        yield draft
        os.replace(draft, target)
    finally:
        with suppress(OSError):  # must not hide what went wrong
            draft.unlink()


def _remove_old(folder: Path, ending: str) -> None:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in islice(entries, _LOOKED_AT):
            is_draft = entry.name.startswith(".draft-") and entry.name.endswith(ending)
            if is_draft and time.time() - entry.stat().st_mtime > _OLD_S:
                os.unlink(entry)
