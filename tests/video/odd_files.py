"""What reading each file of the collection of odd and broken videos must give.

Frames are those a player shows after edit lists, and the duration reaches from the first to the end
of the last. An error is its kind and message.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """A usable file."""

    num_frames: int
    duration_s: float
    size: tuple[int, int]
    """Width and height as shown: upright, with square pixels."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A file that cannot be used."""

    kind: str
    message: str


SOUND_ONLY = "no video stream (found 1 audio stream)"

ODD_FILES: dict[str, Shown | Refused] = {
    # 50 are listed and 49 can be decoded; none at either end is missing.
    "decord_corrupted.mp4": Shown(
        50,
        5.0,
        (1280, 720),
        ("only 49 of 50 frames could be decoded", "1 of 49 decoded frames is damaged"),
    ),
    "decord_rotate180.mov": Shown(3, 0.1, (568, 320)),
    "decord_rotate90.mov": Shown(3, 0.1, (320, 568)),
    "decord_unordered.mov": Shown(4, 0.125, (50, 50)),
    "exo_audio_only_opus.mp4": Refused("not_video", SOUND_ONLY),
    "exo_dolbyvision_hdr.MOV": Shown(4, 80 / 600, (720, 1280)),
    "exo_fragmented.mp4": Shown(30, 1.001, (1080, 720)),
    "exo_h263.ts": Shown(25, 1.0, (640, 360)),
    "exo_mdat_too_long.mp4": Shown(30, 1.001, (1080, 720)),
    # The container gives 9 / 90000 s to all frames but the first; the times of showing are regular.
    "exo_sef_slow_motion.mp4": Shown(63, 186009 / 90000, (320, 240)),
    "exo_vp9_invalid_bitstream.webm": Refused(
        "no_frames", "no frame could be decoded (got 0 of 51)"
    ),
    "exo_vp9_odd_dims.webm": Shown(30, 1.001, (161, 121)),
    "gen interlaced räum 動画.mpg": Shown(30, 2.0, (512, 288)),
    "gen_audio_only.mp4": Refused("not_video", SOUND_ONLY),
    "gen_cover_art_only.m4a": Refused(
        "not_video", "no video stream (found 1 audio stream and 1 cover picture)"
    ),
    "gen_editlist_negative_pts.mp4": Shown(62, 33280 / 15360, (569, 320)),
    "gen_huge_gop.mp4": Shown(240, 8.0, (569, 320)),
    "gen_no_moov_truncated.mp4": Refused(
        "truncated", "cut off before its index: no moov box, without which no frame can be found"
    ),
    "gen_no_pts.mkv": Shown(
        84, 3.0, (427, 256), ("no timestamps: times are counted at 28 frames per second",)
    ),
    "gen_odd_dims_yuv444.mp4": Shown(56, 2.0, (402, 241)),
    "gen_one_frame.mp4": Shown(1, 1 / 28, (427, 256)),
    "gen_text_named.mp4": Refused("not_video", "not a video, or in a format that is not opened"),
    "gen_truncated_tail_faststart.mp4": Refused(
        "truncated", "only 58 of 120 frames could be decoded"
    ),
    "gen_vfr.mp4": Shown(57, 90112 / 15360, (569, 320)),
    "gen_zero_bytes.mp4": Refused("not_video", "not a video (the file is empty)"),
    "mp4ff_av1_init_only.mp4": Refused("no_frames", "no frames (the video stream is empty)"),
    "mp4parse_minimal.mp4": Shown(1, 0.04, (320, 240)),
    "torchcodec_av1.mkv": Shown(125, 5.0, (640, 360)),
    "torchcodec_h264_10bit.mp4": Shown(30, 1.0, (200, 200)),
    "torchcodec_hevc.mp4": Shown(10, 1.0, (128, 128)),
    # Both video streams are marked default; the larger one is taken, as ffmpeg does.
    "torchcodec_nasa_multistream.mp4": Shown(390, 13.013, (480, 270)),
}
