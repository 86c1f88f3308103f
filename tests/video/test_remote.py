"""Videos on a server come out as the local files do, and those with an index cost little."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.container import InputContainer

from actcli.config import LimitsConfig, SamplingConfig
from actcli.errors import VideoError
from actcli.paths import AllowedUri
from actcli.types import Preprocessing, VideoRef
from actcli.video.clips import read_clip
from actcli.video.source import check_regular, open_media
from tests.remote.conftest import server as server  # noqa: PLC0414  (a fixture)
from tests.remote.serving import Served, status
from tests.video.making import write_video

LIMITS, SAMPLING, PREPROCESSING = LimitsConfig(), SamplingConfig(), Preprocessing(64)
FASTSTART = {"movflags": "+faststart"}
FRAGMENTS = {"movflags": "+frag_keyframe+empty_moov"}


def noise(number: int) -> np.ndarray[Any, Any]:
    """uint8 [256, 256, 3] that no encoder makes small."""
    return np.random.default_rng(number).integers(0, 256, (256, 256, 3), np.uint8)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several megabytes, with the index at the end."""
    path = tmp_path_factory.mktemp("large") / "large.mp4"
    return write_video(path, num_frames=240, gop=24, picture=noise)


def put(server: Served, path: Path) -> AllowedUri:
    server.files[path.name] = path.read_bytes()
    return AllowedUri(server.uri(path.name))


def packets(container: InputContainer) -> Iterator[tuple[object, ...]]:
    for packet in container.demux(container.streams.video[0]):
        if packet.size:
            flags = packet.is_keyframe, packet.is_discard, packet.is_corrupt
            yield packet.pts, packet.dts, packet.duration, packet.size, *flags


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.mp4", "h264-b", {}), ("b.mp4", "h264-open", FASTSTART), ("c.mp4", "hevc-b", {}),
     ("d.mp4", "vp9", {}), ("e.mp4", "h264-b", FRAGMENTS), ("f.mkv", "h264-b", {}),
     ("g.ts", "h264-b", {}), ("h.webm", "vp8", {}), ("i.avi", "mpeg4", {})],
)  # fmt: skip
def test_a_remote_clip_equals_the_local_one(
    name: str, codec: str, options: dict[str, str], tmp_path: Path, server: Served
) -> None:
    path = write_video(tmp_path / name, codec=codec, container_options=options)
    far = read_clip(VideoRef(put(server, path)), SAMPLING, PREPROCESSING, LIMITS)
    near = read_clip(VideoRef(str(path)), SAMPLING, PREPROCESSING, LIMITS)
    np.testing.assert_array_equal(far.frames, near.frames)
    assert far.times_s.tolist() == near.times_s.tolist()
    assert far.warnings == near.warnings


def test_a_large_remote_clip_equals_the_local_one(large: Path, server: Served) -> None:
    far = read_clip(VideoRef(put(server, large)), SAMPLING, PREPROCESSING, LIMITS)
    near = read_clip(VideoRef(str(large)), SAMPLING, PREPROCESSING, LIMITS)
    np.testing.assert_array_equal(far.frames, near.frames)
    assert far.times_s.tolist() == near.times_s.tolist()
    assert server.sent <= large.stat().st_size


def test_listing_packets_fetches_the_index_and_finds_the_same(large: Path, server: Served) -> None:
    with open_media(put(server, large), LIMITS, is_listing=True) as far:
        listed = list(packets(far))
    with open_media(large, LIMITS) as near:
        assert listed == list(packets(near))
    assert server.sent < 0.3 * large.stat().st_size


def test_a_server_that_fails_in_the_middle_is_no_shorter_video(
    large: Path, server: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    uri = put(server, large)
    server.first = [lambda _: False] * 3
    server.always = [lambda handler: not server.first and status(500)(handler)]
    with pytest.raises(VideoError) as caught:
        read_clip(VideoRef(uri), SAMPLING, PREPROCESSING, LIMITS)
    assert (caught.value.kind, "500" in caught.value.message) == ("remote", True)
    assert capfd.readouterr().err == ""


def test_a_uri_from_a_list_is_refused_with_the_option_that_allows_it(server: Served) -> None:
    for read in (check_regular, lambda uri: open_media(uri, LIMITS).__enter__()):
        with pytest.raises(VideoError) as caught:
            read(server.uri("a.mp4"))
        assert caught.value.kind == "refused"
        assert "--allow-remote" in str(caught.value.hint)
    assert server.asked == []


def test_an_empty_remote_file_is_not_a_video(server: Served) -> None:
    server.files["a.mp4"] = b""
    with pytest.raises(VideoError) as caught:
        read_clip(VideoRef(AllowedUri(server.uri("a.mp4"))), SAMPLING, PREPROCESSING, LIMITS)
    assert caught.value.kind == "not_video"


def test_a_remote_playlist_is_not_followed(server: Served) -> None:
    server.files["a.mp4"] = b"#EXTM3U\n#EXTINF:1,\n" + server.uri("b.ts").encode() + b"\n"
    with pytest.raises(VideoError) as caught:
        read_clip(VideoRef(AllowedUri(server.uri("a.mp4"))), SAMPLING, PREPROCESSING, LIMITS)
    assert caught.value.kind == "refused"
    assert all("b.ts" not in asked for asked in server.asked)


def test_eight_frames_of_a_large_file_cost_a_part_of_it(large: Path, server: Served) -> None:
    uri = put(server, large)
    read_clip(VideoRef(uri), SamplingConfig(num_frames=2), PREPROCESSING, LIMITS)
    assert server.sent < 0.5 * large.stat().st_size
