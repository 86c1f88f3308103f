"""How decode processes are started: without our signals, and without the caller's script."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Ctrl-C reaches the whole terminal group: children inherit a mask and leave it to us."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The fork server needs it and would start it, which ends in unblocking what we block.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def prepare_start(context: Any) -> None:
    """Begin what the first process of a context needs, without waiting until it is there.

    A fork server imports for seconds before it forks, and whoever starts a process waits for it.
    Raises OSError or AssertionError where no process can be started.
    """
    if multiprocessing.current_process().daemon:
        raise AssertionError("daemonic processes are not allowed to have children")
    if context.get_start_method() == "forkserver":
        from multiprocessing import forkserver

        with interrupts_blocked(), main_hidden():
            forkserver.ensure_running()


_MAIN_LOCK = threading.Lock()


@contextmanager
def main_hidden() -> Iterator[None]:
    """Children must not import the caller's script: without a main guard it would start again."""
    with _MAIN_LOCK:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
