"""Files that are there whole, or as they were before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; what is there when the block ends takes the place.

    Its name is short, whatever the other's, so that it fits wherever that one does; a link stays a
    link. If the block raises, the draft is removed and `path` stays as it was. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".draft-{os.getpid()}-{abs(hash(target.name)) % 10_000}")
    try:
        yield draft
        os.replace(draft, target)
    finally:
        with suppress(OSError):  # must not hide what went wrong
            draft.unlink()
