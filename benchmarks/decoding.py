"""From files to model-sized frames: ours beside torchcodec with torch's resize, and counting.

    pip install torchcodec          # and FFmpeg's libraries
    PYTHONPATH=. python benchmarks/decoding.py [-o decoding.json]

One thread each, in turn within one process; medians of CPU milliseconds a clip. Both give the same
moments at 224 px; pixels are compared first. "counted" is our sequential reader, which every file
that can't be looked up goes through. Without torchcodec it is ours and counting alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from end_to_end import draw_clips
from torch.nn.functional import interpolate

from actcli.config import LimitsConfig, SamplingConfig
from actcli.types import Preprocessing, VideoRef
from actcli.video.clips import read_clip

SIDE = 224


def ours(path: str, frames: int, *, seek: bool | None = None) -> Any:
    sampling = SamplingConfig(num_frames=frames)
    clip = read_clip(VideoRef(path), sampling, Preprocessing(SIDE), LimitsConfig(), seek=seek)
    return clip.frames[0]


def torchcodec(path: str, frames: int) -> Any:
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(path, num_ffmpeg_threads=1)
    count = decoder.metadata.num_frames
    chosen = [int((i + 0.5) / frames * count + 1e-9) for i in range(frames)]
    pictures = decoder.get_frames_at(chosen).data
    height, width = pictures.shape[-2:]
    scaled = SIDE * height // min(height, width), SIDE * width // min(height, width)
    small = interpolate(pictures, scaled, mode="bicubic", antialias=True)
    top, left = (round((n - SIDE) / 2.0) for n in scaled)
    return small[..., top : top + SIDE, left : left + SIDE].numpy()


WAYS: dict[str, Callable[[str, int], Any]] = {
    "ours": ours,
    "counted": lambda path, frames: ours(path, frames, seek=False),
    "torchcodec": torchcodec,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--videos", type=Path, help="a folder of clips instead of drawn ones")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if importlib.util.find_spec("torchcodec") is None:
        print("torchcodec: left out (not installed)")
        del WAYS["torchcodec"]
    runs = []
    for gop in (12, 48, 250) if args.videos is None else (0,):
        with tempfile.TemporaryDirectory() as folder:
            if args.videos is None:
                paths = draw_clips(Path(folder), args.clips, gop)
            else:
                paths = sorted(path for path in args.videos.rglob("*") if path.is_file())
            for frames in (8, 32):
                names = [str(path) for path in paths]
                times = measure(gop, frames, names, args.rounds)
                runs.append({"gop": gop, "frames": frames, "ms": times})
    if args.output:
        args.output.write_text(json.dumps({"runs": runs}))


def measure(gop: int, frames: int, paths: list[str], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for number in range(rounds + 1):
        pictures = {}
        for name, read in WAYS.items():
            started = time.process_time()
            pictures[name] = [read(path, frames) for path in paths]
            if number:  # the first round warms up
                times[name].append(1000 * (time.process_time() - started) / len(paths))
    for name, found in pictures.items():
        gaps = [np.abs(a.astype(int) - b).max() for a, b in zip(pictures["ours"], found,
                                                                strict=True)]  # fmt: skip
        assert max(gaps) <= (0 if name == "counted" else 16), f"{name}: other frames ({gaps})"
    own = statistics.median(times["ours"])
    medians = {name: statistics.median(found) for name, found in times.items()}
    shown = ", ".join(f"{name} {ms:6.1f} ms ({ms / own:4.2f}x)" for name, ms in medians.items())
    print(f"GOP {gop:3}, {frames:2} frames: {shown}", flush=True)
    return times


if __name__ == "__main__":
    main()
