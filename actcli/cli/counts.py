"""How many videos came to what, and what a run says of it at its end."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from actcli.errors import InputError, PartialFailure
from actcli.types import Failure, Prediction
from actcli.windows import goes_on

log = logging.getLogger("actcli.cli.counts")


@dataclass(slots=True)
class Counts:
    """How many results of which sort; a video counts once, however many windows it has."""

    ok: int = 0
    failed: int = 0
    cached: int = 0
    skipped: int = 0
    failed_before: int = 0
    """Of those skipped: a result that was continued may hold failures already."""
    written: int = 0
    """Records, of which a video in windows has many."""
    _last: Prediction | None = field(default=None, repr=False)

    def add(self, result: Prediction | Failure) -> None:
        """Count one result that is written."""
        is_new = self._begins(result)
        self.written += 1
        self.ok += is_new and result.ok
        self.failed += not result.ok
        self.cached += is_new and isinstance(result, Prediction) and result.cached

    def skip(self, result: Prediction | Failure | None = None) -> None:
        """Count a video whose results are there already, or one of these results."""
        self.skipped += result is None or self._begins(result)

    def _begins(self, result: Prediction | Failure) -> bool:
        if isinstance(result, Failure):
            self._last = None
            return True
        before, self._last = self._last, result
        return not goes_on(before, result)

    def record(self) -> dict[str, int]:
        """The counts, for the record of the run."""
        names = ("ok", "failed", "cached", "skipped", "failed_before", "written")
        return {name: getattr(self, name) for name in names}

    def conclude(self, failed_examples: int) -> None:
        """Raise PartialFailure or InputError if some or all videos, or examples, failed."""
        total, failed = self.ok + self.failed, self.failed + self.failed_before
        if self.skipped and not self.written:
            log.warning("nothing to do: all %d videos have their results", self.skipped)
        if not failed and failed_examples:
            examples = "example" if failed_examples == 1 else "examples"
            raise PartialFailure(f"{failed_examples} {examples} could not be used")
        if not failed:
            return
        if self.ok or self.skipped:
            total += self.skipped
            raise PartialFailure(f"{failed} of {total} videos could not be classified")
        which = "the video" if total == 1 else f"none of the {total} videos"
        raise InputError(f"{which} could {'not ' if total == 1 else ''}be classified")
