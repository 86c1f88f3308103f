"""What a video is: its stream, its length, its limits, and what is said when it is damaged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from actcli.config import LimitsConfig
from actcli.errors import VideoError
from actcli.types import Preprocessing
from actcli.video.decode import probe, read_frames
from actcli.video.picture import PictureMaker
from actcli.video.timeline import Timeline
from tests.video.making import number_picture, numbers, write_video

Make = Callable[..., Path]
SMALL = Preprocessing(64, resize="squash")


def read_all(path: Path, limits: LimitsConfig | None = None) -> tuple[list[int], tuple[str, ...]]:
    """The numbers of all shown frames, and the warnings."""

    def everything(timeline: Timeline) -> range:
        return range(timeline.num_frames)

    reading = read_frames(path, everything, PictureMaker(SMALL), limits or LimitsConfig())
    return numbers(reading.frames[i] for i in sorted(reading.frames)), reading.warnings


def write_streams(path: Path, streams: list[dict[str, Any]], num_frames: int = 12) -> Path:
    """Several video streams in one file; each shows its own numbers from `first` on."""
    with av.open(str(path), "w") as output:
        made: list[Any] = []
        for spec in streams:
            stream = output.add_stream(spec.get("codec", "libx264"), rate=10)
            stream.width, stream.height = spec["size"]
            stream.pix_fmt = spec.get("format", "yuv420p")
            stream.disposition = spec["disposition"]
            made.append(stream)
        for number in range(num_frames):
            for stream, spec in zip(made, streams, strict=True):
                if number >= spec.get("frames", num_frames):
                    continue
                picture = number_picture(spec["first"] + number, *spec["size"])
                frame = VideoFrame.from_ndarray(picture, format="rgb24")
                frame = frame.reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = number, Fraction(1, 10)
                output.mux(stream.encode(frame))
        for stream in made:
            output.mux(stream.encode(None))
    return path


DEFAULT, NONE, COVER = (
    av.stream.Disposition.default,
    av.stream.Disposition(0),
    av.stream.Disposition.attached_pic,
)


def test_a_probe_tells_what_the_video_is(numbered: Make) -> None:
    info = probe(numbered("a.mp4", codec="h264-b"))
    assert (info.num_frames, info.duration_s, info.average_rate) == (60, 2.0, 30.0)
    assert (info.width, info.height, info.rotation_deg) == (96, 64, 0)
    assert (info.codec, info.container, info.has_timestamps) == ("h264", "mov", True)


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", num_frames=1, rate=10)
    assert read_all(path) == ([0], ())
    assert probe(path).duration_s == pytest.approx(0.1)


def test_of_two_videos_the_default_one_is_taken(tmp_path: Path) -> None:
    large = {"size": (192, 128), "first": 100, "disposition": NONE}
    small = {"size": (96, 64), "first": 0, "disposition": DEFAULT}
    path = write_streams(tmp_path / "a.mkv", [large, small])
    assert read_all(path)[0] == list(range(12))


def test_of_two_default_videos_the_larger_one_is_taken(tmp_path: Path) -> None:
    small = {"size": (96, 64), "first": 0, "disposition": DEFAULT}
    large = {"size": (192, 128), "first": 100, "disposition": DEFAULT}
    path = write_streams(tmp_path / "a.mkv", [small, large])
    assert read_all(path)[0] == list(range(100, 112))


def test_cover_art_beside_a_video_is_not_looked_at(tmp_path: Path) -> None:
    cover = {
        "size": (640, 480),
        "first": 255,
        "disposition": COVER,
        "codec": "mjpeg",
        "format": "yuvj420p",
        "frames": 1,
    }
    video = {"size": (96, 64), "first": 0, "disposition": DEFAULT}
    path = write_streams(tmp_path / "a.mp4", [cover, video])
    with av.open(str(path)) as container:
        assert any(stream.disposition & COVER for stream in container.streams.video)
    assert read_all(path)[0] == list(range(12))


def test_frames_may_change_their_size_midway(tmp_path: Path) -> None:
    first = write_video(tmp_path / "1.ts", codec="h264-b", num_frames=12)
    second = write_video(
        tmp_path / "2.ts",
        codec="h264-b",
        num_frames=12,
        picture=lambda i: number_picture(100 + i, 160, 128),
    )
    joined = tmp_path / "a.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    assert read_all(joined)[0] == [*range(12), *range(100, 112)]
    assert probe(joined).duration_s == pytest.approx(0.8, abs=0.05)


def test_a_raw_stream_is_counted_and_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.h264", codec="h264-b", num_frames=25)
    seen, warnings = read_all(path)
    assert seen == list(range(25))
    assert warnings == ("no timestamps: times are counted at 30 frames per second",)


def test_a_gif_is_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.gif", codec="gif", num_frames=10, rate=10, pixel_format="rgb8")
    assert read_all(path) == (list(range(10)), ())
    assert probe(path).duration_s == pytest.approx(1.0)


def test_transparency_of_a_gif_shows_what_the_decoder_shows(tmp_path: Path) -> None:
    from PIL import Image

    picture = Image.new("P", (32, 32), 1)
    picture.putpalette([0, 0, 0, 200, 30, 30] + [0] * 762)
    picture.paste(0, (0, 0, 16, 32))
    picture.save(tmp_path / "a.gif", transparency=0)
    reading = read_frames(tmp_path / "a.gif", lambda _: [0], PictureMaker(SMALL), LimitsConfig())
    assert reading.frames[0][:, 32, 4].tolist() == [255, 255, 255]
    assert reading.frames[0][:, 32, 60].tolist() == [200, 30, 30]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_more_pixels_than_allowed_are_refused_before_decoding(numbered: Make, suffix: str) -> None:
    with pytest.raises(VideoError, match="got 96x64, 6144 pixels, expected at most 6143") as caught:
        probe(numbered(f"a.{suffix}"), LimitsConfig(max_pixels=6143))
    assert (caught.value.kind, caught.value.hint) == ("too_large", "--max-pixels 6144")
    assert probe(numbered(f"a.{suffix}"), LimitsConfig(max_pixels=6144)).num_frames == 60


@pytest.mark.parametrize("seek", [True, False])
def test_a_video_of_too_many_frames_is_refused(numbered: Make, seek: bool) -> None:
    def read(max_frames: int) -> None:
        limits = LimitsConfig(max_frames=max_frames)
        read_frames(numbered("a.mp4"), lambda _: [0], PictureMaker(SMALL), limits, seek=seek)

    read(60)
    with pytest.raises(VideoError) as caught:
        read(59)
    assert (caught.value.kind, caught.value.message) == ("too_large", "more than 59 frames")


def test_a_frame_that_grows_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    first = write_video(tmp_path / "1.ts", num_frames=24)
    second = write_video(
        tmp_path / "2.ts", num_frames=12, picture=lambda i: number_picture(i, 640, 480)
    )
    joined = tmp_path / "a.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(VideoError, match="got 640x480") as caught:
        read_all(joined, LimitsConfig(max_pixels=20000))
    assert caught.value.kind == "too_large"


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_a_longer_video_than_allowed_is_refused(numbered: Make, suffix: str) -> None:
    with pytest.raises(VideoError, match="too long") as caught:
        probe(numbered(f"a.{suffix}"), LimitsConfig(max_duration_s=1.5))
    assert (caught.value.kind, caught.value.hint) == ("too_large", "--max-duration 3")


def test_reading_ends_when_its_time_is_up(numbered: Make) -> None:
    with pytest.raises(VideoError) as caught:
        probe(numbered("a.mp4"), LimitsConfig(timeout_s=1e-9))
    assert caught.value.kind == "timeout"


def cut(path: Path, target: Path, share: float) -> Path:
    data = path.read_bytes()
    target.write_bytes(data[: int(len(data) * share)])
    return target


def test_a_file_cut_at_the_end_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = write_video(
        tmp_path / "w.mp4", container_options={"movflags": "faststart"}, codec="h264"
    )
    seen, warnings = read_all(cut(whole, tmp_path / "a.mp4", 0.85))
    assert seen == list(range(len(seen)))
    assert 30 < len(seen) < 60
    assert warnings == (f"only {len(seen)} of 60 frames could be decoded",)


def test_a_file_with_less_than_half_of_its_frames_is_an_error(tmp_path: Path) -> None:
    whole = write_video(
        tmp_path / "w.mp4", container_options={"movflags": "faststart"}, codec="h264"
    )
    with pytest.raises(VideoError, match=r"only \d+ of 60 frames could be decoded") as caught:
        read_all(cut(whole, tmp_path / "a.mp4", 0.55))
    assert caught.value.kind == "truncated"


def test_a_matroska_file_cut_at_the_end_says_so(numbered: Make, tmp_path: Path) -> None:
    path = cut(numbered("a.mkv", num_frames=120), tmp_path / "a.mkv", 0.6)
    seen, warnings = read_all(path)
    assert seen == list(range(len(seen)))
    assert len(warnings) == 1
    assert "of the 4.0 s announced" in warnings[0]


def test_damage_midway_costs_only_the_frames_it_hits(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", codec="h264", num_frames=48, gop=12)
    with av.open(str(path)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    start, size = places[18]
    data[start + 4 : start + size] = bytes(size - 4)
    path.write_bytes(data)
    seen, warnings = read_all(path)
    assert seen[:18] == list(range(18))
    assert seen[-24:] == list(range(24, 48))
    assert warnings


def test_a_stream_without_a_single_frame_has_no_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", codec="vp9", num_frames=4)
    data = path.read_bytes()
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                data = data.replace(bytes(packet), bytes(packet.size))
    path.write_bytes(data)
    with pytest.raises(VideoError, match="got 0 of 4") as caught:
        read_all(path)
    assert caught.value.kind == "no_frames"


def test_random_damage_never_gives_another_error(numbered: Make, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sources = [
        numbered(f"a.{suffix}", codec=codec, num_frames=12).read_bytes()
        for codec, suffix in [
            ("h264-b", "mp4"),
            ("h264-b", "ts"),
            ("vp9", "webm"),
            ("mpeg4", "avi"),
        ]
    ]
    limits = LimitsConfig(max_pixels=1_000_000, timeout_s=20)
    for trial in range(200):
        data = bytearray(sources[trial % len(sources)])
        if trial % 3 == 0:
            del data[int(random.integers(len(data))) :]
        for place in random.integers(0, max(1, len(data)), size=trial % 7 * 5):
            if data:
                data[int(place) % len(data)] = int(random.integers(256))
        path = tmp_path / "a.bin"
        path.write_bytes(data)
        with suppress(VideoError):
            read_all(path, limits)
