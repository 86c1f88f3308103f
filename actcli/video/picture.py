"""From a decoded frame to the model's square: colours, fields, rotation, pixel shape."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any, Final

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from actcli.types import Preprocessing
from actcli.video.colour import HDR_TRANSFERS, to_sdr
from actcli.video.transform import fit_picture, fit_whole

# What ffmpeg takes. Size stays the same here; it decides how chroma is spread over luma.
_CHROMA: Final = Interpolation.BICUBIC


class PictureMaker:
    """Turns decoded frames into uint8 [3, X, X]; one for each reading, never shared by threads.

    is_whole: [3, h, w] instead, as `fit_whole`
    """

    def __init__(self, preprocessing: Preprocessing, *, is_whole: bool = False) -> None:
        self.preprocessing, self._fit = preprocessing, fit_whole if is_whole else fit_picture
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame, aspect: Fraction) -> NDArray[np.uint8]:
        """The frame upright and in standard colours, scaled and cropped.

        aspect: width / height of a stored pixel
        """
        height, width = frame.height, max(1, round(frame.width * aspect))
        if frame.interlaced_frame:
            frame = _first_field(frame)
        is_hdr = frame.color_trc in HDR_TRANSFERS
        pixels = self.rgb(frame, "rgb48le" if is_hdr else "rgb24")
        turns = round(frame.rotation / 90) % 4  # counter-clockwise
        if turns:
            pixels = np.rot90(pixels, turns)
        finish = partial(to_sdr, transfer=frame.color_trc, primaries=frame.color_primaries)
        return self._fit(
            pixels,
            (width, height) if turns % 2 else (height, width),
            self.preprocessing,
            finish if is_hdr else None,
        )

    def rgb(self, frame: VideoFrame, pixel_format: str) -> NDArray[Any]:
        """Stored pixels as R'G'B' by the frame's own matrix and range; BT.601 where it has none."""
        rgb = self._reformatter.reformat(
            frame, format=pixel_format, interpolation=_CHROMA, threads=1
        )
        return rgb.to_ndarray()


def _first_field(frame: VideoFrame) -> VideoFrame:
    """The even lines of an interlaced frame: one moment in time, at half the height.

    Done on the stored planes, since chroma lines belong to fields too.
    """
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=Fraction(1, 1000),  # not used, but asked for
    )
    field = graph.add("field", "type=top")
    sink = graph.add("buffersink")
    source.link_to(field)
    field.link_to(sink)
    graph.configure()
    graph.vpush(frame)
    return graph.vpull()
