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
from actcli.video.bounds import Bounds
from actcli.video.loader import IDLE, Loader, window_size
from actcli.windows import BEAT, Beat, Window, WindowBlock, WindowsRef


def read_by_name(ref: VideoRef) -> Clip:
    """A reader whose behaviour is the path: a number is that clip, words misbehave."""
    if ref.path == "hang":
        time.sleep(60)
    if ref.path == "die":
        signal.raise_signal(signal.SIGSEGV)
    if ref.path == "bug":
        raise RuntimeError("unexpected")
    if ref.path == "bad":
        raise VideoError("no_frames", "no frame could be decoded")
    number = int(ref.path)
    time.sleep(0.02 * (number % 3))  # later ones finish first now and then
    frames = np.full((1, 2, 3, 64, 64), number % 256, dtype=np.uint8)
    return Clip(ref, frames, np.array([[0.5, 1.5]]), 0.0, 2.0, (f"note {number}",))


def loader(workers: int, *, timeout_s: float = 60.0, window: int = 8) -> Loader:
    return Loader(read_by_name, workers=workers, bounds=Bounds(timeout_s), window=window).start()


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
        Loader(DiesOnArrival(), workers=2, bounds=Bounds(9), window=4).start() as load,
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


STOPPED = """
import sys
sys.path.insert(0, {tests!r})
from test_pool import loader, results, kinds
print("here", flush=True)
print(*kinds(results(loader(2, timeout_s=1.5), *map(str, range(300)))))
"""


@pytest.mark.skipif(os.name != "posix", reason="stops a process group")
def test_a_run_that_was_stopped_and_goes_on_loses_no_video(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(STOPPED.format(tests=str(Path(__file__).parent)))
    run = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert run.stdout is not None
    run.stdout.readline()
    time.sleep(3)
    os.killpg(run.pid, signal.SIGSTOP)
    time.sleep(4)
    os.killpg(run.pid, signal.SIGCONT)
    said, _ = run.communicate(timeout=120)
    assert said.split() == [str(number % 256) for number in range(300)]


def test_workers_wait_for_the_first_video_if_they_are_not_started() -> None:
    load = Loader(read_by_name, workers=2, bounds=Bounds(60.0), window=8)
    with load:
        items = [item for item in load.load(["seen", "before"]) if item is not IDLE]
        assert items == ["seen", "before"]
        assert load._pool is not None
        assert load._pool._workers == []
    late = Loader(read_by_name, workers=2, bounds=Bounds(60.0), window=8)
    assert kinds(results(late, "0", "1", "2")) == ["0", "1", "2"]


def test_leaving_before_anything_was_decoded_ends_at_once() -> None:
    started = time.monotonic()
    with Loader(read_by_name, workers=2, bounds=Bounds(60.0), window=8) as load:
        next(load.load(["seen"]))
    assert time.monotonic() - started < 20


def read_windows(request: WindowsRef) -> Iterator[WindowBlock]:
    """So many blocks as the path says, "die3" and "bad3" then fail, "slow3" takes its time."""
    kind, count = request.video.path[:-1], int(request.video.path[-1])
    for number in range(request.first_block, count):
        if kind == "slow":
            time.sleep(0.05)
        frames = np.full((2, 1, 3, 64, 64), number, dtype=np.uint8)
        window = Window(0.0, 1.0, 0, 1, ((2 * number, 2 * number + 1),), ((0.0, 0.5),))
        yield WindowBlock(request.video, frames, number, 2 * number, (window,), 9.0,
                          is_last=number == count - 1)  # fmt: skip
    if kind == "die":
        signal.raise_signal(signal.SIGSEGV)
    if kind == "bad":
        raise VideoError("truncated", "no more of it")


def block_loader(workers: int, *, timeout_s: float = 60.0) -> Loader:
    return Loader(read_windows, workers=workers, bounds=Bounds(timeout_s), window=4).start()


def blocks(load: Loader, *names: str, pause_s: float = 0.0) -> list[str]:
    said = []
    with load:
        for item in load.load(WindowsRef(VideoRef(name)) for name in names):
            if isinstance(item, WindowBlock):
                assert (item.frames == item.number).all()
                assert item.windows[0].places == ((2 * item.number, 2 * item.number + 1),)
                said.append(f"{item.ref.path} {item.number}{'.' * item.is_last}")
                time.sleep(pause_s)
            elif isinstance(item, Failure):
                said.append(f"{item.ref.path} {item.error.kind}")
    return said


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_blocks_come_in_order_video_after_video(workers: int) -> None:
    said = blocks(block_loader(workers), "slow3", "a5", "b0", "slow2", "c1")
    assert said == ["slow3 0", "slow3 1", "slow3 2.", *(f"a5 {n}" for n in range(4)), "a5 4.",
                    "slow2 0", "slow2 1.", "c1 0."]  # fmt: skip


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failure_comes_after_the_blocks_before_it(workers: int) -> None:
    assert blocks(block_loader(workers), "bad1", "a1") == ["bad1 0.", "bad1 truncated", "a1 0."]


def test_a_worker_that_dies_among_blocks_costs_the_rest_of_its_video() -> None:
    said = blocks(block_loader(2), "die2", "a2")
    assert said == ["die2 0", "die2 1.", "die2 crashed", "a2 0", "a2 1."]


def test_a_slow_consumer_is_no_stuck_worker_and_holds_few_blocks() -> None:
    load = block_loader(1, timeout_s=0.6)
    said = blocks(load, "a6", pause_s=0.35)  # longer than the limit for all, not for one
    assert said == [*(f"a6 {n}" for n in range(5)), "a6 5."]


@pytest.mark.parametrize("workers", [0, 1])
def test_blocks_are_not_read_far_ahead_of_who_takes_them(workers: int) -> None:
    load = block_loader(workers)
    with load:
        items = load.load([WindowsRef(VideoRef("a9"))])
        assert isinstance(next(i for i in items if i is not IDLE), WindowBlock)
        time.sleep(0.3)
        assert sum(map(len, load._results.values())) <= 3


def beat_first(request: WindowsRef) -> Iterator[WindowBlock | Beat]:
    for _ in range(5):
        time.sleep(0.3)
        yield BEAT
    yield from read_windows(request)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_worker_that_beats_is_no_stuck_worker(workers: int) -> None:
    load = Loader(beat_first, workers=workers, bounds=Bounds(0.8), window=4).start()
    assert blocks(load, "a2") == ["a2 0", "a2 1."]


def test_a_worker_stuck_between_blocks_is_replaced() -> None:
    load = Loader(hang_after_one, workers=1, bounds=Bounds(0.5), window=4).start()
    assert blocks(load, "x1", "x1") == ["x1 0", "x1 timeout"] * 2


def hang_after_one(request: WindowsRef) -> Iterator[WindowBlock]:
    frames = np.zeros((2, 1, 3, 64, 64), dtype=np.uint8)
    yield WindowBlock(request.video, frames, 0, 0, (Window(0, 1, 0, 1, ((0, 1),), ((0, 1),)),),
                      9.0, is_last=False)  # fmt: skip
    time.sleep(60)
