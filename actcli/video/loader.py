"""Videos to clips: decoding runs ahead of the consumer, inside a bounded window, in order.

Three threads share the work. The feeder pulls requests (which may block on stdin); the pool's
thread hands jobs to processes; the consumer iterates `load` and sees results in request order.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, cast

from actcli.errors import ResourceError, VideoError
from actcli.types import Clip, Failure, VideoRef
from actcli.video.bounds import Bounds
from actcli.video.cores import auto_workers
from actcli.video.pool import DecodePool, Job, Result
from actcli.video.striping import WHOLE, StripedVideo
from actcli.video.worker import Read, ReadBlocks, read_blocks, read_or_error
from actcli.windows import BLOCKS_AHEAD, Beat, WindowBlock, WindowsRef

if TYPE_CHECKING:
    from actcli.config import LimitsConfig

log = logging.getLogger("actcli.video.loader")


class Idle:
    """Yielded by `Loader.load` when nothing became ready for a while: a chance to flush."""


IDLE: Final = Idle()
IDLE_AFTER_S = 0.5
_WINDOW_BYTES = 1 << 30


class Loader:
    """Decodes videos ahead of whoever iterates `load`.

    read: gives the clip of one video, or the blocks of its windows, or raises VideoError; must be
        picklable for workers.
    workers: decode processes; 0 decodes in this process, in the feeder's thread, without a
        watchdog.
    bounds: what one worker may take.
    window: videos that may be on their way at once; see `window_size`.
    stripes: workers that read one video in windows between them.

    Use as a context manager: leaving it kills the workers, also in the middle of a decode.
    """

    def __init__(
        self,
        read: Read | ReadBlocks,
        *,
        workers: int,
        bounds: Bounds,
        window: int,
        stripes: int = 1,
    ) -> None:
        if not workers:
            bounds.refuse_this_process()
        self.workers = workers
        self._bounds = bounds
        self._read = read
        self._window = max(window, 1)
        self._condition = threading.Condition()
        self._stripes = stripes if workers else 1
        self._striped: dict[int, StripedVideo] = {}
        self._results: dict[int, deque[object]] = {}
        self._requests: dict[int, VideoRef] = {}
        self._fed = 0
        self._taken = 0
        self._ended = False
        self._error: Exception | None = None
        """Raised by the requests: after the results that came before it."""
        self._fatal: Exception | None = None
        """Raised by the pool: at once."""
        self._closed = False
        self._is_started = False
        self._pool = (
            DecodePool(workers, read, bounds, self._collect, self._break) if workers else None
        )

    def start(self) -> Loader:
        """Start the first worker now, so that it gets ready while the caller loads a model.

        Without this it starts with the first video that must be decoded, if one must.
        """
        if self._pool is not None:
            self._pool.start()
        self._is_started = True
        return self

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the workers and let go of everything; safe to call twice."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        if self._pool is not None:
            self._pool.close()
        self._results.clear()

    def load(self, requests: Iterable[object]) -> Iterator[object]:
        """Yield a `Clip` or `Failure` for each `VideoRef`, in order; call it once.

        For each `WindowsRef` come `WindowBlock`s, and a `Failure` if these are not all. Any other
        request passes through in its place. `IDLE` is yielded when nothing was ready for half a
        second. What `requests` raises is raised here, after the results that came before it.
        Decoding starts now, not at the first `next`.
        """
        threading.Thread(
            target=self._feed, args=(iter(requests),), daemon=True, name="actcli-feeder"
        ).start()
        return self._drain()

    def _drain(self) -> Iterator[object]:
        while True:
            with self._condition:
                item: object = IDLE
                if self._condition.wait_for(self._has_news, IDLE_AFTER_S):
                    if self._fatal is not None:
                        raise self._fatal
                    if self._taken not in self._results:
                        break
                    item = self._take()
            if item is not None:
                yield item
        if self._error is not None:
            raise self._error

    def _take(self) -> object:
        """The next result; None if a video in blocks has ended."""
        number, waiting = self._taken, self._results[self._taken]
        item = waiting.popleft()
        ref = self._requests.get(number)
        if not waiting:
            del self._results[number]
        if isinstance(item, WindowBlock):
            if self._pool is not None:
                striped = self._striped.get(number)
                self._pool.go_on((number, striped.share_of(item.number) if striped else WHOLE))
        else:
            self._requests.pop(number, None)
            self._striped.pop(number, None)
            self._taken += 1
        self._condition.notify_all()
        if isinstance(item, VideoError):
            assert ref is not None, "only videos fail"
            return Failure(ref, item)
        return item

    def _has_news(self) -> bool:
        has_ended = self._ended and self._taken >= self._fed
        return self._taken in self._results or has_ended or self._fatal is not None

    def _feed(self, requests: Iterator[object]) -> None:
        try:
            for request in requests:
                with self._condition:
                    self._condition.wait_for(
                        lambda: self._closed or self._fed - self._taken < self._window
                    )
                    if self._closed:
                        return
                    number, self._fed = self._fed, self._fed + 1
                    ref = request.video if isinstance(request, WindowsRef) else request
                    if isinstance(ref, VideoRef):
                        self._requests[number] = ref
                self._dispatch(number, request)
        except Exception as error:
            self._error = error
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def _dispatch(self, number: int, request: object) -> None:
        if not isinstance(request, VideoRef | WindowsRef):
            self._finish(number, request)
            return
        if not self._is_started:
            self._start_late()
        if self._pool is not None and isinstance(request, WindowsRef) and self._stripes > 1:
            self._dispatch_shares(self._pool, number, request)
        elif self._pool is not None:
            self._pool.submit((number, WHOLE), request)
        elif isinstance(request, WindowsRef):
            self._read_blocks(number, request)
        else:
            self._finish(number, read_or_error(request, cast("Read", self._read)))

    def _dispatch_shares(self, pool: DecodePool, number: int, request: WindowsRef) -> None:
        """One video after another: what waits for its turn must not keep a share from a worker."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or not self._striped)
            striped = self._striped[number] = StripedVideo(request, self._stripes)
        for share in striped.shares:
            pool.submit((number, share.stripe), share)

    def _read_blocks(self, number: int, request: WindowsRef) -> None:
        """Here in the feeder's thread, so many ahead as a worker would be."""
        found = read_blocks(request, cast("ReadBlocks", self._read))
        for block in (item for item in found if not isinstance(item, Beat)):
            with self._condition:
                self._condition.wait_for(
                    lambda: self._closed or len(self._results.get(number, ())) < BLOCKS_AHEAD
                )
                if self._closed:
                    return
            self._finish(number, block)
            if isinstance(block, VideoError):
                return
        self._finish(number, None)

    def _start_late(self) -> None:
        with self._condition:  # so that closing waits for it, and finds what to close
            if self._closed:
                return
            try:
                self.start()
            except ResourceError as error:
                self._bounds.refuse_this_process()
                log.warning("%s: decoding in this process instead", error.message)
                self._pool, self._is_started = None, True

    def _collect(self, job: Job, result: Result) -> None:
        """Take what the pool has of a job."""
        number, share = job
        striped = self._striped.get(number)
        if striped is None:
            if share == WHOLE:
                self._finish(number, result)
            return
        assert not isinstance(result, Clip), "shares are of videos in windows"
        if isinstance(result, VideoError) and (rest := striped.whole_rest()) is not None:
            assert self._pool is not None, "results come from it"
            self._pool.cancel(number)
            self._pool.submit((number, WHOLE), rest)
            return
        for item in striped.take(share, result):
            self._finish(number, item)

    def _finish(self, number: int, result: object) -> None:
        with self._condition:
            self._results.setdefault(number, deque()).append(result)
            self._condition.notify_all()

    def _break(self, error: Exception) -> None:
        with self._condition:
            self._fatal = error
            self._condition.notify_all()


def start_loader(
    read: Read | ReadBlocks,
    workers: int | None,
    limits: LimitsConfig,
    *,
    batch_size: int,
    clip_bytes: int,
    is_eager: bool = True,
    num_films: int | None = None,
) -> Loader:
    """A loader whose first worker is on its way, or, if not eager, waits for the first video.

    workers: decode processes; None is one per core, or none where they can't be started
    batch_size: videos that the consumer takes at once
    clip_bytes: pixels of one video that may wait; no answer of a worker has more
    num_films: videos to be read in windows, if known: those of a few are read by all workers
    """

    def start(count: int) -> Loader:
        window = window_size(count, batch_size, clip_bytes)
        opens = getattr(read, "opens_devices", False)
        bounds = Bounds.of(limits, clip_bytes, opens_devices=opens)
        stripes = count if num_films is not None and num_films < count else 1
        loader = Loader(read, workers=count, bounds=bounds, window=window, stripes=stripes)
        return loader.start() if is_eager else loader

    if workers is not None or limits.sandbox == "require":
        return start(auto_workers() if workers is None else workers)
    try:
        return start(auto_workers())
    except ResourceError as error:
        log.warning("%s: decoding in this process instead", error.message)
        return start(0)


def window_size(workers: int, batch_size: int, clip_bytes: int) -> int:
    """How many videos may be on their way: enough to keep all busy, within a gigabyte."""
    return max(workers + 1, min(2 * workers + batch_size, _WINDOW_BYTES // clip_bytes))
