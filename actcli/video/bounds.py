"""What a decode process may take of the machine, held by the operating system.

The watchdog of the pool holds the wall time. These hold where it can't: memory before it is there,
processor time if the parent is stopped or gone, and no file, core dumps among them, is filled but
that of a remote video.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actcli.errors import ResourceError
from actcli.remote.ranges import MAX_KEPT_BYTES
from actcli.video import sandbox
from actcli.video.sandbox import SandboxMode

if TYPE_CHECKING:
    from actcli.config import LimitsConfig

_MAX_OPEN_FILES: Final = 256
_CPU_SLACK_S: Final = 5
"""The watchdog comes first, and says what happened."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one decode process."""

    timeout_s: float
    """Wall time for one clip, block or beat."""
    memory_bytes: int | None = 4 << 30
    """Address space beyond what the process has when it starts; None is not bounded."""
    answer_bytes: int = 1 << 30
    """Pixels that one answer may have."""
    sandbox: SandboxMode = "auto"

    @classmethod
    def of(cls, limits: LimitsConfig, answer_bytes: int, *, opens_devices: bool = False) -> Bounds:
        """What a run allows.

        opens_devices: a GPU is used, which neither a process that is locked in can open nor one
            whose address space is bounded can map
        """
        if opens_devices:
            return cls(limits.timeout_s, None, answer_bytes, "off")
        memory_bytes = limits.max_memory_mib << 20
        return cls(limits.timeout_s, memory_bytes, answer_bytes, limits.sandbox)

    def refuse_this_process(self) -> None:
        """Raise ResourceError if videos must not be decoded where the rest of a run is."""
        if self.sandbox == "require":
            raise ResourceError(
                "--sandbox require: this process can't be locked in", hint="--workers 1"
            )

    def put_up(self, *, is_online: bool) -> None:
        """Bound this process for good; raises OSError or RuntimeError if it must be and can't."""
        if os.name == "posix":
            _bound_resources(self.memory_bytes, MAX_KEPT_BYTES if is_online else 0)
        if self.sandbox == "require" or (self.sandbox == "auto" and sandbox.missing() is None):
            sandbox.lock_in(is_online=is_online)

    def renew_time(self) -> None:
        """Processor time for the next clip, block or beat; beyond it the process is killed."""
        if os.name != "posix":
            return
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime + self.timeout_s) + _CPU_SLACK_S
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (_at_most(soft, hard), hard))


def _bound_resources(memory_bytes: int | None, file_bytes: int) -> None:
    import resource

    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    _lower(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    # macOS takes the limit and does not hold it.
    if memory_bytes is not None and sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + memory_bytes)


def _lower(which: int, limit: int) -> None:
    import resource

    _, hard = resource.getrlimit(which)
    lowest = _at_most(limit, hard)
    with suppress(ValueError, OSError):  # a system without this limit
        resource.setrlimit(which, (lowest, lowest))


def _at_most(limit: int, hard: int) -> int:
    import resource

    return limit if hard == resource.RLIM_INFINITY else min(limit, hard)
