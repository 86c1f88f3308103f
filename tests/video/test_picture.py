"""From decoded frames to upright pictures with the right shape and colours."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from actcli.config import LimitsConfig
from actcli.types import Preprocessing
from actcli.video.decode import probe, read_frames
from actcli.video.picture import PictureMaker
from tests.video.making import write_video

Pixels = np.ndarray[Any, Any]
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (235,) * 3}


def quadrants(_: int) -> Pixels:
    """128 x 64: red, green over blue, white."""
    picture = np.zeros((64, 128, 3), np.uint8)
    for index, colour in enumerate(COLOURS.values()):
        y, x = divmod(index, 2)
        picture[y * 32 : y * 32 + 32, x * 64 : x * 64 + 64] = colour
    return picture


def first_picture(path: Path, resize: Any = "squash", size: int = 64) -> Pixels:
    maker = PictureMaker(Preprocessing(size, resize=resize))
    return read_frames(path, lambda _: [0], maker, LimitsConfig()).frames[0]


def corners(picture: Pixels) -> list[str]:
    """Names of the colours at top left, top right, bottom left, bottom right."""
    names = []
    for y, x in ((16, 16), (16, 48), (48, 16), (48, 48)):
        seen = picture[:, y, x].astype(int)
        names.append(min(COLOURS, key=lambda name: np.abs(seen - COLOURS[name]).sum()))
    return names


@pytest.mark.parametrize(
    ("degrees", "order"),
    [
        (0, ["red", "green", "blue", "white"]),
        (90, ["green", "white", "red", "blue"]),
        (180, ["white", "blue", "green", "red"]),
        (-90, ["blue", "red", "white", "green"]),
    ],
)
def test_rotated_videos_are_turned_upright(tmp_path: Path, degrees: int, order: list[str]) -> None:
    """`degrees` counter-clockwise is what a player must turn the stored picture by."""

    def rotate(stream: Any) -> None:
        stream.set_display_rotation(degrees)

    path = write_video(tmp_path / "a.mp4", num_frames=3, picture=quadrants, prepare=rotate)
    info = probe(path)
    assert info.rotation_deg == degrees % 360
    assert (info.width, info.height) == ((64, 128) if degrees % 180 else (128, 64))
    assert corners(first_picture(path)) == order


def test_a_picture_turned_by_quarters_keeps_its_shape(tmp_path: Path) -> None:
    def rotate(stream: Any) -> None:
        stream.set_display_rotation(90)

    path = write_video(tmp_path / "a.mp4", num_frames=3, picture=quadrants, prepare=rotate)
    picture = first_picture(path, resize="longest")
    assert picture[:, :, :15].max() == 0  # padding stands at the sides of an upright picture
    assert picture[:, 2, 20:44].max() > 100


def test_pixels_that_are_not_square_are_widened(tmp_path: Path) -> None:
    def widen(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        stream.sample_aspect_ratio = Fraction(2, 1)

    path = write_video(tmp_path / "a.mp4", num_frames=3, picture=quadrants, prepare=widen)
    assert (probe(path).width, probe(path).height) == (256, 64)
    picture = first_picture(path, resize="longest")
    assert picture[:, :23].max() == 0
    assert picture[:, 26:38].max() > 100


@pytest.mark.parametrize("space", [1, 5, 9])
@pytest.mark.parametrize("full", [False, True])
def test_colours_come_back_by_the_tagged_matrix_and_range(
    tmp_path: Path, space: int, full: bool
) -> None:
    """Matrices as FFmpeg numbers them: 1 BT.709, 5 BT.601, 9 BT.2020."""
    path = write_tagged(tmp_path / "a.mkv", space, full)
    seen = first_picture(path)
    for name, (y, x) in zip(COLOURS, ((16, 16), (16, 48), (48, 16), (48, 48)), strict=True):
        assert np.abs(seen[:, y, x].astype(int) - COLOURS[name]).max() <= 6, name


def test_an_untagged_video_is_read_as_bt601_as_ffmpeg_does(tmp_path: Path) -> None:
    path = write_tagged(tmp_path / "a.mkv", 5, full=False, tag=2)
    assert np.abs(first_picture(path)[:, 16, 16].astype(int) - COLOURS["red"]).max() <= 6


def test_the_matrix_matters(tmp_path: Path) -> None:
    """What BT.709 wrote and BT.601 reads is off by far more than coding is."""
    path = write_tagged(tmp_path / "a.mkv", 1, full=False, tag=5)
    assert np.abs(first_picture(path)[:, 16, 48].astype(int) - COLOURS["green"]).max() > 12


KR_KB = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}


def write_tagged(path: Path, space: int, full: bool, tag: int | None = None) -> Path:
    """Quadrants in YCbCr 4:4:4 computed here by a matrix and range, and tagged so."""
    red, blue = KR_KB[space]
    rgb = quadrants(0).astype(float) / 255
    luma = red * rgb[..., 0] + (1 - red - blue) * rgb[..., 1] + blue * rgb[..., 2]
    cb, cr = (rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)
    if full:
        planes = [luma * 255, cb * 255 + 128, cr * 255 + 128]
    else:
        planes = [luma * 219 + 16, cb * 224 + 128, cr * 224 + 128]
    array = np.stack([np.clip(p.round(), 0, 255) for p in planes]).astype(np.uint8)
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv444p"
        stream.codec_context.colorspace = space if tag is None else tag
        stream.codec_context.color_range = 2 if full else 1
        frame = VideoFrame.from_ndarray(array, format="yuv444p")
        frame.colorspace = space if tag is None else tag
        frame.color_range = 2 if full else 1
        frame.pts, frame.time_base = 0, Fraction(1, 10)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def interlaced_frame() -> VideoFrame:
    """Even lines show a bar at the left, odd lines one at the right, as a fast motion would."""
    rgb = np.full((64, 64, 3), 30, np.uint8)
    rgb[0::2, 4:24] = (30, 30, 220)
    rgb[1::2, 40:60] = (220, 30, 30)
    # Chroma lines belong to fields too, in pairs of four luma lines.
    luma = np.array([0.299, 0.587, 0.114]) @ rgb.reshape(-1, 3).T
    luma = (luma.reshape(64, 64) * 219 / 255 + 16).round().astype(np.uint8)
    planes = [luma]
    for channel, factor in ((2, 1.772), (0, 1.402)):
        chroma = (rgb[..., channel] - (luma.astype(float) - 16) * 255 / 219) / factor
        fields = np.stack([chroma[0::2][::2], chroma[1::2][::2]], axis=1).reshape(32, 64)
        planes.append((fields[:, ::2] * 224 / 255 + 128).round().astype(np.uint8))
    stacked = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(96, 64)
    return VideoFrame.from_ndarray(stacked, format="yuv420p")


@pytest.fixture
def interlaced_video(tmp_path: Path) -> Path:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        options = {"x264-params": "tff=1", "crf": "4"}
        stream: Any = output.add_stream("libx264", rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct.value
        frame = interlaced_frame()
        for pts in range(3):
            frame.pts, frame.time_base = pts, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def test_an_interlaced_frame_shows_one_moment_without_combs(interlaced_video: Path) -> None:
    with av.open(str(interlaced_video)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    picture = first_picture(interlaced_video).astype(int)
    middle = picture[:, 8:56]
    assert np.abs(np.diff(middle, axis=1)).max() <= 8  # no comb: lines of a bar are alike
    assert middle[2, :, 14].min() > 180  # the even lines' bar is there, in full blue
    assert np.abs(middle[:, :, 50] - 30).max() <= 14  # the odd lines' bar is not, nor its colour


def test_ten_bit_video_is_read_like_eight_bit(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "a.mkv", num_frames=3, picture=quadrants, pixel_format="yuv420p10le"
    )
    assert corners(first_picture(path)) == list(COLOURS)


@pytest.mark.parametrize("code", [0.0, 0.3, 0.5, 0.58])
@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_video_is_brought_to_standard_range(tmp_path: Path, transfer: int, code: float) -> None:
    from actcli.video.colour import to_sdr

    level = round(64 + code * 876)
    planes = np.full((96, 64), 512, np.uint16)
    planes[:64] = level
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        options = {"x265-params": "log-level=none", "crf": "0"}
        stream: Any = output.add_stream("libx265", rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, 9, 9
        context.color_range = 1
        frame = VideoFrame.from_ndarray(planes, format="yuv420p10le")
        frame.color_trc, frame.color_primaries, frame.colorspace = transfer, 9, 9
        frame.color_range = 1
        frame.pts, frame.time_base = 0, Fraction(1, 10)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    expected = to_sdr(np.full((3, 1, 1), code, np.float32), transfer, 9).ravel().astype(int)
    assert np.abs(first_picture(path)[:, 32, 32].astype(int) - expected).max() <= 3


def test_a_hundred_frames_reuse_one_converter(numbered: Callable[..., Path]) -> None:
    maker = PictureMaker(Preprocessing(32, resize="squash"))
    path = numbered("a.mp4")
    first = read_frames(path, lambda _: range(60), maker, LimitsConfig()).frames
    second = read_frames(path, lambda _: range(60), maker, LimitsConfig()).frames
    assert all(np.array_equal(first[i], second[i]) for i in range(60))
