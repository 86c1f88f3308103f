"""The same frames and pixels as the ffmpeg program, before any scaling.

ffmpeg writes R'G'B' with `-sws_flags bicubic`, its own default and ours; `-threads 1` and
`-fps_mode passthrough` keep it from dropping or repeating frames.
"""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.video.frame import VideoFrame

from actcli.config import LimitsConfig
from actcli.types import Preprocessing
from actcli.video.decode import probe, read_frames
from actcli.video.picture import PictureMaker

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CLIPS = [
    "clips/wild/snowboarding/snowboarding_4.mp4",
    "clips/wild/playing_basketball/playing_basketball_0.mkv",
    "clips/wild/applying_eye_makeup/applying_eye_makeup_0.webm",
    "clips/wild/flipping_pancake/flipping_pancake_0.avi",
    "clips/single/walking/man_walking.mp4",
    "odd/decord_rotate90.mov",
    "odd/gen_editlist_negative_pts.mp4",
    "odd/torchcodec_nasa_multistream.mp4",
    "odd/exo_vp9_odd_dims.webm",
]

pytestmark = [
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not there"),
    pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not there"),
]


def ffmpeg_frames(path: Path, width: int, height: int) -> np.ndarray[Any, Any]:
    """All shown frames of the best video stream, upright, uint8 [N, H, W, 3]."""
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", f"file:{path}", "-an", "-sn", "-dn"]
    command += ["-fps_mode", "passthrough", "-sws_flags", "bicubic"]
    command += ["-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(output, np.uint8).reshape(-1, height, width, 3)


@pytest.mark.parametrize("seek", [True, False])
@pytest.mark.parametrize("name", CLIPS)
def test_frames_equal_those_of_the_ffmpeg_program(name: str, seek: bool) -> None:
    path = DATA / name
    maker = PictureMaker(Preprocessing(8))
    stored: list[tuple[int, int]] = []

    def upright(frame: VideoFrame, _: Fraction) -> np.ndarray[Any, np.dtype[np.uint8]]:
        pixels = np.rot90(maker.rgb(frame, "rgb24"), round(frame.rotation / 90))
        stored.append(pixels.shape[:2])
        return pixels

    num_frames = probe(path).num_frames
    wanted = sorted({0, 1, num_frames // 3, num_frames // 2, num_frames - 2, num_frames - 1})
    ours = read_frames(path, lambda _: wanted, upright, LimitsConfig(), seek=seek).frames
    theirs = ffmpeg_frames(path, stored[0][1], stored[0][0])
    assert len(theirs) == num_frames
    for index in wanted:
        assert np.array_equal(ours[index], theirs[index]), index
