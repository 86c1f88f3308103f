"""Windows read in blocks: the same frames as one by one, each decoded once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from actcli.config import LimitsConfig, SamplingConfig, WindowConfig
from actcli.errors import VideoError
from actcli.types import Preprocessing, VideoRef
from actcli.video.clips import read_clip
from actcli.video.reader import Reader
from actcli.video.windows import WindowReading
from actcli.windows import Window, WindowBlock, WindowsRef
from tests.video.making import numbers, remux, write_video

Make = Callable[..., Path]
SMALL = Preprocessing(64, resize="squash")
FILES = ("a.mp4", "a.mkv", "a.ts", "a.avi")


def blocks_of(path: Path, first_block: int = 0, **more: Any) -> list[WindowBlock]:
    ref = VideoRef(str(path), more.pop("start", None), more.pop("end", None))
    windows = WindowConfig(
        window_s=more.pop("window", 1.0), window_stride_s=more.pop("stride", 0.5)
    )
    sampling = SamplingConfig(num_frames=4) if not more else SamplingConfig(**more)
    request = WindowsRef(ref, first_block)
    reading = WindowReading(request, sampling, windows, SMALL, LimitsConfig())
    return [block for block in reading.blocks() if isinstance(block, WindowBlock)]


def clips(blocks: list[WindowBlock]) -> list[tuple[Window, NDArray[np.uint8]]]:
    """Each window with its frames, [V, T, K, 3, X, X]."""
    frames = np.concatenate([block.frames for block in blocks])
    first = blocks[0].first_place
    windows = [window for block in blocks for window in block.windows]
    return [(window, frames[np.array(window.places) - first]) for window in windows]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("codec", ["h264", "h264-b", "h264-open"])
def test_a_window_has_the_frames_of_the_video_trimmed_to_it(
    numbered: Make, name: str, codec: str
) -> None:
    if name == "a.avi" and codec != "h264":
        pytest.skip("AVI has no time of showing, which B-frames need")
    path = numbered(name, codec=codec, num_frames=100)
    found = clips(blocks_of(path))
    assert len(found) in (6, 7)  # a transport stream's last frame has no duration
    for window, frames in found:
        ref = VideoRef(str(path), window.start_s, window.end_s)
        alone = read_clip(ref, SamplingConfig(num_frames=4), SMALL, LimitsConfig())
        assert np.array_equal(frames[:, :, 0], alone.frames)
        assert np.array_equal(window.times_s, alone.times_s)


def test_a_window_as_long_as_the_video_has_its_frames(numbered: Make) -> None:
    path = numbered("a.mp4", codec="h264-b")
    ((window, frames),) = clips(blocks_of(path, window=60.0, num_frames=8, num_views=2))
    whole = read_clip(
        VideoRef(str(path)), SamplingConfig(num_frames=8, num_views=2), SMALL, LimitsConfig()
    )
    assert np.array_equal(frames[:, :, 0], whole.frames)
    assert (window.start_s, window.end_s) == (whole.start_s, whole.end_s)


def test_three_crops_lie_beside_each_frame(numbered: Make) -> None:
    square = Preprocessing(32)
    request = WindowsRef(VideoRef(str(numbered("a.mp4"))))
    sampling = SamplingConfig(num_frames=2, num_crops=3)
    reading = WindowReading(request, sampling, WindowConfig(window_s=9.0), square, LimitsConfig())
    (block,) = (block for block in reading.blocks() if isinstance(block, WindowBlock))
    alone = read_clip(request.video, sampling, square, LimitsConfig())
    assert np.array_equal(block.frames.swapaxes(0, 1), alone.frames)


@pytest.mark.parametrize("name", FILES[:3])
def test_no_frame_is_decoded_twice_however_much_windows_overlap(
    numbered: Make, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, decoded = numbered(name, codec="h264-b", num_frames=200, gop=12), []
    decode = Reader.decode

    def counting(self: Reader, packet: Any) -> Any:
        frames = decode(self, packet)
        decoded.extend(frame.pts for frame in frames)
        return frames

    monkeypatch.setattr(Reader, "decode", counting)
    assert len(clips(blocks_of(path, stride=0.1))) > 50
    assert len(decoded) == len(set(decoded)) <= 200


@pytest.mark.parametrize("name", FILES)
def test_blocks_from_the_middle_on_are_the_same_blocks(numbered: Make, name: str) -> None:
    path = numbered(name, num_frames=200, gop=30)
    whole = blocks_of(path, stride=0.05)
    assert len(whole) > 2
    later = blocks_of(path, first_block=2, stride=0.05)
    assert [block.number for block in later] == list(range(2, len(whole)))
    for one, other in zip(whole[2:], later, strict=True):
        assert np.array_equal(one.frames, other.frames)
        assert (one.first_place, one.windows) == (other.first_place, other.windows)


def test_blocks_from_the_middle_on_seek_there(
    numbered: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = numbered("a.mp4", num_frames=200, gop=10)
    sought: list[int] = []
    seek = Reader.seek
    monkeypatch.setattr(Reader, "seek", lambda self, pts: (sought.append(pts), seek(self, pts))[1])
    first = blocks_of(path, stride=0.05)[2].windows[0]
    sought.clear()
    blocks_of(path, first_block=2, stride=0.05)
    assert len(sought) == 1
    assert sought[0] > 0
    assert first.start_s > 2


def test_a_trimmed_video_has_windows_inside_its_trim(numbered: Make) -> None:
    found = clips(blocks_of(numbered("a.mp4"), start=0.5, end=1.75))
    assert [(w.start_s, w.end_s) for w, _ in found] == [(0.5, 1.5), (0.75, 1.75)]


def test_times_follow_a_variable_rate(tmp_path: Path) -> None:
    times = [*range(0, 30), *range(30, 90, 3)]  # 30, then 10 frames a second
    path = write_video(tmp_path / "a.mp4", num_frames=50, times=times, rate=30)
    found = clips(blocks_of(path, window=1.0, stride=1.0))
    assert [(w.first_frame, w.last_frame) for w, _ in found[:2]] == [(0, 29), (30, 39)]
    assert numbers(found[1][1][0, :, 0]) == [31, 33, 36, 38]
    assert found[1][0].times_s[0] == pytest.approx((33 / 30, 39 / 30, 48 / 30, 54 / 30))


def cut_off(source: Path, target: Path, share: float) -> Path:
    data = source.read_bytes()
    target.write_bytes(data[: int(share * len(data))])
    return target


@pytest.mark.parametrize("name", ["a.ts", "a.mkv"])
def test_a_file_that_ends_early_gives_the_windows_that_it_has(
    numbered: Make, tmp_path: Path, name: str
) -> None:
    path = cut_off(numbered(name, num_frames=200, gop=10), tmp_path / name, 0.7)
    blocks = blocks_of(path)
    found = clips(blocks)
    assert 4.0 < found[-1][0].end_s < 5.5
    for window, frames in found:
        ref = VideoRef(str(path), window.start_s, window.end_s)
        alone = read_clip(ref, SamplingConfig(num_frames=4), SMALL, LimitsConfig())
        assert np.array_equal(frames[:, :, 0], alone.frames)


def test_damage_in_the_middle_changes_no_window_before_it_and_warns(
    numbered: Make, tmp_path: Path
) -> None:
    data = bytearray(numbered("a.mp4", codec="h264-b", num_frames=240, gop=24).read_bytes())
    place = data.index(b"mdat")
    for i in range(place + (len(data) - place) // 2, place + (len(data) - place) // 2 + 60):
        data[i] ^= 0x5A
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    blocks = blocks_of(path, stride=0.05)
    windows = [window for block in blocks for window in block.windows]
    starts = [window.start_s for window in windows]
    assert starts == sorted(set(starts))
    assert windows[-1].end_s == pytest.approx(8.0, abs=0.1)
    assert blocks[-1].is_last
    assert blocks[-1].warnings
    assert not blocks[-1].may_keep


def test_a_file_without_video_is_a_video_error(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"not a video")
    with pytest.raises(VideoError, match="not a video"):
        blocks_of(path)


def test_key_frames_alone_stand_for_the_moments_after_them(numbered: Make) -> None:
    path = numbered("a.mp4", num_frames=100, gop=25)
    found = clips(blocks_of(path, num_frames=4, decode="fast"))
    assert {n for _, frames in found for n in numbers(frames[0, :, 0])} == {0, 25, 50, 75}
    assert set(found[2][0].times_s[0]) == {25 / 30, 50 / 30}


def test_a_stream_copied_cut_has_the_windows_of_its_frames(numbered: Make, tmp_path: Path) -> None:
    source = remux(numbered("a.mp4", codec="h264-open", num_frames=100), tmp_path / "a.mkv")
    found = clips(blocks_of(source))
    alone = [
        read_clip(VideoRef(str(source), w.start_s, w.end_s), SamplingConfig(num_frames=4), SMALL,
                  LimitsConfig())
        for w, _ in found
    ]  # fmt: skip
    assert all(np.array_equal(f[:, :, 0], a.frames) for (_, f), a in zip(found, alone, strict=True))
