"""One long film in windows, read by one decode process and by several.

    PYTHONPATH=. python benchmarks/one_film.py [FILM] [--workers 1,2] [--rounds 5] [-o film.json]

Without FILM one is made of the clips of benchmarks/end_to_end.py (H.264, 640x360). In turns within
one run; medians of wall and CPU time from request to last block; the frames must be the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from pathlib import Path

import av

from actcli.config import LimitsConfig, SamplingConfig, WindowConfig
from actcli.types import Preprocessing, VideoRef
from actcli.video.loader import start_loader
from actcli.video.worker import ClipReader, WindowReader
from actcli.windows import WindowBlock, WindowsRef
from benchmarks.end_to_end import draw_clips
from benchmarks.isolation import cpu_seconds


def make_film(folder: Path, minutes: float, gop: int) -> Path:
    """Clips of ten seconds, one after another, until the film is long enough."""
    clips = draw_clips(folder, 6, gop)
    film = folder / "film.mp4"
    with av.open(str(film), "w") as written:
        stream, offset = None, 0
        for number in range(round(minutes * 6)):
            with av.open(str(clips[number % len(clips)])) as read:
                source = read.streams.video[0]
                stream = stream or written.add_stream_from_template(source)
                for packet in read.demux(source):
                    if packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                        packet.stream = stream
                        written.mux(packet)
                offset += source.duration
    return film


def timed(film: Path, workers: int, window: WindowConfig) -> tuple[float, float, str]:
    """Wall and CPU seconds, and a digest of all frames and windows."""
    limits = LimitsConfig()
    read = WindowReader(ClipReader(SamplingConfig(), Preprocessing(224), limits), window)
    digest = hashlib.sha256()
    with start_loader(read, workers, limits, batch_size=16, clip_bytes=read.clip_bytes,
                      num_films=1) as loader:  # fmt: skip
        start, cpu = time.perf_counter(), cpu_seconds(loader)
        for item in loader.load([WindowsRef(VideoRef(str(film)))]):
            if isinstance(item, WindowBlock):
                digest.update(item.frames)
                digest.update(repr((item.number, item.windows)).encode())
        return time.perf_counter() - start, cpu_seconds(loader) - cpu, digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("film", type=Path, nargs="?")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--gop", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    counts = [int(count) for count in args.workers.split(",")]
    window = WindowConfig(window_s=2.0, window_stride_s=0.5)
    runs: dict[int, list[tuple[float, float, str]]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as folder:
        film = args.film or make_film(Path(folder), args.minutes, args.gop)
        timed(film, counts[-1], window)  # the fork server and the disk cache
        for _ in range(args.rounds):
            for count in counts:
                runs[count].append(timed(film, count, window))
    assert len({digest for times in runs.values() for *_, digest in times}) == 1, "same frames"
    base = statistics.median(wall for wall, *_ in runs[counts[0]])
    for count, times in runs.items():
        wall = statistics.median(wall for wall, *_ in times)
        cpu = statistics.median(cpu for _, cpu, _ in times)
        print(f"{count} workers: wall {wall:6.2f} s, CPU {cpu:6.2f} s, {base / wall:.2f} times")
    if args.output:
        args.output.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
