"""Workers that crash, hang or die cost their own clip; leaving kills the rest."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from actcli.errors import ResourceError, VideoError
from actcli.types import Clip, Failure, VideoRef
from actcli.video.loader import IDLE, Loader, window_size


def read_by_name(ref: VideoRef) -> Clip:
    """A reader whose behaviour is the path: a number is that clip, words misbehave."""
    if ref.path == "hang":
        time.sleep(60)
    if ref.path == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if ref.path == "bug":
        raise RuntimeError("unexpected")
    if ref.path == "bad":
        raise VideoError("no_frames", "no frame could be decoded")
    number = int(ref.path)
    time.sleep(0.02 * (number % 3))  # later ones finish first now and then
    frames = np.full((1, 2, 3, 64, 64), number % 256, dtype=np.uint8)
    return Clip(ref, frames, np.array([[0.5, 1.5]]), 0.0, 2.0, (f"note {number}",))


def loader(workers: int, *, timeout_s: float = 60.0, window: int = 8) -> Loader:
    return Loader(read_by_name, workers=workers, timeout_s=timeout_s, window=window).start()


def results(load: Loader, *names: str) -> list[object]:
    with load:
        return [item for item in load.load(map(VideoRef, names)) if item is not IDLE]


def kinds(items: list[object]) -> list[str]:
    return [
        item.error.kind if isinstance(item, Failure) else str(item.frames.flat[0])  # type: ignore[attr-defined]
        for item in items
    ]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_clips_come_in_the_order_of_their_requests(workers: int) -> None:
    items = results(loader(workers), *map(str, range(20)))
    assert kinds(items) == list(map(str, range(20)))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_clip_arrives_whole(workers: int) -> None:
    (clip,) = results(loader(workers), "7")
    assert isinstance(clip, Clip)
    assert clip.frames.shape == (1, 2, 3, 64, 64)
    assert (clip.frames == 7).all()
    assert clip.times_s.tolist() == [[0.5, 1.5]]
    assert (clip.start_s, clip.end_s, clip.warnings) == (0.0, 2.0, ("note 7",))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_video_is_a_failure_in_its_place(workers: int) -> None:
    assert kinds(results(loader(workers), "0", "bad", "2")) == ["0", "no_frames", "2"]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unexpected_exception_costs_only_its_video(workers: int) -> None:
    items = results(loader(workers), "0", "bug", "2")
    assert kinds(items) == ["0", "crashed", "2"]
    assert isinstance(items[1], Failure)
    assert "RuntimeError: unexpected" in items[1].error.message


def test_a_worker_that_dies_is_replaced() -> None:
    items = results(loader(1), "0", "die", "2", "die", "4")
    assert kinds(items) == ["0", "crashed", "2", "crashed", "4"]


def test_a_worker_that_hangs_is_killed_and_replaced() -> None:
    start = time.monotonic()
    items = results(loader(1, timeout_s=0.5), "0", "hang", "2")
    assert kinds(items) == ["0", "timeout", "2"]
    assert time.monotonic() - start < 30


def test_a_stuck_worker_does_not_delay_closing() -> None:
    load = loader(2)
    with load:
        stream = load.load(map(VideoRef, ["0", "hang", "hang"]))
        assert next(item for item in stream if item is not IDLE)
        start = time.monotonic()
    assert time.monotonic() - start < 5


class DiesOnArrival:
    """A reader that ends the worker before it is ready."""

    def __setstate__(self, state: object) -> None:
        os._exit(7)

    def __getstate__(self) -> int:
        return 1

    def __call__(self, ref: VideoRef) -> Clip:
        raise AssertionError("never reached")


def test_workers_that_cannot_start_are_a_resource_error() -> None:
    with (
        Loader(DiesOnArrival(), workers=2, timeout_s=9, window=4).start() as load,
        pytest.raises(ResourceError, match=r"3 died while starting \(exit code 7\)"),
    ):
        list(load.load([VideoRef("0")]))


def test_an_error_among_the_requests_is_raised_after_the_results_before_it() -> None:
    def requests() -> Iterator[VideoRef]:
        yield VideoRef("0")
        raise ValueError("line 2")

    with loader(0) as load:
        stream = (item for item in load.load(requests()) if item is not IDLE)
        assert isinstance(next(stream), Clip)
        with pytest.raises(ValueError, match="line 2"):
            next(stream)


def test_other_values_pass_through_in_their_place() -> None:
    with loader(1) as load:
        items = [i for i in load.load([VideoRef("0"), "cached", VideoRef("2")]) if i is not IDLE]
    assert isinstance(items[0], Clip)
    assert items[1] == "cached"


def test_requests_are_pulled_only_as_far_as_the_window() -> None:
    pulled = []

    def requests() -> Iterator[VideoRef]:
        for number in range(100):
            pulled.append(number)
            yield VideoRef(str(number))

    with loader(0, window=5) as load:
        stream = load.load(requests())
        next(item for item in stream if item is not IDLE)
        time.sleep(0.5)
        assert len(pulled) <= 8


def test_a_slow_source_of_requests_yields_idle_moments() -> None:
    gate = threading.Event()

    def requests() -> Iterator[VideoRef]:
        yield VideoRef("0")
        gate.wait(30)

    with loader(0) as load:
        stream = load.load(requests())
        assert isinstance(next(stream), Clip)
        assert next(stream) is IDLE
        gate.set()


def test_the_window_keeps_workers_busy_and_stays_within_a_gigabyte() -> None:
    assert window_size(4, 16, 1_200_000) == 24
    assert window_size(16, 64, 200_000_000) == 17


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from test_pool import loader, results
print(len(results(loader(2), "0", "1", "2")), "clips")
"""


def test_a_script_without_a_main_guard_does_not_start_itself_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.returncode) == ("3 clips\n", 0), done.stderr


KILLED = """
import sys, os, time
sys.path.insert(0, {tests!r})
from test_pool import loader, VideoRef
load = loader(2)
stream = load.load(map(VideoRef, ["0", "hang", "hang"]))
next(stream)
while len(load._pool._workers) < 2 or not all(w.job for w in load._pool._workers): time.sleep(.05)
print(*[w.process.pid for w in load._pool._workers], flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for processes in /proc")
def test_no_worker_outlives_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(KILLED.format(tests=str(Path(__file__).parent)))
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = parent.stdout.readline().split()
    assert len(pids) == 2
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.1)


def test_workers_wait_for_the_first_video_if_they_are_not_started() -> None:
    load = Loader(read_by_name, workers=2, timeout_s=60.0, window=8)
    with load:
        items = [item for item in load.load(["seen", "before"]) if item is not IDLE]
        assert items == ["seen", "before"]
        assert load._pool is not None
        assert load._pool._workers == []
    late = Loader(read_by_name, workers=2, timeout_s=60.0, window=8)
    assert kinds(results(late, "0", "1", "2")) == ["0", "1", "2"]


def test_leaving_before_anything_was_decoded_ends_at_once() -> None:
    started = time.monotonic()
    with Loader(read_by_name, workers=2, timeout_s=60.0, window=8) as load:
        next(load.load(["seen"]))
    assert time.monotonic() - started < 20
