"""The hub's client as we want it: silent, with our limits, and reporting what it receives.

The client reads its environment when it is imported, so it is imported when the first download
is needed and not before; what our settings say is passed to it each time.
"""

from __future__ import annotations

import logging
import queue
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol, TypeVar

from actcli.models.hub_cache import HubSettings

log = logging.getLogger("actcli.models.hub")

Result = TypeVar("Result")

_CHUNK_BYTES: Final = 1 << 20  # the client's 10 MiB would move a bar once in a while only


class DownloadReport(Protocol):
    """Who is told how a download goes."""

    def begin(self, name: str, num_bytes: int | None, source: str) -> None:
        """A file of this size is about to be downloaded for the model `name`."""

    def advance(self, num_bytes: int) -> None:
        """So many bytes more have arrived; fewer than none when a transfer starts over."""

    def end(self) -> None:
        """It is over, one way or the other."""


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """The result of a call, or TimeoutError: looking up a host's name knows no limit of its own."""
    done: queue.SimpleQueue[tuple[Result | None, Exception | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put((call(), None))
        except Exception as error:
            done.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        value, error = done.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


@contextmanager
def client(settings: HubSettings) -> Iterator[None]:
    """The client as we want it, for as long as it works for us: silent, and with our limits.

    What its module says otherwise belongs to the program that we are part of, and is put back.
    """
    from huggingface_hub import constants

    wanted: dict[str, Any] = {
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_TELEMETRY": True,
        # One way for all files, and one whose faults our tests provoke.
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DOWNLOAD_TIMEOUT": settings.stall_timeout_s,
        "DOWNLOAD_CHUNK_SIZE": _CHUNK_BYTES,
    }
    before = {name: getattr(constants, name) for name in wanted}
    logger = logging.getLogger("huggingface_hub")
    handlers, propagates = logger.handlers, logger.propagate
    try:
        vars(constants).update(wanted)
        logger.handlers, logger.propagate = [_Forward()], False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        vars(constants).update(before)
        logger.handlers, logger.propagate = handlers, propagates


class _Forward(logging.Handler):
    """Passes on what matters of the client's messages, without the addresses they hold."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "resume download" in message:
            log.warning("the transfer broke off, going on where it stopped")
        else:
            log.debug("huggingface_hub: %s", message)


def bar_class(report: DownloadReport | None) -> Any:
    """A class that the client takes for a progress bar, and that tells the report."""
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options | {"disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            if report is not None:
                report.advance(int(n or 0))
            return None

    return Bar
