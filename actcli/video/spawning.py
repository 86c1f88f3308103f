"""How decode processes are started: without our signals, and without the caller's script."""

from __future__ import annotations

import signal
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


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
