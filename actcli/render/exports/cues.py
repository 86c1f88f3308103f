"""What the exports share: times in milliseconds, text that any format can hold."""

from __future__ import annotations

import math
import re
from typing import Final

from actcli.errors import UsageError
from actcli.render.records import span
from actcli.types import Prediction

# Control characters, lone surrogates and the two that XML names.
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def seconds(result: Prediction) -> tuple[float, float]:
    """Start and end as in the records, 0 where there is no number."""
    start_s, end_s = span(result)
    start_s = start_s or 0.0
    return start_s, max(start_s, end_s or 0.0)


class CueTimes:
    """Rounds spans to whole milliseconds, one after another.

    The end is after the start, and spans that don't overlap do not overlap once rounded.
    """

    def __init__(self) -> None:
        self._end_us = 0
        self._end_ms = 0

    def __call__(self, start_s: float, end_s: float) -> tuple[int, int]:
        """Start and end in milliseconds."""
        start_us, end_us = round(start_s * 1e6), round(end_s * 1e6)
        start_ms, end_ms = (start_us + 500) // 1000, (end_us + 500) // 1000
        if start_us >= self._end_us:
            start_ms = max(start_ms, self._end_ms)
        end_ms = max(end_ms, start_ms + 1)
        self._end_us, self._end_ms = max(self._end_us, end_us), max(self._end_ms, end_ms)
        return start_ms, end_ms


def clock(time_ms: int, point: str) -> str:
    """Hours, minutes, seconds and milliseconds: "00:01:02.345" with the point of the format."""
    whole_s, rest_ms = divmod(time_ms, 1000)
    minutes, second = divmod(whole_s, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}{point}{rest_ms:03}"


def allowed(text: str) -> str:
    """The text without what UTF-8 or XML 1.0 can't hold, and without control characters."""
    return _FORBIDDEN.sub("\ufffd", text)


def plain(text: str) -> str:
    """The text on one line, as `allowed`."""
    return allowed(" ".join(text.split()))


def caption(result: Prediction) -> str:
    """What a viewer reads: the label and its score in percent."""
    if not math.isfinite(result.score):
        return plain(result.label)
    return f"{plain(result.label)} {result.score:.0%}".lstrip()


class Turn:
    """Tells where the results of the next video begin."""

    def __init__(self) -> None:
        self._last: tuple[str, str, float] | None = None

    def is_new(self, result: Prediction) -> bool:
        """True for another video, and for the same one from an earlier start; notes the result."""
        last, start_s = self._last, seconds(result)[0]
        self._last = (result.ref.id, result.ref.path, start_s)
        return last is None or last[:2] != self._last[:2] or start_s < last[2]


class OneVideo:
    """Refuses a second video in a file that holds one."""

    def __init__(self, format: str) -> None:
        self._format = format
        self._turn = Turn()
        self._num_videos = 0

    def check(self, result: Prediction) -> None:
        """Raise UsageError if `result` is of a second video."""
        self._num_videos += self._turn.is_new(result)
        if self._num_videos > 1:
            raise UsageError(
                f"--format {self._format}: a file holds one video (got a second, {result.ref.id})",
                hint=f"-o FOLDER/ --format {self._format}",
            )
