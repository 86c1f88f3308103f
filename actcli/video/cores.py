"""How many cores this process may keep busy: those it may run on, and what a container allows."""

from __future__ import annotations

import math
import os
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_MAX_AUTO_WORKERS = 16


def auto_workers(cores: int | None = None) -> int:
    """One decode process per core, at most 16; None is those that this process may use."""
    return min(cores or available_cores(), _MAX_AUTO_WORKERS)


def available_cores(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Cores that this process can use at once, at least 1.

    groups, own: where the kernel tells of limits on CPU time; a quota of 1.5 cores counts as 2
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    limit = cpu_quota(groups, own)
    return cores if limit is None else max(1, min(cores, math.ceil(limit)))


def cpu_quota(groups: Path, own: Path) -> float | None:
    """The lowest limit on CPU time, in cores, of this process's control groups; None without one.

    groups: where control groups are mounted, version 2 or 1
    own: the file that names this process's groups, one a line as number:controllers:path
    """
    found: list[float | None] = []
    for line in (_text(own) or "0::/\n").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        for folder in _and_above(path):
            if not controllers:
                found.append(quota_v2(_text(groups / folder / "cpu.max")))
                continue
            # The two controllers of CPUs are often mounted as one.
            for mount in dict.fromkeys((controllers, "cpu", "cpu,cpuacct")):
                place = groups / mount / folder
                quota, period = (_text(place / f"cpu.cfs_{n}_us") for n in ("quota", "period"))
                found.append(quota_v1(quota, period))
    return min((limit for limit in found if limit is not None), default=None)


def quota_v2(text: str | None) -> float | None:
    """Cores that the text of cpu.max allows, as in "200000 100000"; None for no limit or sense."""
    quota, _, period = (text or "").strip().partition(" ")
    return quota_v1(quota, period)


def quota_v1(quota: str | None, period: str | None) -> float | None:
    """Cores for so many microseconds of each period; None for no limit ("-1", "max") or sense."""
    try:
        allowed, of = int(quota or ""), int(period or "")
    except ValueError:
        return None
    return allowed / of if allowed > 0 and of > 0 else None


def _and_above(path: str) -> list[str]:
    """The folder of a group and those around it, which limit it too; the mount's own is ""."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return None
