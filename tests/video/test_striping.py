"""One film read by several workers has the blocks, in the order, of one read by one."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from actcli.config import LimitsConfig, SamplingConfig, WindowConfig
from actcli.errors import VideoError
from actcli.types import Failure, Preprocessing, VideoRef
from actcli.video.bounds import Bounds
from actcli.video.loader import IDLE, Loader, start_loader
from actcli.video.striping import WHOLE, StripedVideo
from actcli.video.windows import WindowReading
from actcli.video.worker import ClipReader, WindowReader
from actcli.windows import Window, WindowBlock, WindowsRef

Make = Callable[..., Path]
SMALL = Preprocessing(64, resize="squash")
SAMPLING = SamplingConfig(num_frames=4)
WINDOWS = WindowConfig(window_s=1.0, window_stride_s=0.05)
READER = WindowReader(ClipReader(SAMPLING, SMALL, LimitsConfig()), WINDOWS)


def block(number: int, *, last: int = 9, path: str = "a") -> WindowBlock:
    frames = np.full((2, 1, 3, 8, 8), number, dtype=np.uint8)
    window = Window(0.0, 1.0, 0, 1, ((2 * number, 2 * number + 1),), ((0.0, 0.5),))
    return WindowBlock(
        VideoRef(path), frames, number, 2 * number, (window,), 9.0, is_last=number == last
    )


def said(results: Iterator[WindowBlock | VideoError | None]) -> list[object]:
    return [r.number if isinstance(r, WindowBlock) else r for r in results]


def test_runs_of_two_blocks_go_around() -> None:
    striped = StripedVideo(WindowsRef(VideoRef("a")), 3)
    owners = [[n for n in range(14) if share.has(n)] for share in striped.shares]
    assert owners == [[0, 1, 6, 7, 12, 13], [2, 3, 8, 9], [4, 5, 10, 11]]
    for share, numbers in enumerate(owners):
        assert {striped.share_of(n) for n in numbers} == {share}
    later = StripedVideo(WindowsRef(VideoRef("a"), 7), 3)
    assert [[n for n in range(14) if share.has(n)] for share in later.shares] == [
        [7, 12, 13], [8, 9], [10, 11]
    ]  # fmt: skip


def test_blocks_leave_in_order_and_the_last_ends_the_video() -> None:
    striped = StripedVideo(WindowsRef(VideoRef("a")), 2)
    assert said(striped.take(1, block(2, last=4))) == []
    assert said(striped.take(0, block(0, last=4))) == [0]
    assert said(striped.take(1, block(3, last=4))) == []
    assert said(striped.take(1, None)) == []
    assert said(striped.take(0, block(1, last=4))) == [1, 2, 3]
    assert said(striped.take(0, block(4, last=4))) == [4, None]
    assert said(striped.take(0, None)) == []


def test_what_is_left_when_a_share_fails_is_read_as_a_whole() -> None:
    striped = StripedVideo(WindowsRef(VideoRef("a"), 1), 2)
    assert said(striped.take(0, block(1))) == [1]
    assert said(striped.take(1, block(3))) == []
    assert striped.whole_rest() == WindowsRef(VideoRef("a"), 2)
    assert striped.whole_rest() is None
    assert said(striped.take(1, block(2))) == []  # of a job that was cancelled meanwhile
    assert (striped.share_of(1), striped.share_of(2), striped.share_of(9)) == (0, WHOLE, WHOLE)
    assert said(striped.take(WHOLE, block(2))) == [2]
    error = VideoError("truncated", "no more")
    assert said(striped.take(WHOLE, error)) == [error]


def read_shares(request: WindowsRef) -> Iterator[WindowBlock]:
    """Ten blocks; shares misbehave as the path says, and a whole does too in its end."""
    kind = request.video.path
    for number in range(10):
        if not request.has(number):
            continue
        if request.stripes > 1 and request.stripe == 1 and number == 6:
            if kind == "die":
                signal.raise_signal(signal.SIGSEGV)
            if kind == "hang":
                time.sleep(60)
        if request.stripes > 1 and kind == "whole":
            raise VideoError("unreadable", "only as a whole")
        if kind == "bad" and number == 7:
            raise VideoError("truncated", "no more of it")
        time.sleep(0.01 * (number % 3))
        yield block(number, path=kind)


def numbers_of(loader: Loader, *paths: str) -> list[str]:
    told = []
    with loader:
        for item in loader.load(WindowsRef(VideoRef(path)) for path in paths):
            if isinstance(item, WindowBlock):
                assert (item.frames == item.number).all()
                told.append(f"{item.ref.path}{item.number}")
            elif isinstance(item, Failure):
                told.append(f"{item.ref.path} {item.error.kind}")
            else:
                assert item is IDLE
    return told


@pytest.mark.parametrize("stripes", [2, 3, 5])
def test_several_workers_give_the_blocks_of_one(stripes: int) -> None:
    loader = Loader(read_shares, workers=3, bounds=Bounds(60.0), window=4, stripes=stripes)
    assert numbers_of(loader, "a", "b") == [f"{p}{n}" for p in "ab" for n in range(10)]


@pytest.mark.parametrize("kind", ["die", "hang", "whole"])
def test_a_share_that_fails_costs_nothing(kind: str) -> None:
    loader = Loader(read_shares, workers=2, bounds=Bounds(1.0), window=4, stripes=2)
    expected = [f"{p}{n}" for p in (kind, "a") for n in range(10)]
    assert numbers_of(loader, kind, "a") == expected


def test_a_video_that_fails_does_so_after_the_blocks_before() -> None:
    loader = Loader(read_shares, workers=2, bounds=Bounds(60.0), window=4, stripes=2)
    expected = [*(f"bad{n}" for n in range(7)), "bad truncated", *(f"a{n}" for n in range(10))]
    assert numbers_of(loader, "bad", "a") == expected


def test_shares_are_not_read_far_ahead_of_who_takes_them() -> None:
    loader = Loader(read_shares, workers=3, bounds=Bounds(60.0), window=4, stripes=3)
    with loader:
        items = loader.load([WindowsRef(VideoRef("a"))])
        assert isinstance(next(i for i in items if i is not IDLE), WindowBlock)
        time.sleep(1.0)
        striped = loader._striped[0]
        assert sum(map(len, loader._results.values())) + len(striped._waiting) <= 6


def read(path: Path, **more: int) -> list[WindowBlock]:
    request = WindowsRef(VideoRef(str(path)), **more)
    reading = WindowReading(request, SAMPLING, WINDOWS, SMALL, LimitsConfig())
    return [b for b in reading.blocks() if isinstance(b, WindowBlock)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("first", [0, 3])
def test_shares_of_a_file_are_its_blocks(numbered: Make, name: str, first: int) -> None:
    path = numbered(name, codec="h264-b", num_frames=600)
    whole = read(path, first_block=first)
    assert len(whole) > 3
    shares = [b for i in range(3) for b in read(path, first_block=first, stripe=i, stripes=3)]
    shares.sort(key=lambda b: b.number)
    assert [b.number for b in shares] == [b.number for b in whole]
    for one, other in zip(whole, shares, strict=True):
        assert np.array_equal(one.frames, other.frames)
        assert (one.windows, one.first_place, one.is_last, one.may_keep) == (
            other.windows, other.first_place, other.is_last, other.may_keep
        )  # fmt: skip


@pytest.mark.parametrize("name", ["a.ts", "a.avi", "damaged.mp4", "a.mp4"])
def test_every_kind_of_file_is_read_by_several_as_by_one(
    numbered: Make, tmp_path: Path, name: str
) -> None:
    made = numbered(name.replace("damaged", "a"), num_frames=600)
    path = tmp_path / name
    content = bytearray(made.read_bytes())
    if name == "damaged.mp4":
        content[len(content) // 2 : len(content) // 2 + 500] = bytes(500)
    path.write_bytes(content)
    by_one, by_three = (
        start_loader(READER, workers, LimitsConfig(), batch_size=4, clip_bytes=1 << 24,
                     num_films=films)
        for workers, films in ((1, None), (3, 1))
    )  # fmt: skip
    found = []
    for loader in (by_one, by_three):
        with loader:
            items = list(loader.load([WindowsRef(VideoRef(str(path)))]))
        found.append([item for item in items if item is not IDLE])
    one, three = found
    assert [type(item) for item in one] == [type(item) for item in three]
    assert len(one) > 5
    for a, b in zip(one, three, strict=True):
        assert isinstance(a, WindowBlock)
        assert isinstance(b, WindowBlock)
        assert np.array_equal(a.frames, b.frames)
        assert (a.number, a.windows, a.warnings) == (b.number, b.windows, b.warnings)


def test_few_films_share_the_workers() -> None:
    for workers, films, stripes in ((4, 1, 4), (4, 3, 4), (4, 4, 1), (4, 9, 1), (4, None, 1)):
        loader = start_loader(
            READER, workers, LimitsConfig(), batch_size=1, clip_bytes=1, is_eager=False,
            num_films=films,
        )  # fmt: skip
        assert loader._stripes == stripes
