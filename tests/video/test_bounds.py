"""What a decode process takes beyond its bounds costs one video."""

from __future__ import annotations

import os
import resource
import sys
import time

import numpy as np
import pytest

from actcli.config import LimitsConfig
from actcli.errors import VideoError
from actcli.types import Clip, Failure, VideoRef
from actcli.video.bounds import Bounds
from actcli.video.loader import IDLE, Loader

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")


def hungry(ref: VideoRef) -> Clip:
    """Takes so many MiB, or so many seconds of processor time, as its path says."""
    kind, _, amount = ref.path.partition(" ")
    if kind == "memory":
        held = np.ones(int(amount) << 20, np.uint8)
        return Clip(ref, held[:192].reshape(1, 1, 3, 8, 8), np.zeros((1, 1)), 0.0, 1.0)
    if kind == "torch":
        import torch

        torch.ones(int(amount) << 20, dtype=torch.uint8)
    if kind == "files":
        _ = [open(os.devnull, "rb") for _ in range(int(amount))]  # noqa: SIM115
    if kind == "time":
        resource.setrlimit(resource.RLIMIT_CPU, (0, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        while True:
            pass
    raise VideoError("no_frames", "nothing")


def failures(loader: Loader, *paths: str) -> list[str]:
    with loader:
        items = [item for item in loader.load(map(VideoRef, paths)) if item is not IDLE]
    return [item.error.kind if isinstance(item, Failure) else "clip" for item in items]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds the limit")
def test_memory_ends_at_the_limit_and_costs_one_video() -> None:
    bounds = Bounds(60.0, memory_bytes=512 << 20)
    loader = Loader(hungry, workers=1, bounds=bounds, window=4)
    found = failures(loader, "memory 64", "memory 600", "torch 600", "memory 64")
    assert found == ["clip", "too_large", "too_large", "clip"]


def test_processor_time_ends_even_if_the_watchdog_does_not_look() -> None:
    loader = Loader(hungry, workers=1, bounds=Bounds(600.0), window=4)
    assert failures(loader, "memory 1", "time 1", "memory 1") == ["clip", "timeout", "clip"]


def test_open_files_are_bounded() -> None:
    loader = Loader(hungry, workers=1, bounds=Bounds(60.0), window=4)
    assert failures(loader, "files 100", "files 1000") == ["no_frames", "crashed"]


def test_time_is_renewed_for_each_video() -> None:
    before = resource.getrlimit(resource.RLIMIT_CPU)
    try:
        Bounds(7.0).renew_time()
        used = time.process_time()
        soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
        assert used + 7 <= soft <= used + 13
        assert hard == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, before)


def test_bounds_are_those_of_the_run() -> None:
    limits = LimitsConfig(timeout_s=3, max_memory_mib=100, sandbox="off")
    assert Bounds.of(limits, 5) == Bounds(3.0, 100 << 20, 5, "off")
