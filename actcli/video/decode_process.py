"""One decode process as its pool sees it."""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

from actcli.types import VideoRef
from actcli.video.bounds import Bounds
from actcli.video.spawning import interrupts_blocked, main_hidden
from actcli.video.worker import Read, ReadBlocks, serve
from actcli.windows import WindowsRef

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

    @property
    def is_idle(self) -> bool:
        """Ready for a job, and without one."""
        return self.is_ready and self.job is None

    @property
    def is_late(self) -> bool:
        """Past its deadline, with a job or on its way up."""
        return not self.is_idle and time.monotonic() >= self.deadline

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
    _bound_reads(ours, bounds.timeout_s)
    return DecodeProcess(process, ours, time.monotonic() + _STARTUP_S, is_online)


def _bound_reads(connection: Connection, timeout_s: float) -> None:
    """A worker that stops in the middle of an answer must not stop us."""
    if sys.platform == "win32":
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as pipe:
        timeout = struct.pack("ll", int(timeout_s) + 1, 0)
        pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)
