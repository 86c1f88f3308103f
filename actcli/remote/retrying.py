"""Trying again, a few times and not for long, when a server is slow or says that it can't now."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from actcli.errors import VideoError

log = logging.getLogger("actcli.remote")

T = TypeVar("T")

ATTEMPTS: Final = 4
STEP_TIMEOUT_S: Final = 20.0
"""Longest wait for a connection or for the next bytes."""
_FIRST_PAUSE_S = 0.25
_MAX_PAUSE_S = 5.0


class TransientError(Exception):
    """Something that may be better in a moment.

    after_s: seconds that the server asks to wait
    """

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


def with_retries(run: Callable[[float], T], timeout_s: float) -> T:
    """What `run` returns; it is run again on a TransientError, with growing pauses.

    run: takes the moment, on the clock of `time.monotonic()`, by which it must end
    Raises VideoError of kind "remote" after the last attempt, "timeout" when the time is up.
    """
    deadline = time.monotonic() + timeout_s
    for attempt in range(ATTEMPTS):
        try:
            return run(deadline)
        except TransientError as error:
            pause_s = min(_FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5), _MAX_PAUSE_S)
            pause_s = max(pause_s, min(error.after_s, _MAX_PAUSE_S))
            if time.monotonic() + pause_s >= deadline:
                raise VideoError(
                    "timeout",
                    f"not fetched after {timeout_s:g} s ({error})",
                    hint="--timeout SECONDS gives it longer",
                ) from error
            if attempt == ATTEMPTS - 1:
                raise VideoError(
                    "remote",
                    f"could not be fetched in {ATTEMPTS} attempts ({error})",
                    hint="run again later; --skip-done -o FILE continues a run",
                ) from error
            log.info("attempt %d of %d: %s", attempt + 1, ATTEMPTS, error)
            time.sleep(pause_s)
    raise AssertionError("the last attempt returns or raises")


def seconds_left(deadline: float) -> float:
    """For the next wait, at most STEP_TIMEOUT_S; raises TransientError when there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TransientError("the time is up")
    return min(left, STEP_TIMEOUT_S)
