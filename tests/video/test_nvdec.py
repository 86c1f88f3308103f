"""Frames that torchcodec decodes are ours, and where it can't be asked or trusted we decode.

No test of these needs a GPU: torchcodec is told to use the CPU, or stood in for by PyAV.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch

from actcli.config import LimitsConfig, SamplingConfig
from actcli.errors import ResourceError
from actcli.types import Preprocessing, VideoRef
from actcli.video import nvdec
from actcli.video.bounds import Bounds
from actcli.video.clips import read_clip
from actcli.video.decode import Reading, read_frames
from actcli.video.picture import PictureMaker
from actcli.video.worker import ClipReader
from tests.video.making import numbers, write_video

Make = Callable[..., Path]
LIMITS = LimitsConfig()
SMALL = Preprocessing(64, resize="squash")
WANTED = [0, 1, 11, 12, 13, 30, 31, 47, 58, 59]
CASES = [
    ("h264", "mp4"), ("h264-b", "mp4"), ("h264-b", "mkv"), ("hevc-b", "mp4"), ("vp9", "webm"),
    ("vp9-hidden", "webm"),
]  # fmt: skip


def widen(stream: Any) -> None:
    """Pixels wider than high."""
    stream.sample_aspect_ratio = Fraction(4, 3)


class StandIn:
    """What we use of torchcodec's VideoDecoder, decoded by PyAV."""

    late_s = 0.0
    left_out = 0
    turns = 0
    cpu_fallback = False

    def __init__(self, source: object, *, stream_index: int, device: str) -> None:
        assert device == "cuda"
        with av.open(str(source)) as container:
            stream = container.streams[stream_index]
            assert stream.time_base is not None
            shown = [(float(f.pts * stream.time_base), f) for f in container.decode(stream)]
        self.frames = shown[: len(shown) - self.left_out]

    def __len__(self) -> int:
        return len(self.frames)

    def get_frames_at(self, indices: list[int]) -> SimpleNamespace:
        times, frames = zip(*(self.frames[i] for i in indices), strict=True)
        pixels = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
        pixels = np.rot90(pixels, self.turns, (1, 2)).copy()
        return SimpleNamespace(
            data=torch.from_numpy(pixels).permute(0, 3, 1, 2),
            pts_seconds=torch.tensor(times, dtype=torch.float64) + self.late_s,
        )


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandIn]:
    """A torchcodec of our own, which a test may have misbehave."""

    class Decoder(StandIn):
        pass

    package, decoders = ModuleType("torchcodec"), ModuleType("torchcodec.decoders")
    decoders.VideoDecoder = Decoder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchcodec", package)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", decoders)
    return Decoder


def by_gpu(path: object, wanted: list[int] = WANTED) -> Reading:
    return nvdec.read_frames_by_gpu(path, lambda _: wanted, PictureMaker(SMALL), LIMITS)  # type: ignore[arg-type]


def by_us(path: Path) -> Reading:
    return read_frames(path, lambda _: WANTED, PictureMaker(SMALL), LIMITS)


def furthest(one: Reading, other: Reading) -> int:
    """The largest difference of any two wanted pixels, in grey levels."""
    return max(
        int(np.abs(one.frames[i].astype(int) - other.frames[i]).max()) for i in sorted(one.frames)
    )


@pytest.mark.parametrize(("codec", "suffix"), CASES)
def test_the_frames_at_the_wanted_times_are_taken(
    numbered: Make, stand_in: object, codec: str, suffix: str
) -> None:
    path = numbered(f"a.{suffix}", codec=codec)
    reading = by_gpu(path)
    assert reading.warnings == ()
    assert numbers(reading.frames[i] for i in WANTED) == WANTED
    assert np.array_equal(reading.timeline.times_s, by_us(path).timeline.times_s)


@pytest.mark.skipif(
    importlib.util.find_spec("torchcodec") is None, reason="torchcodec is not installed"
)
@pytest.mark.parametrize(("codec", "suffix"), CASES)
def test_torchcodec_gives_our_frames(
    numbered: Make, monkeypatch: pytest.MonkeyPatch, codec: str, suffix: str
) -> None:
    monkeypatch.setattr(nvdec, "_DEVICE", "cpu")
    path = numbered(f"a.{suffix}", codec=codec)
    reading = by_gpu(path)
    if any("Could not load" in warning for warning in reading.warnings):
        pytest.skip("torchcodec finds no FFmpeg")
    assert reading.warnings == ()
    assert numbers(reading.frames[i] for i in WANTED) == WANTED
    assert furthest(reading, by_us(path)) <= 3


@pytest.fixture(params=["few", "late", "fallback", "avi", "turned", "deep", "missing", "broken"])
def declined(
    request: pytest.FixtureRequest, tmp_path: Path, stand_in: type[StandIn],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Path, str]:  # fmt: skip
    """A video, or a decoder, with which ours must do instead; and what is said of it."""

    path, options = tmp_path / "a.mp4", {}
    said = {
        "few": "it counts other frames", "late": "other times", "fallback": "not a video for it",
        "avi": "packets don't tell", "turned": "not square", "deep": "yuv420p10le",
        "missing": "torchcodec", "broken": "torchcodec: no such thing",
    }[request.param]  # fmt: skip
    if request.param == "few":
        monkeypatch.setattr(stand_in, "left_out", 1)
    elif request.param == "late":
        monkeypatch.setattr(stand_in, "late_s", 0.002)
    elif request.param == "fallback":
        monkeypatch.setattr(stand_in, "cpu_fallback", True)
    elif request.param == "avi":
        path = tmp_path / "a.avi"
    elif request.param == "turned":
        options = {"prepare": widen}
        monkeypatch.setattr(stand_in, "turns", 1)
    elif request.param == "deep":
        options = {"pixel_format": "yuv420p10le", "codec": "hevc-b"}
    elif request.param == "missing":
        monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    else:

        def refuse(*_: object, **__: object) -> None:
            raise RuntimeError("no such thing\nand a long trace")

        monkeypatch.setattr(stand_in, "__init__", refuse)
    return write_video(path, **options), said  # type: ignore[arg-type]


def test_what_the_gpu_is_not_asked_for_is_decoded_here_and_said(declined: tuple[Path, str]) -> None:
    path, said = declined
    reading, ours = by_gpu(path), by_us(path)
    (warning,) = reading.warnings
    assert warning.startswith("--decode nvdec: decoded by the CPU (")
    assert said in warning
    assert "\n" not in warning
    assert furthest(reading, ours) == 0


def test_pixels_that_are_not_square_are_shown_so(tmp_path: Path, stand_in: object) -> None:
    path = write_video(tmp_path / "a.mp4", prepare=widen)
    reading, ours = by_gpu(path), by_us(path)
    assert reading.warnings == ()
    assert furthest(reading, ours) <= 1


def test_a_file_object_is_decoded_here(numbered: Make, stand_in: object) -> None:
    with numbered("a.mp4").open("rb") as file:
        assert "not a file on this machine" in by_gpu(file).warnings[0]


def test_a_clip_is_sampled_alike(numbered: Make, stand_in: object) -> None:
    ref = VideoRef(str(numbered("a.mp4", codec="h264-b")), start_s=0.3, end_s=1.7)
    exact, gpu = (
        read_clip(ref, SamplingConfig(num_frames=5, num_views=2, decode=how), SMALL, LIMITS)
        for how in ("exact", "nvdec")
    )
    assert np.array_equal(exact.times_s, gpu.times_s)
    shown = [numbers(clip.frames.reshape(-1, 3, 64, 64)) for clip in (exact, gpu)]
    assert shown[0] == shown[1]
    assert gpu.warnings == ()


def test_a_worker_that_opens_a_gpu_is_bounded_in_time_and_answers_alone() -> None:
    for how, opens in (("exact", False), ("nvdec", True)):
        reader = ClipReader(SamplingConfig(decode=how), SMALL, LIMITS)
        assert reader.opens_devices is opens
    bounds = Bounds.of(LIMITS, 100, opens_devices=True)
    assert bounds == Bounds(LIMITS.timeout_s, None, 100, "off")


def test_it_is_refused_where_there_is_no_torchcodec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ResourceError, match="not installed") as caught:
        nvdec.require()
    assert caught.value.hint == "pip install 'actcli[torchcodec]'"


def test_it_is_refused_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ResourceError, match="no CUDA device"):
        nvdec.require()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    nvdec.require()
