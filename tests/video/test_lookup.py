"""Chosen frames are exactly the expected ones, found by time or by counting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actcli.config import LimitsConfig
from actcli.types import Preprocessing
from actcli.video.decode import Reading, read_frames
from actcli.video.picture import PictureMaker
from actcli.video.reader import Reader
from actcli.video.timeline import Timeline
from tests.video.making import numbers, remux, write_video

Make = Callable[..., Path]
LIMITS = LimitsConfig()
SMALL = Preprocessing(64, resize="squash")
WANTED = [0, 1, 11, 12, 13, 30, 31, 47, 58, 59]

CASES = [
    ("h264", "mp4"),
    ("h264", "mkv"),
    ("h264", "avi"),
    ("h264-b", "mp4"),
    ("h264-b", "mkv"),
    ("h264-b", "avi"),
    ("h264-b", "ts"),
    ("h264-b", "flv"),
    ("h264-open", "mp4"),
    ("h264-open", "mkv"),
    ("hevc-b", "mp4"),
    ("hevc-b", "mkv"),
    ("hevc-b", "ts"),
    ("vp9", "webm"),
    ("vp9", "mp4"),
    ("vp9-hidden", "webm"),
    ("vp8", "webm"),
    ("mpeg4", "avi"),
    ("mpeg4", "mp4"),
    ("mpeg4-b", "avi"),
    ("mpeg4-b", "mkv"),
    ("mpeg4-b", "ts"),
]


def read(path: Path, wanted: Sequence[int], seek: bool | None = None) -> Reading:
    return read_frames(path, lambda _: wanted, PictureMaker(SMALL), LIMITS, seek=seek)


def shown_numbers(reading: Reading, wanted: Sequence[int]) -> list[int]:
    return numbers(reading.frames[index] for index in wanted)


@pytest.mark.parametrize("seek", [True, False, None])
@pytest.mark.parametrize(("codec", "suffix"), CASES)
def test_wanted_frames_are_the_ones_found(
    numbered: Make, codec: str, suffix: str, seek: bool | None
) -> None:
    reading = read(numbered(f"a.{suffix}", codec=codec), WANTED, seek)
    assert shown_numbers(reading, WANTED) == WANTED
    assert reading.timeline.num_frames == 60
    assert reading.warnings == ()


@pytest.mark.parametrize(("codec", "suffix"), CASES)
def test_each_way_gives_the_same_pixels_and_times(numbered: Make, codec: str, suffix: str) -> None:
    path = numbered(f"a.{suffix}", codec=codec)
    counted, sought, auto = (read(path, WANTED, seek) for seek in (False, True, None))
    for other in (sought, auto):
        assert np.array_equal(other.timeline.times_s, counted.timeline.times_s)
        assert other.timeline.duration_s == counted.timeline.duration_s
        assert all(np.array_equal(other.frames[i], counted.frames[i]) for i in WANTED)


@pytest.mark.parametrize(
    ("codec", "suffix", "is_counted"),
    [
        ("h264-b", "mp4", False),
        ("hevc-b", "mkv", False),
        ("vp9-hidden", "webm", False),
        ("mpeg4-b", "avi", True),
        ("h264-b", "ts", True),
        ("mpeg4", "mp4", True),
    ],
)
def test_frames_are_looked_up_only_where_packets_can_be_trusted(
    numbered: Make, codec: str, suffix: str, is_counted: bool
) -> None:
    assert read(numbered(f"a.{suffix}", codec=codec), [0, 59]).is_counted is is_counted


@pytest.mark.parametrize("codec", ["h264-b", "hevc-b", "vp9"])
@pytest.mark.parametrize("seek", [True, False])
def test_uneven_times_are_kept(numbered: Make, codec: str, seek: bool) -> None:
    ticks = [0, 1, 2, 9, 10, 30, 31, 32, 33, 60]
    path = numbered("a.mkv", codec=codec, num_frames=10, gop=4, times=ticks, rate=10)
    reading = read(path, range(10), seek)
    assert reading.timeline.times_s.tolist() == pytest.approx([t / 10 for t in ticks])
    assert shown_numbers(reading, range(10)) == list(range(10))


@pytest.mark.parametrize("seek", [True, False])
def test_fragmented_mp4_is_read_whole(numbered: Make, tmp_path: Path, seek: bool) -> None:
    source = numbered("a.mp4", codec="h264-b")
    path = remux(source, tmp_path / "f.mp4", movflags="frag_keyframe+empty_moov")
    reading = read(path, WANTED, seek)
    assert shown_numbers(reading, WANTED) == WANTED
    assert reading.timeline.duration_s == pytest.approx(2.0)


@pytest.mark.parametrize("seek", [True, False])
def test_a_clock_that_starts_late_does_not_shift_times(tmp_path: Path, seek: bool) -> None:
    path = write_video(tmp_path / "a.mkv", codec="h264-b", times=list(range(1000, 1060)))
    reading = read(path, WANTED, seek)
    assert reading.timeline.times_s[0] == 0.0
    assert reading.timeline.duration_s == pytest.approx(2.0, abs=0.002)
    assert shown_numbers(reading, WANTED) == WANTED


def test_refreshing_intra_blocks_instead_of_key_frames_falls_back_to_counting(
    tmp_path: Path,
) -> None:
    def refresh(stream: object) -> None:
        stream.options = {  # type: ignore[attr-defined]
            "x264-params": "intra-refresh=1:keyint=12:bframes=0:no-scenecut=1"
        }

    path = write_video(tmp_path / "a.mkv", codec="libx264", prepare=refresh)
    reading = read(path, WANTED, seek=True)
    assert reading.is_counted
    assert shown_numbers(reading, WANTED) == WANTED


def test_only_wanted_frames_are_converted(numbered: Make) -> None:
    converted: list[int] = []

    def convert(frame: object, aspect: object) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        converted.append(1)
        return np.zeros(0, np.uint8)

    for seek in (True, False):
        converted.clear()
        read_frames(
            numbered("a.mp4", codec="h264-b"), lambda _: [3, 3, 40], convert, LIMITS, seek=seek
        )
        assert len(converted) == 2


def test_a_wrong_guess_costs_a_second_pass_and_nothing_else(tmp_path: Path) -> None:
    # One packet is damaged, so the packets promise a frame more than can be shown.
    path = write_video(tmp_path / "a.avi", codec="mpeg4")
    data = bytearray(path.read_bytes())
    middle = data.find(b"00dc", len(data) * 6 // 10)
    data[middle + 8 : middle + 20] = bytes(12)
    path.write_bytes(data)

    def last_two(timeline: Timeline) -> list[int]:
        return [timeline.num_frames - 2, timeline.num_frames - 1]

    reading = read_frames(path, last_two, PictureMaker(SMALL), LIMITS)
    assert reading.timeline.num_frames == 59
    assert numbers(reading.frames[i] for i in last_two(reading.timeline)) == [58, 59]


@pytest.mark.parametrize(("codec", "suffix"), [("h264-b", "mp4"), ("hevc-b", "mkv")])
def test_no_packet_after_the_last_wanted_one_is_decoded(
    numbered: Make, codec: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []
    decode = Reader.decode

    def counted(reader: Reader, packet: Any) -> Any:
        given.append(packet)
        return decode(reader, packet)

    monkeypatch.setattr(Reader, "decode", counted)
    path = numbered(f"a.{suffix}", codec=codec)
    assert shown_numbers(read(path, [0, 12]), [0, 12]) == [0, 12]  # both are key frames
    assert len(given) == 4  # each, and the end, which lets it out


@pytest.mark.parametrize("layers", [1, 2])
def test_pictures_that_no_other_needs_are_left_out_where_that_is_sure(
    tmp_path: Path, layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[object] = []
    decode = Reader.decode

    def counted(reader: Reader, packet: Any) -> Any:
        released.extend(frames := decode(reader, packet))
        return frames

    def prepare(stream: Any) -> None:
        params = (
            f"log-level=none:keyint=60:min-keyint=60:scenecut=0:bframes=3:temporal-layers={layers}"
        )
        stream.options = {"x265-params": params}

    path = write_video(tmp_path / "a.mp4", codec="libx265", gop=60, prepare=prepare)
    expected = read(path, WANTED, seek=False).frames
    monkeypatch.setattr(Reader, "decode", counted)
    found = read(path, WANTED, seek=True).frames
    assert all(np.array_equal(found[index], expected[index]) for index in WANTED)
    assert (len(released) < 60) == (layers == 1)
