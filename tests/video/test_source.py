"""A file is opened alone: nothing it names, no address, and only if it is a regular file."""

from __future__ import annotations

import http.server
import io
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
import pytest

from actcli.config import LimitsConfig
from actcli.errors import VideoError
from actcli.video.decode import probe
from actcli.video.source import Source, open_media
from tests.video.making import write_video

Make = Callable[..., Path]
LIMITS = LimitsConfig()

needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


class Bait:
    """A named pipe whose every opening is noticed, and an address whose every request is."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bait.ts"
        self.touched: list[str] = []
        os.mkfifo(self.path)
        bait = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bait.touched.append("request")
                self.send_error(404)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/bait.ts"
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}),
            threading.Thread(target=self._watch_pipe),
        ]

    def _watch_pipe(self) -> None:
        # A writer that does not wait gets through only while somebody has the pipe open to read.
        while not self._done.is_set():
            with suppress(OSError):
                os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
                self.touched.append("opened")
            time.sleep(0.001)

    @contextmanager
    def watched(self) -> Iterator[Bait]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._done.set()
            self.server.shutdown()
            for thread in self._threads:
                thread.join()
            self.server.server_close()


@pytest.fixture
def bait(tmp_path: Path) -> Iterator[Bait]:
    with Bait(tmp_path).watched() as watched:
        yield watched


class Named(io.BytesIO):
    """A file object with the name that playlists have: FFmpeg goes by its suffix."""

    name = "trap.m3u8"


def traps(bait: Bait) -> dict[str, str]:
    """Files that make a media library open something else."""
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
    return {
        "concat": f"ffconcat version 1.0\nfile {bait.path.name}\n",
        "hls-file": f"{head}{bait.path.name}\n#EXT-X-ENDLIST\n",
        "hls-http": f"{head}{bait.url}\n#EXT-X-ENDLIST\n",
        "hls-data": f"{head}data:video/mp2t;base64,R0AAEAAA\n#EXT-X-ENDLIST\n",
        "hls-blank": f"\n{head}{bait.url}\n#EXT-X-ENDLIST\n",
        "dash": f'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
        f"<Period><AdaptationSet><Representation><BaseURL>{bait.url}</BaseURL>"
        f"</Representation></AdaptationSet></Period></MPD>",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=video 50004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    }


TRAPS = ["concat", "hls-file", "hls-http", "hls-data", "hls-blank", "dash", "sdp"]


@needs_fifo
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".ffconcat", ".sdp", ".mkv"])
@pytest.mark.parametrize("trap", TRAPS)
def test_a_list_of_other_files_is_refused_by_path(
    bait: Bait, tmp_path: Path, trap: str, suffix: str
) -> None:
    path = tmp_path / f"trap{suffix}"
    path.write_text(traps(bait)[trap])
    started = time.monotonic()
    with pytest.raises(VideoError) as caught:
        probe(path)
    assert caught.value.kind == "refused"
    assert bait.touched == []
    assert time.monotonic() - started < 2


@needs_fifo
@pytest.mark.parametrize("trap", TRAPS)
def test_a_list_of_other_files_is_refused_as_a_file_object(bait: Bait, trap: str) -> None:
    with pytest.raises(VideoError) as caught:
        probe(Named(traps(bait)[trap].encode()))
    assert caught.value.kind == "refused"
    assert bait.touched == []


@needs_fifo
@pytest.mark.parametrize(("trap", "touch"), [("concat", "opened"), ("hls-http", "request")])
def test_the_bait_works_where_nothing_is_refused(
    bait: Bait, tmp_path: Path, trap: str, touch: str
) -> None:
    text = traps(bait)[trap]
    (tmp_path / "trap.txt").write_text(text)
    # FFmpeg itself keeps a list on disk from the network, but not one that it is handed.
    source = Named(text.encode()) if touch == "request" else str(tmp_path / "trap.txt")
    with suppress(av.error.FFmpegError), av.open(source) as container:
        for _ in container.demux():
            pass
    assert touch in bait.touched


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    assert kind_of(tmp_path / "none.mp4") == "not_found"


def test_a_path_through_a_file_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert kind_of(tmp_path / "a.mp4" / "b.mp4") == "not_found"


def test_a_path_with_a_null_byte_is_not_found() -> None:
    assert kind_of("a\0b.mp4") == "not_found"


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="this system has no symbolic links")
def test_links_in_a_circle_are_unreadable(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "a.mp4")
    assert kind_of(tmp_path / "a.mp4") == "unreadable"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert message_of(tmp_path) == "not a regular file (got a directory)"


@needs_fifo
def test_a_named_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    assert message_of(tmp_path / "a.mp4") == "not a regular file (got a named pipe)"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no local sockets")
def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.mp4")
        assert message_of("a.mp4") == "not a regular file (got a socket)"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_device_is_refused() -> None:
    assert message_of("/dev/zero") == "not a regular file (got a character device)"


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the administrator may read everything"
)
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"x")
    path.chmod(0)
    assert kind_of(path) == "unreadable"


def test_an_empty_file_is_not_a_video(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert message_of(tmp_path / "a.mp4") == "not a video (the file is empty)"
    assert message_of(io.BytesIO()) == "not a video (the file is empty)"


@pytest.mark.parametrize(
    "name",
    [
        "a:b.mp4",
        "-x.mp4",
        "http:/x.mp4",
        "file:x.mp4",
        "concat:a|b.mp4",
        "frame%03d.mp4",
        "line\nbreak.mp4",
        "räum 動画.mp4",
        "quote'\"s.mp4",
        "no suffix",
        os.fsdecode(b"\xff\xfe.mp4"),
    ],
)
def test_a_name_is_only_a_name(
    numbered: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        Path(name).parent.mkdir(exist_ok=True)
        shutil.copy(numbered("a.mp4"), name)
    except OSError as error:
        pytest.skip(f"this file system does not take the name: {error}")
    assert probe(name).num_frames == 60


def test_a_file_object_stays_open(numbered: Make) -> None:
    with numbered("a.mp4").open("rb") as file:
        assert probe(file).num_frames == 60
        assert not file.closed


def test_an_error_of_the_disk_is_unreadable(numbered: Make) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(VideoError, match="Input/output error") as caught:
        probe(Failing(numbered("a.mp4").read_bytes()))
    assert caught.value.kind == "unreadable"


def test_an_error_of_a_remote_file_passes_unchanged(numbered: Make) -> None:
    class Remote(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise VideoError("remote", "the server is gone")

    with pytest.raises(VideoError, match="the server is gone") as caught:
        probe(Remote(numbered("a.mp4").read_bytes()))
    assert caught.value.kind == "remote"


def test_every_media_error_is_translated() -> None:
    seen = set()
    for cls in {*av.error.classes.values()}:
        error = cls(1, "some reason")
        with pytest.raises(VideoError) as caught, open_media(io.BytesIO(TINY_GIF), LIMITS):
            raise error
        assert caught.value.__cause__ is error
        seen.add(caught.value.kind)
    assert seen == {"unsupported", "too_large", "unreadable"}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc to count open files")
def test_open_files_do_not_pile_up(numbered: Make, tmp_path: Path) -> None:
    good = numbered("a.mp4")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(good.read_bytes()[:2000])
    text = tmp_path / "text.mp4"
    text.write_text("hello")
    before = len(os.listdir("/proc/self/fd"))
    for path in [good, broken, text, tmp_path] * 50:
        with suppress(VideoError):
            probe(path)
    assert len(os.listdir("/proc/self/fd")) == before


TINY_GIF = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")


def kind_of(source: Source) -> str:
    with pytest.raises(VideoError) as caught:
        probe(source)
    return caught.value.kind


def message_of(source: Source) -> str:
    with pytest.raises(VideoError) as caught:
        probe(source)
    return caught.value.message


def test_an_index_that_leads_beyond_the_disk_says_nothing_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_video(tmp_path / "a.asf", codec="wmv2", num_frames=6)
    content = bytearray(path.read_bytes())
    content[194:202] = (2**62).to_bytes(8, "little")  # the size of an object in its header
    path.write_bytes(content)
    with suppress(VideoError):
        probe(path)
    assert capfd.readouterr().err == ""
