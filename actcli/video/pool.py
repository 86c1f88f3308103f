"""Decode processes under a watchdog: jobs go in, clips or errors come out, in any order.

Frames travel through a pipe: at 1.2 MB a clip that costs about a millisecond against tens for the
decode, and unlike shared memory it leaves nothing behind when the parent is killed, and cannot
overrun the small /dev/shm of a container.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from actcli.errors import ResourceError, VideoError
from actcli.types import Clip, VideoRef
from actcli.video.spawning import interrupts_blocked, main_hidden
from actcli.video.worker import (
    BLOCKS_AHEAD,
    GO,
    BlockHeader,
    ClipHeader,
    Read,
    ReadBlocks,
    receive_block,
    receive_clip,
    serve,
)
from actcli.windows import Beat, WindowBlock, WindowsRef

log = logging.getLogger("actcli.video.pool")

_STARTUP_S = 300.0  # a cold import of torch on a loaded machine
_MAX_FAILED_STARTS = 3
# The fork server imports these once, so that each further worker starts in milliseconds.
_PRELOAD = ("actcli.video.worker", "actcli.video.clips", "torch")

Result = Clip | WindowBlock | VideoError | None
"""None ends a video that came in blocks."""
Deliver = Callable[[int, Result], None]


@dataclass(slots=True, eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection
    deadline: float
    ready: bool = False
    job: tuple[int, VideoRef | WindowsRef] | None = None
    ahead: int = 0
    """Blocks of the job that nobody took yet."""


class DecodePool:
    """At most `size` processes; one thread feeds them, collects, kills and replaces.

    read: runs in the workers; picklable; raises VideoError for what can't be read.
    timeout_s: wall time for one clip, block or beat; a worker that takes longer is killed and
        replaced.
    deliver: called in the pool's thread with (job number, result) for every job, once; for a video
        in blocks with each of them, then with None or an error.
    fail: called there if the pool can't go on; then no more is delivered.
    """

    def __init__(
        self,
        size: int,
        read: Read | ReadBlocks,
        timeout_s: float,
        deliver: Deliver,
        fail: Callable[[Exception], None],
    ) -> None:
        self._size = size
        self._read = read
        self._timeout_s = timeout_s
        self._deliver = deliver
        self._fail = fail
        self._context: Any  # the two contexts share no base that has Process
        if "forkserver" in multiprocessing.get_all_start_methods():
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload(list(_PRELOAD))
        else:
            self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._jobs: deque[tuple[int, VideoRef | WindowsRef]] = deque()
        self._failed_starts = 0
        self._closing = False
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = self._context.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._run, daemon=True, name="actcli-pool")

    def start(self) -> None:
        """Start the first worker and the thread; the others start when there is work for them.

        Raises ResourceError where processes can't be started: in a daemonic process, or in one
        that was forked from another that had workers.
        """
        try:
            self._spawn()
        except (OSError, AssertionError) as error:
            raise ResourceError(
                f"decode workers: cannot start one ({error})",
                hint="--workers 0 decodes in this process",
            ) from error
        self._thread.start()

    def submit(self, number: int, ref: VideoRef | WindowsRef) -> None:
        """Queue a job; `deliver` will be called with its number."""
        with self._lock:
            if self._closing:
                return
            self._jobs.append((number, ref))
            self._wake_write.send_bytes(b"j")

    def go_on(self, number: int) -> None:
        """A block of the job was taken: its worker may send another."""
        with self._lock:
            for worker in self._workers:
                if worker.job is not None and worker.job[0] == number and not self._closing:
                    worker.ahead -= 1
                    worker.deadline = time.monotonic() + self._timeout_s
                    with suppress(OSError):  # it died: the pool's thread finds out
                        worker.connection.send(GO)
                    self._wake_write.send_bytes(b"g")

    def close(self) -> None:
        """Kill every worker, busy or not, and wait until they are gone."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._wake_write.send_bytes(b"c")
        if self._thread.is_alive():
            self._thread.join(10)
        for worker in list(self._workers):
            self._discard(worker)
        self._wake_read.close()
        self._wake_write.close()

    def _run(self) -> None:
        try:
            while not self._closing:
                self._assign()
                self._wait()
        except OSError as error:
            self._fail(ResourceError(f"decode workers: cannot start one ({error})"))
        except Exception as error:  # a consumer that waits must hear of it, whatever it is
            self._fail(error)

    def _wait(self) -> None:
        """Wait for a result, a new job or a deadline, and deal with it."""
        deadlines = [w.deadline for w in self._workers if w.job is not None or not w.ready]
        soonest = min(deadlines, default=math.inf)
        timeout = None if soonest == math.inf else max(0.0, soonest - time.monotonic())
        ready = wait([self._wake_read, *(w.connection for w in self._workers)], timeout)
        if self._closing:
            return
        if self._wake_read in ready:
            self._wake_read.recv_bytes()
        for worker in list(self._workers):
            if worker.connection in ready:
                self._collect(worker)
            elif time.monotonic() >= worker.deadline and (worker.job or not worker.ready):
                self._expire(worker)

    def _assign(self) -> None:
        """Hand queued jobs to idle workers, and start workers while more jobs wait than will."""
        with self._lock:
            for worker in self._workers:
                if worker.ready and worker.job is None and self._jobs:
                    worker.job = self._jobs.popleft()
                    worker.deadline = time.monotonic() + self._timeout_s
                    try:
                        worker.connection.send(worker.job[1])
                    except OSError:  # it died while idle, which is not this clip's fault
                        self._jobs.appendleft(worker.job)
                        worker.job = None
                        worker.ready = False
            starting = sum(not worker.ready for worker in self._workers)
            wanted = min(len(self._jobs) - starting, self._size - len(self._workers))
        for _ in range(wanted):
            self._spawn()

    def _collect(self, worker: _Worker) -> None:
        try:
            result = _receive(worker)
        except (EOFError, OSError):
            self._bury(worker)
            return
        if worker.job is None:
            assert result == "ready", "a worker without a job has nothing else to say"
            worker.ready = True
            self._failed_starts = 0
            return
        if isinstance(result, Beat):
            worker.deadline = time.monotonic() + self._timeout_s
            return
        number = worker.job[0]
        with self._lock:
            if isinstance(result, WindowBlock):
                worker.ahead += 1
                # A worker that waits for us is not stuck.
                is_waiting = worker.ahead >= BLOCKS_AHEAD
                worker.deadline = math.inf if is_waiting else time.monotonic() + self._timeout_s
            else:
                worker.job, worker.ahead = None, 0
        self._deliver(number, result)

    def _bury(self, worker: _Worker) -> None:
        """A worker died: its video pays, and a new worker starts when there is work."""
        self._discard(worker)
        code = worker.process.exitcode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        if worker.job is not None:
            error = VideoError(
                "crashed",
                f"the decoder crashed on this file ({how})",
                hint="the file may be damaged or hostile; the other videos are not affected",
            )
            self._deliver(worker.job[0], error)
        elif not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise ResourceError(
                    f"decode workers: {self._failed_starts} died while starting ({how})",
                    hint="try --workers 0, which decodes in the main process",
                )

    def _expire(self, worker: _Worker) -> None:
        if worker.job is None:
            worker.process.kill()  # never came up: its closing pipe counts as a failed start
            worker.deadline = math.inf
            return
        self._discard(worker)
        error = VideoError(
            "timeout",
            f"not decoded after {self._timeout_s:g} s",
            hint="--timeout SECONDS gives it longer",
        )
        self._deliver(worker.job[0], error)

    def _discard(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.kill()
        worker.process.join(5)
        worker.connection.close()

    def _spawn(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve,
            args=(theirs, self._read),
            daemon=True,
            name="actcli-decode",
        )
        with interrupts_blocked(), main_hidden():
            process.start()
        theirs.close()
        self._workers.append(_Worker(process, ours, time.monotonic() + _STARTUP_S))


def _receive(worker: _Worker) -> Any:
    """The next answer of a worker, with its pixels; raises EOFError or OSError if it dies."""
    result = worker.connection.recv()
    if worker.job is not None:
        request = worker.job[1]
        ref = request.video if isinstance(request, WindowsRef) else request
        if isinstance(result, ClipHeader):
            return receive_clip(worker.connection, result, ref)
        if isinstance(result, BlockHeader):
            return receive_block(worker.connection, result, ref)
    return result
