"""What a corpus costs: cores of decode for each GPU, hours and money, and what is the limit.

    python benchmarks/capacity.py                    # the table, with the figures it assumes
    python benchmarks/capacity.py --clips 1e9 --gpus 64 --price-gpu 2.5 --price-core 0.04

Three stages run beside each other: an object store that sends the bytes that are needed, cores that
decode, GPUs that embed. The slowest one sets the pace:

    clips/s = min(network / bytes, cores / decode_s, gpus * flops * utilisation / flops_per_clip)

A simulation of single clips with spread service times and bounded queues between the stages checks
that the formula holds. Work per clip is counted from each backbone's shape; decode times are those
that `benchmarks/decoding.py` measured here; peak rates are the vendors' figures for dense bf16.
Utilisation and prices are assumptions: set your own.
"""

from __future__ import annotations

import argparse
import heapq
import random
from collections import deque
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Backbone:
    name: str
    layers: int
    width: int
    tokens: int

    @property
    def flops(self) -> float:
        """Of one frame: four products of width x width a token, the MLP's two of four times that,
        and attention; a multiplication and an addition each."""
        linear = 24 * self.tokens * self.width**2
        attention = 4 * self.tokens**2 * self.width
        return float(self.layers * (linear + attention))


BACKBONES = (
    Backbone("ViT-B-32", 12, 768, 50),
    Backbone("ViT-B-16", 12, 768, 197),
    Backbone("ViT-L-14", 24, 1024, 257),
)
GPUS = {"L4": 121e12, "A100": 312e12, "H100": 989e12}
"""Dense bf16 operations a second, as the vendor prints them."""
DECODE_S = {"H.264 360p": 0.083, "HEVC 1080p": 0.55, "key frames only, 360p": 0.02}
"""CPU seconds for 8 frames of a 10 s clip; 360p as measured, 1080p scaled by its pixels."""
CLIP_BYTES = 0.7e6


@dataclass(frozen=True)
class Site:
    cores: int
    gpus: int
    gpu_flops: float
    utilisation: float
    network: float
    """Bytes a second from the object store."""


def service_s(site: Site, backbone: Backbone, decode_s: float, frames: int) -> tuple[float, ...]:
    """Seconds of one clip in each stage, if it had the whole stage."""
    embed = frames * backbone.flops / (site.gpus * site.gpu_flops * site.utilisation)
    return CLIP_BYTES / site.network, decode_s / site.cores, embed


def simulate(
    site: Site, backbone: Backbone, decode_s: float, frames: int, clips: int, seed: int = 0
) -> float:
    """Clips a second of a pipeline with bounded queues and service times that vary.

    Each stage has servers: connections, cores, GPUs. A server that is done waits while the next
    queue is full.
    """
    draw = random.Random(seed)
    servers = (64, site.cores, site.gpus)
    mean = [
        s * n for s, n in zip(service_s(site, backbone, decode_s, frames), servers, strict=True)
    ]
    room = (None, 2 * site.cores, 64 * site.gpus)
    waiting: list[deque[int]] = [deque(range(clips)), deque(), deque()]
    idle, blocked = list(servers), [0, 0, 0]
    events: list[tuple[float, int, int]] = []
    now, done, count = 0.0, 0, 0
    while done < clips:
        moved = True
        while moved:
            moved = False
            for stage in (2, 1, 0):
                limit = room[stage + 1] if stage < 2 else None
                while blocked[stage] and (limit is None or len(waiting[stage + 1]) < limit):
                    blocked[stage] -= 1
                    idle[stage] += 1
                    waiting[stage + 1].append(0)
                    moved = True
                while idle[stage] and waiting[stage]:
                    waiting[stage].popleft()
                    idle[stage] -= 1
                    lasts = draw.gammavariate(4, mean[stage] / 4)
                    heapq.heappush(events, (now + lasts, count, stage))
                    count += 1
                    moved = True
        now, _, stage = heapq.heappop(events)
        if stage == 2:
            idle[2] += 1
            done += 1
        else:
            blocked[stage] += 1
    return done / now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=float, default=1e6)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--gpu", choices=GPUS, default="H100")
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--cores", type=int, default=192)
    parser.add_argument("--utilisation", type=float, default=0.4)
    parser.add_argument("--gbit", type=float, default=25.0)
    parser.add_argument("--nvdec", type=float, help="frames a second of one GPU's decoders")
    parser.add_argument("--clip-frames", type=float, default=250, help="all frames of a clip")
    parser.add_argument("--price-gpu", type=float, default=2.5, help="an hour")
    parser.add_argument("--price-core", type=float, default=0.04, help="an hour")
    options = parser.parse_args()
    site = Site(
        options.cores, options.gpus, GPUS[options.gpu], options.utilisation, options.gbit / 8 * 1e9
    )
    print(
        f"{options.gpus} {options.gpu}, {options.cores} cores, {options.gbit:g} Gbit/s, "
        f"{options.frames} frames a clip, utilisation {options.utilisation:g}"
    )
    heads = ("backbone", "decode", "GFLOP a frame", "cores a GPU", "limit", "clips/s", "simulated",
             f"hours for {options.clips:g}", "cost")  # fmt: skip
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    ways = dict(DECODE_S)
    if options.nvdec:
        # Hardware reads whole files and takes no cores: as if so many cores stood beside each GPU.
        ways["NVDEC"] = options.clip_frames / options.nvdec / options.gpus * options.cores
    for backbone in BACKBONES:
        for name, decode_s in ways.items():
            times = service_s(site, backbone, decode_s, options.frames)
            limit = ("network", "decode", "GPU")[times.index(max(times))]
            rate = 1 / max(times)
            found = simulate(site, backbone, decode_s, options.frames, 20_000)
            one = service_s(replace(site, gpus=1), backbone, decode_s, options.frames)[2]
            hours = options.clips / rate / 3600
            price = options.gpus * options.price_gpu + options.cores * options.price_core
            cells = (backbone.name, name, f"{backbone.flops / 1e9:.1f}",
                     "-" if name == "NVDEC" else f"{decode_s / one:.0f}", limit, f"{rate:.0f}",
                     f"{found / rate:.2f}x", f"{hours:.2f}", f"{hours * price:.0f}")  # fmt: skip
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
