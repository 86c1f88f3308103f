"""A file that is no video is told what it is instead, or how it broke."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from actcli.errors import VideoError
from actcli.video.decode import probe

Make = Callable[..., Path]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "not a video (got an image, PNG)"),
        (b"\xff\xd8\xff\xe0" + bytes(99), "not a video (got an image, JPEG)"),
        (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(99), "not a video (got an image, WebP)"),
        (b"hello, this is text\n", "not a video, or in a format that is not opened"),
    ],
)
def test_other_files_are_named_for_what_they_are(data: bytes, text: str) -> None:
    with pytest.raises(VideoError) as caught:
        probe(io.BytesIO(data))
    assert (caught.value.kind, caught.value.message) == ("not_video", text)


def test_an_mp4_without_its_index_is_truncated(numbered: Make) -> None:
    data = numbered("a.mp4").read_bytes()
    with pytest.raises(VideoError, match="no moov box") as caught:
        probe(io.BytesIO(data[: len(data) // 2]))
    assert caught.value.kind == "truncated"


@pytest.mark.parametrize("box", [b"stsc", b"stsd", b"stts"])
def test_an_mp4_with_a_damaged_index_is_unreadable(numbered: Make, box: bytes) -> None:
    data = bytearray(numbered("a.mp4").read_bytes())
    table = data.index(box)
    data[table + 8 : table + 12] = bytes([255] * 4)
    with pytest.raises(VideoError, match="index of this MP4 file is damaged") as caught:
        probe(io.BytesIO(bytes(data)))
    assert caught.value.kind == "unreadable"
