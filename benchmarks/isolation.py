"""What isolation costs: the same videos read here, in a decode process, and in one locked in.

    PYTHONPATH=. python benchmarks/isolation.py FOLDER [--rounds 5] [-o isolation.json]

One decode process, in turns within one run; medians of wall time and ratios. The first video of a
turn, which waits for the process to start, is timed apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from actcli.config import LimitsConfig, SamplingConfig
from actcli.types import Clip, Preprocessing, VideoRef
from actcli.video.loader import start_loader
from actcli.video.worker import ClipReader

WAYS = {"here": (0, "off"), "process": (1, "off"), "locked in": (1, "require")}


def timed(paths: list[str], workers: int, sandbox: str) -> tuple[float, float]:
    """Seconds to the first clip, and for all after it."""
    limits = LimitsConfig.model_validate({"sandbox": sandbox})
    read = ClipReader(SamplingConfig(), Preprocessing(224), limits)
    start = time.perf_counter()
    with start_loader(read, workers, limits, batch_size=8, clip_bytes=read.clip_bytes) as loader:
        clips = (item for item in loader.load(map(VideoRef, paths)) if isinstance(item, Clip))
        next(clips)
        first = time.perf_counter()
        count = sum(1 for _ in clips)
        end = time.perf_counter()
    assert count == len(paths) - 1, "every video can be read"
    return first - start, end - first


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    paths = sorted(map(str, args.folder.rglob("*.mp4")))
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    timed(paths, 1, "off")  # the fork server and the disk cache
    for _ in range(args.rounds):
        for name, (workers, sandbox) in WAYS.items():
            runs[name].append(timed(paths, workers, sandbox))
    base = statistics.median(seconds for _, seconds in runs["process"])
    print(f"{len(paths)} videos, medians of {args.rounds}")
    for name, times in runs.items():
        first, rest = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:10} first {first * 1000:6.0f} ms   rest {rest:6.2f} s   {rest / base:.3f}x")
    if args.output:
        args.output.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
