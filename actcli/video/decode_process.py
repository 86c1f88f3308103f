"""One decode process as its pool sees it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

from actcli.types import VideoRef
from actcli.video.bounds import Bounds
from actcli.video.messages import Answer, MessageError, receive
from actcli.video.spawning import interrupts_blocked, main_hidden
from actcli.video.worker import Read, ReadBlocks, serve
from actcli.windows import BLOCKS_AHEAD, WindowBlock, WindowsRef

_ANSWER_S = 20.0
"""For an answer to arrive that has begun to: hundreds of times what it takes."""
_STARTUP_S = 300.0  # a cold import of torch on a loaded machine
KILLED: Final = "signal 9"
OVERTIME: Final = "signal 24"
"""SIGXCPU: the processor time of `Bounds` is used up."""


@dataclass(slots=True, eq=False)
class DecodeProcess:
    """A process, the pipe to it, and what it is at."""

    process: BaseProcess
    connection: Connection
    deadline: float
    is_online: bool
    """May use a network."""
    is_ready: bool = False
    job: tuple[tuple[int, int], VideoRef | WindowsRef] | None = None
    ahead: int = 0
    """Blocks of the job that nobody took yet."""
    last_block: int = -1
    """Of the job."""

    @property
    def is_idle(self) -> bool:
        """Ready for a job, and without one."""
        return self.is_ready and self.job is None

    @property
    def is_late(self) -> bool:
        """Past its deadline, with a job or on its way up."""
        return not self.is_idle and time.monotonic() >= self.deadline

    def receive(self, max_bytes: int) -> Answer:
        """Its next answer, of so many pixels at most; as `messages.receive`.

        One that stops or dawdles in the middle of it must not stop us.
        """
        timer = threading.Timer(_ANSWER_S, self.process.kill)
        timer.start()
        try:
            return receive(self.connection, max_bytes)
        finally:
            timer.cancel()

    def check_block(self, block: WindowBlock) -> None:
        """Raise MessageError if it sends more than it may, or what was there already."""
        if self.ahead >= BLOCKS_AHEAD or block.number <= self.last_block:
            raise MessageError("a block that nobody waits for")
        self.last_block = block.number

    def how_it_died(self) -> str:
        """ "signal 11", "exit code 1"."""
        code = self.process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def end(self) -> None:
        """Kill it, busy or not, and wait until it is gone."""
        self.process.kill()
        self.process.join(5)
        self.connection.close()


def start_process(
    context: Any, read: Read | ReadBlocks, bounds: Bounds, *, is_online: bool
) -> DecodeProcess:
    """A process that says when it is ready.

    context: of multiprocessing
    Raises OSError or AssertionError where none can be started.
    """
    ours, theirs = context.Pipe()
    process = context.Process(
        target=serve, args=(theirs, read, bounds, is_online), daemon=True, name="actcli-decode"
    )
    with interrupts_blocked(), main_hidden():
        process.start()
    theirs.close()
    return DecodeProcess(process, ours, time.monotonic() + _STARTUP_S, is_online)
