"""What isolation costs: the same videos read here, in a decode process, and in one locked in.

    PYTHONPATH=. python benchmarks/isolation.py FOLDER [--rounds 5] [-o isolation.json]

One decode process, in turns within one run; medians. CPU time is that of this process and of the
other after the first video, whose wall time, with the start of the process, is told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

from actcli.config import LimitsConfig, SamplingConfig
from actcli.types import Clip, Preprocessing, VideoRef
from actcli.video.loader import Loader, start_loader
from actcli.video.worker import ClipReader

WAYS = {"here": (0, "off"), "process": (1, "off"), "locked in": (1, "require")}


def cpu_seconds(loader: Loader) -> float:
    """Of this process and its decode processes, so far."""
    ticks = 0
    for worker in loader._pool._workers if loader._pool else ():
        fields = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def timed(paths: list[str], workers: int, sandbox: str) -> tuple[float, float, float]:
    """Seconds to the first clip, then wall and CPU time for all after it."""
    limits = LimitsConfig.model_validate({"sandbox": sandbox})
    read = ClipReader(SamplingConfig(), Preprocessing(224), limits)
    start = time.perf_counter()
    with start_loader(read, workers, limits, batch_size=8, clip_bytes=read.clip_bytes) as loader:
        clips = (item for item in loader.load(map(VideoRef, paths)) if isinstance(item, Clip))
        next(clips)
        first, cpu = time.perf_counter(), cpu_seconds(loader)
        count = sum(1 for _ in clips)
        end, cpu = time.perf_counter(), cpu_seconds(loader) - cpu
    assert count == len(paths) - 1, "every video can be read"
    return first - start, end - first, cpu


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    paths = sorted(map(str, args.folder.rglob("*.mp4")))
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in WAYS}
    timed(paths, 1, "off")  # the fork server and the disk cache
    for _ in range(args.rounds):
        for name, (workers, sandbox) in WAYS.items():
            runs[name].append(timed(paths, workers, sandbox))
    base = statistics.median(cpu for _, _, cpu in runs["process"])
    print(f"{len(paths)} videos, medians of {args.rounds}")
    for name, times in runs.items():
        first, wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:10} first {first * 1000:6.0f} ms   wall {wall:6.2f} s   CPU {cpu:6.2f} s   "
              f"{cpu / base:.3f}x")  # fmt: skip
    if args.output:
        args.output.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
