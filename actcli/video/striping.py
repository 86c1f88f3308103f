"""One long video read by several decode processes, each a share of its blocks.

Runs of blocks go around: with two processes, blocks 0 1 4 5 8 9 are one's, 2 3 6 7 10 11 the
other's. A process reads as far ahead as its run is long, so all are busy while blocks are taken in
order. This takes a video of which frames can be looked up; of any other, and of what is left when a
share fails, the rest is read by one process, which also says what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from actcli.errors import VideoError
from actcli.windows import BLOCKS_AHEAD, WindowBlock, WindowsRef

WHOLE: Final = -1
"""The share of one process that reads all that is left."""


class StripedVideo:
    """The blocks of a video that come from several jobs, put in order.

    request: for all blocks from its first on
    """

    def __init__(self, request: WindowsRef, stripes: int) -> None:
        self._request = request
        self.shares = [replace(request, stripe=i, stripes=stripes) for i in range(stripes)]
        self._next = request.first_block
        self._waiting: dict[int, WindowBlock] = {}
        self._first_whole: int | None = None
        """The block from which on one process reads all, once that is so."""

    def take(
        self, share: int, result: WindowBlock | VideoError | None
    ) -> Iterator[WindowBlock | VideoError | None]:
        """What is known next, in order, now that a share had a result; None ends the video."""
        if self._first_whole is not None:
            if share == WHOLE:
                yield result
            return
        if isinstance(result, WindowBlock):
            self._waiting[result.number] = result
        while (block := self._waiting.pop(self._next, None)) is not None:
            self._next += 1
            yield block
            if block.is_last:
                yield None

    def whole_rest(self) -> WindowsRef | None:
        """A share failed: what one process must read instead; None if one does already."""
        if self._first_whole is not None:
            return None
        self._first_whole = self._next
        self._waiting.clear()
        return replace(self._request, first_block=self._next)

    def share_of(self, block: int) -> int:
        """Whose block it is."""
        if self._first_whole is not None and block >= self._first_whole:
            return WHOLE
        return block // BLOCKS_AHEAD % len(self.shares)
