"""A remote object reads as a local file does, and fetches no more than it must."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.errors import VideoError
from actcli.remote import ranges
from actcli.remote.ranges import BLOCK, Blocks, RangeFile, lists_its_packets

CONTENT = random.Random(2).randbytes(20 * BLOCK + 77)


class Memory:
    """A remote object in memory that notes what it is asked for."""

    def __init__(self, content: bytes, head: int = 0) -> None:
        self.content, self.size, self.head = content, len(content), content[:head]
        self.identity: str | None = "v1"
        self.asked: list[tuple[int, int]] = []

    def read_range(self, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        return self.content[start:end]

    def close(self) -> None:
        pass


@given(
    st.lists(st.tuples(st.integers(0, len(CONTENT) + 9), st.integers(-1, 3 * BLOCK)), max_size=8),
    st.integers(0, 3 * BLOCK),
)
def test_reads_anywhere_equal_those_of_a_local_file(
    steps: list[tuple[int, int]], head: int
) -> None:
    far, near = RangeFile(Blocks(Memory(CONTENT, head))), io.BytesIO(CONTENT)
    for position, count in steps:
        assert far.seek(position) == near.seek(position)
        assert far.read(count) == near.read(count)
        assert far.tell() == near.tell()


def test_no_byte_is_fetched_twice() -> None:
    remote = Memory(CONTENT, head=2 * BLOCK)
    file = RangeFile(Blocks(remote))
    for start in (15 * BLOCK, 0, 7 * BLOCK, 3):
        file.seek(start)
        file.read(6 * BLOCK)
    file.seek(0)
    assert file.read() == CONTENT
    assert sum(end - start for start, end in remote.asked) == len(CONTENT) - 2 * BLOCK


def test_a_jump_fetches_one_block() -> None:
    remote = Memory(CONTENT)
    file = RangeFile(Blocks(remote))
    file.seek(9 * BLOCK + 5)
    file.read(10)
    assert remote.asked == [(9 * BLOCK, 10 * BLOCK)]


def test_reading_on_fetches_ahead_no_more_than_was_read() -> None:
    remote = Memory(CONTENT)
    file = RangeFile(Blocks(remote))
    while file.tell() < 12 * BLOCK:
        file.read(BLOCK // 2)
    assert len(remote.asked) <= 6
    assert all(end - start <= max(start, BLOCK) for start, end in remote.asked)


def test_hollow_reads_fetch_nothing_and_end_where_the_file_does() -> None:
    remote = Memory(CONTENT)
    file = RangeFile(Blocks(remote))
    file.is_hollow = True
    assert file.read(10) == bytes(10)
    assert len(file.read()) == len(CONTENT) - 10
    assert (file.read(5), remote.asked) == (b"", [])


def test_an_error_is_raised_once_and_kept() -> None:
    remote = Memory(CONTENT)

    def fail(start: int, end: int) -> bytes:
        raise VideoError("remote", "the server is gone")

    remote.read_range = fail  # type: ignore[method-assign]
    file = RangeFile(Blocks(remote))
    with pytest.raises(VideoError, match="gone") as caught:
        file.read(1)
    assert (file.read(1), file.error) == (b"", caught.value)


def test_more_than_may_be_kept_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "MAX_KEPT_BYTES", 4 * BLOCK)
    with pytest.raises(VideoError) as caught:
        RangeFile(Blocks(Memory(CONTENT))).read()
    assert caught.value.kind == "too_large"


def test_a_size_that_nothing_has_is_too_large() -> None:
    remote = Memory(CONTENT)
    remote.size = 10**30
    with pytest.raises(VideoError) as caught:
        Blocks(remote)
    assert caught.value.kind == "too_large"


def box(name: bytes, length: int) -> bytes:
    return length.to_bytes(4, "big") + name + bytes(length - 8)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        (box(b"ftyp", 16) + box(b"moov", 40) + box(b"mdat", 100), True),
        (box(b"ftyp", 16) + box(b"mdat", 100) + box(b"moov", 40), True),
        (box(b"ftyp", 16) + box(b"moov", 40) + box(b"moof", 30) + box(b"mdat", 100), False),
        (box(b"ftyp", 16) + box(b"moov", 40) + (b"\0\0\0\0mdat" + bytes(8)), True),
        (box(b"ftyp", 16) + box(b"mdat", 100), False),
        (box(b"ftyp", 16) + box(b"moov", 40) + box(b"mdat", 100)[:-1], False),
        (b"\x47" * 400, False),
        (b"\0\0\0\3moov" + bytes(30), False),
    ],
)
def test_which_files_list_their_packets(boxes: bytes, expected: bool) -> None:
    assert lists_its_packets(RangeFile(Blocks(Memory(boxes)))) is expected
