"""Why a file did not open as a video, told from its first bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, Final

from actcli.errors import VideoError

_HEAD_BYTES = 4096
_MAX_BOXES = 256

# What FFmpeg would follow to other files or addresses.
_LISTS: Final = (
    (b"#EXTM3U", "an HLS playlist"),
    (b"#EXT-X-", "an HLS playlist"),
    (b"ffconcat", "a concat script"),
    (b"[playlist]", "a playlist"),
    (b"v=0", "a session description (SDP)"),
    (b"<MPD", "a DASH manifest"),
    (b"<SmoothStreamingMedia", "a streaming manifest"),
)
_IMAGES: Final = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
_MP4_STARTS: Final = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp"})


def explain_unopened(file: BinaryIO) -> VideoError:
    """The error that tells a user what this file is instead of a video, or how it is broken."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    if not head:
        return VideoError("not_video", "not a video (the file is empty)")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for marker, name in _LISTS:
        if text.startswith(marker) or (marker.startswith(b"<") and marker in text):
            return VideoError(
                "refused",
                f"{name}, which names other files or addresses, is not followed",
                hint="download or join the video first, and give that file",
            )
    image = _image_name(head)
    if image:
        return VideoError("not_video", f"not a video (got an image, {image})")
    if head[4:8] in _MP4_STARTS:
        return _explain_mp4(file)
    return VideoError(
        "not_video",
        "not a video, or in a format that is not opened",
        hint="check the file with ffprobe; ffmpeg -i FILE out.mp4 converts other formats",
    )


def _explain_mp4(file: BinaryIO) -> VideoError:
    if b"moov" in set(_boxes(file)):
        return VideoError("unreadable", "the index of this MP4 file is damaged (its moov box)")
    return VideoError(
        "truncated",
        "cut off before its index: no moov box, without which no frame can be found",
        hint="copy, download or record the file again to its end",
    )


def _image_name(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return next((name for magic, name in _IMAGES if head.startswith(magic)), None)


def _boxes(file: BinaryIO) -> Iterator[bytes]:
    """The names of an MP4 file's top-level boxes that begin and end within the file."""
    size = file.seek(0, os.SEEK_END)
    position = 0
    for _ in range(_MAX_BOXES):
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:
            length = size - position
        if length < 8 or position + length > size:
            return
        yield header[4:8]
        position += length
