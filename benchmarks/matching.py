"""How fast few-shot matching is, from cached embeddings: ours against a loop over cells.

    PYTHONPATH=. python benchmarks/matching.py

Both are timed in turn within one run; medians of the rounds. The loop is OTAM's recurrence cell by
cell on tensors, as the published code has it, one call for all pairs of an episode.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from actcli.models.align import MATCHERS, frame_distance, otam_both_ways

SOFTNESS = 0.5


def otam_by_cells(distance: Tensor) -> Tensor:
    """[..., T, U] -> [...], a Python loop over every cell."""
    padded = torch.nn.functional.pad(distance, (1, 1))
    cost = torch.zeros_like(padded)
    for m in range(1, padded.shape[-1]):
        cost[..., 0, m] = padded[..., 0, m] + cost[..., 0, m - 1]
    last = padded.shape[-1] - 1
    for row in range(1, padded.shape[-2]):
        for m in range(1, padded.shape[-1]):
            ways = [cost[..., row - 1, m - 1], cost[..., row, m - 1]]
            if m in (1, last):
                ways.append(cost[..., row - 1, m])
            soft = sum(torch.exp(-way / SOFTNESS) for way in ways)
            cost[..., row, m] = padded[..., row, m] - SOFTNESS * torch.log(soft)
    return cost[..., -1, -1]


def by_cells(distance: Tensor) -> Tensor:
    return otam_by_cells(distance) + otam_by_cells(distance.mT)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop-episodes", type=int, default=100)
    args = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(500, 8, args.dim, generator=generator)

    print(f"threads {torch.get_num_threads()}, T 8, D {args.dim}, medians of {args.rounds} rounds")
    support, query = frames[:25].unflatten(0, (5, 5)).mean(1), frames[25:125]
    for name, match in MATCHERS.items():
        seconds = [timed(lambda m=match: m(query, support)) for _ in range(args.rounds)]
        print(
            f"5 classes x 5 shots, 100 queries, {name:6} {1e3 * statistics.median(seconds):8.2f} ms"
        )

    picks = torch.randint(0, 500, (args.episodes, 10), generator=generator)

    def ours() -> None:
        for chunk in picks.split(200):
            distance = frame_distance(frames[chunk[:, 5:]], frames[chunk[:, :5]])
            otam_both_ways(distance)

    def one_by_one() -> None:
        for row in picks[: args.loop_episodes]:
            otam_both_ways(frame_distance(frames[row[5:]], frames[row[:5]]))

    def cells() -> None:
        for row in picks[: args.loop_episodes]:
            by_cells(frame_distance(frames[row[5:]], frames[row[:5]]))

    work = {"batched": (ours, args.episodes), "one by one": (one_by_one, args.loop_episodes),
            "loop over cells": (cells, args.loop_episodes)}  # fmt: skip
    rates: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(args.rounds):
        for name, (run, count) in work.items():
            rates[name].append(count / timed(run))
    slow = statistics.median(rates["loop over cells"])
    for name, found in rates.items():
        rate = statistics.median(found)
        print(f"5-way 1-shot OTAM, {name:16} {rate:9.0f} episodes/s  {rate / slow:6.1f} x")


if __name__ == "__main__":
    main()
