"""Small numbered videos of every codec, container, group of pictures, rate and kind of cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, cycle, product
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.video.frame import VideoFrame

from tests.video.making import number_picture

Cut = Literal["whole", "edit-list", "off-key"]
Picture = Callable[[int], np.ndarray[Any, Any]]

CONTAINERS = {
    "h264": ("mp4", "mov", "mkv", "avi", "ts"),
    "hevc": ("mp4", "mov", "mkv", "ts"),
    "vp9": ("mp4", "webm", "mkv", "avi"),
    "av1": ("mp4", "webm", "mkv", "avi"),
    "mpeg4": ("mp4", "mov", "mkv", "avi", "ts"),
    "mpeg2video": ("mp4", "mov", "mkv", "avi", "ts"),
    "mjpeg": ("mp4", "mov", "mkv", "avi"),
}
ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
}
# Hidden pictures stand for B-frames where the codec has none.
ORDERS = {
    "h264": ("plain", "b", "b-open"),
    "hevc": ("plain", "b", "b-open"),
    "vp9": ("plain", "hidden"),
    "av1": ("plain", "hidden"),
    "mpeg4": ("plain", "b"),
    "mpeg2video": ("plain", "b"),
    "mjpeg": ("plain",),
}
GOPS = (1, 12, 48, 250)
RATES = {"25": Fraction(25), "29.97": Fraction(30000, 1001), "variable": Fraction(30)}
CUTS: tuple[Cut, ...] = ("whole", "edit-list", "off-key")
_STEPS = (1, 1, 2, 1, 3, 1, 1, 5, 1)
"""Ticks between frames of a variable rate."""
_CUT_AFTER = Fraction(2, 5)
"""Where a cut begins, as a share of the frames; no key frame stands there unless all are."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one file of the matrix is made."""

    codec: str
    container: str
    gop: int
    order: str
    rate: str
    cut: Cut

    @property
    def name(self) -> str:
        """All of it in one word."""
        parts = (self.codec, f"gop{self.gop}", self.order, self.rate, self.cut, self.container)
        return "-".join(parts)

    @property
    def num_frames(self) -> int:
        """Before a cut: more than one group of pictures, and no number twice."""
        return 256 if self.gop == 250 else 110


def recipes() -> list[Recipe]:
    """The whole matrix; mjpeg has key frames only."""
    found = []
    for codec, containers in CONTAINERS.items():
        if ENCODERS.get(codec, codec) not in av.codecs_available:
            continue
        gops = (1,) if codec == "mjpeg" else GOPS
        for rest in product(containers, gops, ORDERS[codec], RATES, CUTS):
            recipe = Recipe(codec, *rest)
            if recipe.gop > 1 or recipe.order == "plain":
                found.append(recipe)
    return found


def make_file(
    recipe: Recipe, folder: Path, picture: Picture = number_picture, num_frames: int | None = None
) -> Path:
    """The file of a recipe, in `folder`; frame i before a cut shows `picture(i)`."""
    whole = folder / f"{recipe.name}.{recipe.container}"
    _encode(recipe, whole, picture, num_frames or recipe.num_frames)
    if recipe.cut == "whole":
        return whole
    part = folder / f"cut-{whole.name}"
    _cut(whole, part, recipe)
    return part


def _encode(recipe: Recipe, path: Path, picture: Picture, num_frames: int) -> None:
    rate = RATES[recipe.rate]
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(ENCODERS.get(recipe.codec, recipe.codec), rate=rate)
        stream.options = _options(recipe)
        first = picture(0)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuvj420p" if recipe.codec == "mjpeg" else "yuv420p"
        # libvpx counts the pictures between two key frames.
        stream.gop_size = recipe.gop - (recipe.codec == "vp9" and recipe.gop == 1)
        stream.time_base = stream.codec_context.time_base = 1 / rate
        stream.thread_count = 1
        for number, tick in zip(range(num_frames), _ticks(recipe.rate), strict=False):
            frame = VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt, threads=1)
            frame.pts, frame.time_base = tick, 1 / rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _ticks(rate: str) -> Iterator[int]:
    return accumulate(cycle(_STEPS if rate == "variable" else (1,)), initial=0)


def _options(recipe: Recipe) -> dict[str, str]:
    b_frames = "0" if recipe.order == "plain" else "3"
    is_open = int(recipe.order == "b-open")
    if recipe.codec == "h264":
        params = f"scenecut=0:open-gop={is_open}:threads=1"
        return {"preset": "veryfast", "bf": b_frames, "x264-params": params}
    if recipe.codec == "hevc":
        params = f"log-level=none:scenecut=0:pools=1:open-gop={is_open}:bframes={b_frames}"
        return {"preset": "ultrafast", "x265-params": params}
    if recipe.codec == "vp9":
        if recipe.order == "plain":
            return {"deadline": "realtime", "cpu-used": "8"}
        return {"deadline": "good", "cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "12"}
    if recipe.codec == "av1":
        order = "pred-struct=1" if recipe.order == "plain" else "pred-struct=2"
        return {"preset": "10", "crf": "12", "svtav1-params": f"{order}:lp=1"}
    return {"bf": "0" if recipe.order == "plain" else "2"} if recipe.codec != "mjpeg" else {}


def _cut(whole: Path, part: Path, recipe: Recipe) -> None:
    """Copy the packets from some moment on, as `ffmpeg -ss -c copy` does, or with -copyinkf.

    edit-list: from the key frame before it; what is shown earlier gets negative times
    off-key: from the first packet after it
    """
    with av.open(str(whole)) as read, av.open(str(part), "w") as written:
        source = read.streams.video[0]
        target = written.add_stream_from_template(source, opaque=True)
        packets: list[Any] = [packet for packet in read.demux(source) if packet.size]
        _fill_dts(packets)
        first = at = int(len(packets) * _CUT_AFTER)
        if recipe.cut == "edit-list":
            first = max(i for i in range(at + 1) if packets[i].is_keyframe)
        zero = packets[at].dts if packets[at].pts is None else packets[at].pts
        for packet in packets[first:]:
            packet.dts -= zero
            if packet.pts is not None:
                packet.pts -= zero
            packet.stream = target
            written.mux(packet)


def _fill_dts(packets: list[Any]) -> None:
    """Matroska has none, and those worked out for it lack the first."""
    known = next(i for i, packet in enumerate(packets) if packet.dts is not None)
    step = packets[known + 1].dts - packets[known].dts
    for i in range(known):
        packets[i].dts = packets[known].dts - (known - i) * step
