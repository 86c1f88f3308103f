"""How the program ends before its time: SIGINT, SIGTERM, a closed pipe.

The first signal raises `Stopped` in the main thread, so that workers go and files are completed on
the way out. That alone is not enough: a main thread inside a library hears of a signal only when
it comes back, and an exception that is raised inside a callback of a library gets lost there. So a
second thread, which hears of signals at once, raises it again, and ends the process in the end.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, NoReturn

EXIT_OF_SIGNAL: Final = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}
SIGNALLED: Final[list[int]] = []
"""Signals that arrived, in order."""

_AGAIN_S: Final = 0.4
_AT_MOST_S: Final = 1.5
_limit_s: list[float] = [_AT_MOST_S]


class Stopped(BaseException):
    """SIGINT or SIGTERM arrived: unwind, so that workers are gone and files are whole."""


_raised: list[weakref.ref[Stopped]] = []


@contextmanager
def unwinding_may_take(seconds: float) -> Iterator[None]:
    """While the block runs, a signal leaves so much time to complete what was begun.

    For what is lost, or is no valid file, unless it is completed.
    """
    _limit_s.append(seconds)
    try:
        yield
    finally:
        _limit_s.pop()


def heed_signals() -> None:
    """From now on SIGINT and SIGTERM end the program in order, and soon."""
    for number in EXIT_OF_SIGNAL:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells set it
            signal.signal(number, _stop)
    if os.name != "posix":
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(read,), daemon=True, name="actcli-signals").start()


def leave_at_signals() -> None:
    """From now on nothing is left to unwind: a signal ends the program on the spot."""
    for number in EXIT_OF_SIGNAL:
        if signal.getsignal(number) is _stop:
            signal.signal(number, _leave_now)


def leave_as_signalled() -> NoReturn:
    """End with the code of the first signal that arrived."""
    leave(*EXIT_OF_SIGNAL[signal.Signals(SIGNALLED[0])])


def leave(code: int, message: str = "") -> NoReturn:
    """End now: threads that wait on stdin or on a decoder must not delay it."""
    with suppress(OSError):  # whoever read us is gone
        if message:
            print(message, file=sys.stderr)
        sys.stderr.flush()
        sys.stdout.flush()
    _end_fork_server()
    os._exit(code)


def _stop(number: int, frame: FrameType | None) -> None:
    SIGNALLED.append(number)
    if os.name == "posix" and _is_importing(frame):
        return  # libraries in C++ abort when an exception meets them there; the watch asks again
    raise _new_stopped()


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _leave_now(number: int, frame: object) -> NoReturn:
    leave(*EXIT_OF_SIGNAL[signal.Signals(number)])


def _new_stopped() -> Stopped:
    """Remembered weakly, and by no frame of its traceback: it is gone once nobody raises it."""
    error = Stopped()
    _raised.append(weakref.ref(error))
    return error


def _is_unwinding() -> bool:
    return any(known() is not None for known in _raised)


def _watch(read: int) -> None:
    """Runs in a thread of its own; the bytes in the pipe are numbers of signals."""
    main = threading.main_thread().ident
    assert main is not None, "the main thread runs"
    while True:
        number = os.read(read, 1)[0]
        if number in EXIT_OF_SIGNAL and signal.getsignal(number) is _stop:
            break
    began = time.monotonic()
    while (passed_s := time.monotonic() - began) < _limit_s[-1]:
        if passed_s >= _AGAIN_S and not _is_unwinding():
            signal.pthread_kill(main, number)
        time.sleep(_AGAIN_S / 2)
    SIGNALLED.append(number)
    leave_as_signalled()


def _end_fork_server() -> None:
    """It would go by itself, but maybe only after seconds of imports, and its folder would stay."""
    server = sys.modules.get("multiprocessing.forkserver")
    if server is None:
        return
    from multiprocessing import util

    number = getattr(server._forkserver, "_forkserver_pid", None)
    if number is not None:
        with suppress(OSError):
            os.kill(number, signal.SIGKILL)
    folder = util.get_temp_dir()
    if os.path.dirname(folder) == tempfile.gettempdir():
        shutil.rmtree(folder, ignore_errors=True)
