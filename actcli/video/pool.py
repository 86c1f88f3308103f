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
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from actcli.errors import ResourceError, VideoError
from actcli.paths import is_remote
from actcli.types import Clip, VideoRef
from actcli.video import sandbox
from actcli.video.bounds import Bounds
from actcli.video.decode_process import KILLED, OVERTIME, DecodeProcess, start_process
from actcli.video.messages import MessageError, Ready, StillAtWork
from actcli.video.spawning import prepare_start
from actcli.video.worker import GO, Read, ReadBlocks
from actcli.windows import BLOCKS_AHEAD, WindowBlock, WindowsRef

log = logging.getLogger("actcli.video.pool")

_MAX_FAILED_STARTS = 3
# The fork server imports these once, so that each further worker starts in milliseconds.
_PRELOAD = ("actcli.video.worker", "actcli.video.clips", "torch")
_LOOK_S = 1.0
"""After so long all is looked at again, whether or not anything woke us."""
_STOPPED_S = 1.0
"""Later than this awake again, we were stopped, and our workers with us."""

Result = Clip | WindowBlock | VideoError | None
"""None ends a video that came in blocks."""
Job = tuple[int, int]
"""The number of a request, and which share of it; pools tell jobs apart and no more."""
Deliver = Callable[[Job, Result], None]


class DecodePool:
    """At most `size` processes; one thread feeds them, collects, kills and replaces.

    read: runs in the workers; picklable; raises VideoError for what can't be read.
    bounds: what one process may take; a worker that takes longer for a clip, block or beat is
        killed and replaced.
    deliver: called in the pool's thread with (job, result) for every job, once; for a video
        in blocks with each of them, then with None or an error.
    fail: called there if the pool can't go on; then no more is delivered.
    """

    def __init__(
        self,
        size: int,
        read: Read | ReadBlocks,
        bounds: Bounds,
        deliver: Deliver,
        fail: Callable[[Exception], None],
    ) -> None:
        self._size = size
        self._read = read
        self._fits: Callable[[tuple[int, ...]], bool] = getattr(read, "fits", lambda shape: True)
        self._bounds = bounds
        self._deliver = deliver
        self._fail = fail
        self._context: Any  # the two contexts share no base that has Process
        if "forkserver" in multiprocessing.get_all_start_methods():
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload(list(_PRELOAD))
        else:
            self._context = multiprocessing.get_context("spawn")
        self._workers: list[DecodeProcess] = []
        self._jobs: deque[tuple[Job, VideoRef | WindowsRef]] = deque()
        self._failed_starts = 0
        self._closing = False
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = self._context.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._run, daemon=True, name="actcli-pool")

    def start(self) -> None:
        """Start the thread and in it the first worker; the others start when there is work.

        Raises ResourceError where processes can't be started: in a daemonic process, or in one
        that was forked from another that had workers; or where they must be locked in and can't.
        """
        if self._bounds.sandbox == "require":
            sandbox.require()
        try:
            prepare_start(self._context)
        except (OSError, AssertionError) as error:
            raise ResourceError(
                f"decode workers: cannot start one ({error})",
                hint="--workers 0 decodes in this process",
            ) from error
        self._thread.start()

    def submit(self, job: Job, ref: VideoRef | WindowsRef) -> None:
        """Queue a job; `deliver` will be called with it."""
        with self._lock:
            if self._closing:
                return
            self._jobs.append((job, ref))
            self._wake_write.send_bytes(b"j")

    def cancel(self, number: int) -> None:
        """Drop all jobs of a request; to be called in `deliver`, which hears no more of them."""
        with self._lock:
            left = [item for item in self._jobs if item[0][0] != number]
            self._jobs.clear()
            self._jobs.extend(left)
        for worker in list(self._workers):
            if worker.job is not None and worker.job[0][0] == number:
                self._discard(worker)

    def go_on(self, job: Job) -> None:
        """A block of the job was taken: its worker may send another."""
        with self._lock:
            for worker in list(self._workers):
                if worker.job is not None and worker.job[0] == job and not self._closing:
                    worker.ahead -= 1
                    worker.deadline = self._next_deadline()
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
            self._spawn(is_online=False)
            while not self._closing:
                self._assign()
                self._wait()
        except OSError as error:
            self._fail(ResourceError(f"decode workers: cannot start one ({error})"))
        except Exception as error:  # a consumer that waits must hear of it, whatever it is
            self._fail(error)

    def _next_deadline(self) -> float:
        return time.monotonic() + self._bounds.timeout_s

    def _wait(self) -> None:
        """Wait for a result, a new job or a deadline, and deal with it."""
        deadlines = [w.deadline for w in self._workers if not w.is_idle]
        soonest = min(deadlines, default=math.inf)
        timeout = max(0.0, min(_LOOK_S, soonest - time.monotonic()))
        ready = wait([self._wake_read, *(w.connection for w in self._workers)], timeout)
        if self._closing:
            return
        if time.monotonic() - soonest > _STOPPED_S:
            for worker in self._workers:
                worker.deadline = max(worker.deadline, self._next_deadline())
        if self._wake_read in ready and self._wake_read.poll():
            self._wake_read.recv_bytes()
        for worker in list(self._workers):
            if worker not in self._workers:
                continue  # the one before was cancelled, and this one with it
            if worker.connection in ready:
                self._collect(worker)
            elif worker.is_late:
                self._expire(worker)

    def _assign(self) -> None:
        """Hand queued jobs to idle workers, and start workers while more jobs wait than will."""
        with self._lock:
            for worker in self._workers:
                if worker.is_idle:
                    self._give_job(worker)
            starting = Counter(w.is_online for w in self._workers if not w.is_ready)
            wanted = Counter(_needs_network(request) for _, request in self._jobs) - starting
        for is_online in wanted.elements():
            if len(self._workers) >= self._size:
                idle = (w for w in self._workers if w.is_idle)
                if (useless := next(idle, None)) is None:
                    return
                self._discard(useless)  # it is of the other kind, or it would have got a job
            self._spawn(is_online=is_online)

    def _give_job(self, worker: DecodeProcess) -> None:
        """The first queued job of a worker's kind, if there is one."""
        for job in self._jobs:
            if _needs_network(job[1]) == worker.is_online:
                break
        else:
            return
        self._jobs.remove(job)
        worker.job = job
        worker.deadline = self._next_deadline()
        try:
            worker.connection.send(job[1])
        except OSError:  # it died while idle, which is not this clip's fault
            self._jobs.appendleft(job)
            worker.job = None
            worker.is_ready = False

    def _collect(self, worker: DecodeProcess) -> None:
        try:
            answer = worker.receive(self._bounds.answer_bytes)
            if worker.job is None:
                if not isinstance(answer.head, Ready):
                    raise MessageError("an answer that nobody asked for")
                worker.is_ready = True
                self._failed_starts = 0
                return
            job, request = worker.job
            if isinstance(answer.head, StillAtWork) and isinstance(request, WindowsRef):
                worker.deadline = self._next_deadline()
                return
            result = answer.of(request)
            if isinstance(result, WindowBlock):
                worker.check_block(result)
            elif isinstance(result, Clip) and not self._fits(result.frames.shape):
                raise MessageError("pictures of another shape than was asked for")
        except (EOFError, OSError, MessageError, ValueError) as error:
            self._bury(worker, error)
            return
        with self._lock:
            if isinstance(result, WindowBlock):
                worker.ahead += 1
                # A worker that waits for us is not stuck.
                is_waiting = worker.ahead >= BLOCKS_AHEAD
                worker.deadline = math.inf if is_waiting else self._next_deadline()
            else:
                worker.job, worker.ahead, worker.last_block = None, 0, -1
        self._deliver(job, result)

    def _bury(self, worker: DecodeProcess, reason: Exception) -> None:
        """A worker died: its video pays, and a new worker starts when there is work."""
        self._discard(worker)
        how = str(reason) if isinstance(reason, MessageError) else worker.how_it_died()
        if worker.job is not None:
            self._deliver(worker.job[0], self._death(how))
        elif not worker.is_ready:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise ResourceError(
                    f"decode workers: {self._failed_starts} died while starting ({how})",
                    hint="try --workers 0, which decodes in the main process",
                )

    def _death(self, how: str) -> VideoError:
        """What a worker's death says of the video that it had."""
        if how == OVERTIME:
            return self._too_slow()
        hint = "the file may be damaged or hostile; the other videos are not affected"
        if how == KILLED:
            hint = "the system may lack memory: fewer --workers"
        return VideoError("crashed", f"the decoder crashed on this file ({how})", hint=hint)

    def _too_slow(self) -> VideoError:
        return VideoError(
            "timeout",
            f"not decoded after {self._bounds.timeout_s:g} s",
            hint="--timeout SECONDS gives it longer",
        )

    def _expire(self, worker: DecodeProcess) -> None:
        if worker.job is None:
            worker.process.kill()  # never came up: its closing pipe counts as a failed start
            worker.deadline = math.inf
            return
        self._discard(worker)
        self._deliver(worker.job[0], self._too_slow())

    def _discard(self, worker: DecodeProcess) -> None:
        self._workers.remove(worker)
        worker.end()

    def _spawn(self, *, is_online: bool) -> None:
        self._workers.append(
            start_process(self._context, self._read, self._bounds, is_online=is_online)
        )


def _needs_network(request: VideoRef | WindowsRef) -> bool:
    ref = request.video if isinstance(request, WindowsRef) else request
    return is_remote(ref.path)
