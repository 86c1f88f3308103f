"""Engines in several processes: the results of one, in the order of the videos."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import actcli
from actcli.demo.clips import write_clip
from actcli.errors import ResourceError, UsageError
from actcli.types import Failure, Prediction, VideoRef

LABELS = ("run", "jump", "wave")
TWO = {"devices": ("cpu", "cpu"), "workers": 1}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("clips")
    for number, label in enumerate(LABELS * 3):
        write_clip(folder / f"{number}-{label}.mp4", label, seed=700 + number)
    return sorted(str(path) for path in folder.iterdir())


def classify(videos: Any, **options: Any) -> list[Prediction | Failure]:
    options = {"model": "demo", "use_cache": False, "device": "cpu"} | options
    return actcli.classify(videos, LABELS, **options)


def comparable(results: list[Prediction | Failure]) -> list[Any]:
    return [
        (r.ref, r.error.kind)
        if isinstance(r, Failure)
        else (r.ref, r.label, [round(s.score, 6) for s in r.ranked], r.frames_s)
        for r in results
    ]


def test_two_processes_give_the_results_of_one_in_order(clips: list[str], tmp_path: Path) -> None:
    videos = [*clips, str(tmp_path / "none.mp4"), *clips[:3]]
    assert comparable(classify(videos, **TWO)) == comparable(classify(videos, workers=0))


@pytest.mark.slow
def test_both_processes_fill_one_cache(clips: list[str], tmp_path: Path) -> None:
    options = {"use_cache": True, "cache_dir": str(tmp_path / "cache")}
    fresh = classify(clips, **TWO, **options)
    again = classify(clips, workers=0, **options)
    assert [r.cached for r in again if isinstance(r, Prediction)] == [True] * len(clips)
    assert comparable(fresh) == comparable(again)


@pytest.mark.slow
def test_results_come_while_videos_are_still_named(clips: list[str]) -> None:
    from actcli.tasks.classify import stream

    asked: list[str] = []

    def endless() -> Iterator[VideoRef]:
        for path in itertools.cycle(clips):
            asked.append(path)
            yield VideoRef(path)

    results = stream(endless(), LABELS, model="demo", use_cache=False, device="cpu", **TWO)
    for _ in range(20):
        next(results)
    time.sleep(0.5)
    assert len(asked) < 200
    results.close()  # type: ignore[attr-defined]


def test_an_error_of_the_list_comes_after_the_results_before_it(clips: list[str]) -> None:
    from actcli.tasks.classify import stream

    def breaking() -> Iterator[VideoRef]:
        yield VideoRef(clips[0])
        raise UsageError("line 2: bad")

    results = stream(breaking(), LABELS, model="demo", use_cache=False, device="cpu", **TWO)
    assert next(results).ok
    with pytest.raises(UsageError, match="line 2"):
        next(results)


def test_an_engine_that_dies_ends_the_run_with_a_reason(clips: list[str]) -> None:
    from actcli.tasks.classify import stream

    refs = (VideoRef(path) for path in itertools.cycle(clips))
    results = stream(refs, LABELS, model="demo", use_cache=False, device="cpu", **TWO)
    next(results)
    children = subprocess.run(
        ["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=True
    ).stdout.split()
    engines = [
        int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(engines[0], signal.SIGKILL)
    with pytest.raises(ResourceError, match=r"an engine died \(signal 9\)"):
        for _ in results:
            pass


@pytest.mark.slow
def test_nothing_is_left_when_the_parent_is_killed(clips: list[str], tmp_path: Path) -> None:
    words = [
        sys.executable, "-m", "actcli", "classify", *clips * 50, "-l", "run,jump,wave",
        "--model", "demo", "--no-cache", "--devices", "cpu,cpu", "-o", tmp_path / "a.jsonl",
    ]  # fmt: skip
    process = subprocess.Popen(words, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "a.jsonl").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    while in_session(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def in_session(session: int) -> list[str]:
    found = subprocess.run(
        ["ps", "-s", str(session), "-o", "pid=,stat="], capture_output=True, text=True, check=False
    )
    return [line for line in found.stdout.splitlines() if " Z" not in line]


def test_windows_are_refused_before_anything_starts(clips: list[str]) -> None:
    with pytest.raises(UsageError, match=r"--devices.*not for --window"):
        classify(clips, window_s=1.0, **TWO)
