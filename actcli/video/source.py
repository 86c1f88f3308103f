"""Open one media file, and nothing else: every check before the first decoded byte.

A playlist, a concat script or a session description makes FFmpeg open further files and addresses,
under any suffix. Three locks, each enough alone for most of them: FFmpeg reads through a file
object of ours and never by name, no protocol is allowed, and only formats that hold their own
pictures are.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

import av
from av.container import InputContainer

from actcli.config import LimitsConfig
from actcli.errors import VideoError
from actcli.paths import TarMember, check_uri, is_remote
from actcli.remote.opening import open_remote
from actcli.remote.ranges import RangeFile, lists_its_packets
from actcli.tars import SUFFIX as TAR_SUFFIX
from actcli.tars import find_member, open_member
from actcli.video.sniff import explain_unopened
from actcli.video.streams import decoder_limits

Source = str | Path | BinaryIO

VIDEO_FORMATS: Final = (
    "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,gif,flv,asf,ogg,h264,hevc,ivf,m4v,mxf,nut,rm"
)
# Audio formats hold no pictures to show; they are let in to be told apart from broken videos.
AUDIO_FORMATS: Final = "mp3,wav,flac,aac"
# Times and flags are those of the container's index; bytes that aren't there must not be parsed.
_UNPARSED: Final = {"fflags": "+noparse"}
_GENERATE_PTS: Final = 0x0001  # AVFMT_FLAG_GENPTS, which PyAV sets and ffmpeg does not


@contextmanager
def open_media(
    source: Source, limits: LimitsConfig, *, is_listing: bool = False
) -> Iterator[InputContainer]:
    """A media file opened for reading, closed at the end whatever happens.

    source: a path, which may hold surrogate escapes, or a seekable file object, which stays open
    is_listing: packets are only listed: those of a remote MP4 file come without being fetched, as
        zeros of their length, with the times and flags that its index has
    Raises VideoError for whatever keeps it from being opened or read.
    """
    with translated_errors(), _as_file(source, limits) as file:
        is_hollow = is_listing and isinstance(file, RangeFile) and lists_its_packets(file)
        container = _open(file, limits, _UNPARSED if is_hollow else {})
        with container:
            if isinstance(file, RangeFile):
                file.is_hollow = is_hollow
            # Made-up times would hide that a file has none.
            container.flags &= ~_GENERATE_PTS
            yield container


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors of FFmpeg and of the operating system into a VideoError."""
    try:
        yield
    except VideoError:
        raise
    except (av.error.DecoderNotFoundError, av.error.PatchWelcomeError) as error:
        raise VideoError("unsupported", f"no decoder for this video ({error.strerror})") from error
    except (av.error.MemoryError, MemoryError) as error:
        raise VideoError("too_large", "not enough memory to decode it") from error
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError("unreadable", f"cannot be read ({error.strerror or error})") from error


def _open(file: BinaryIO, limits: LimitsConfig, more: dict[str, str]) -> InputContainer:
    file.seek(0)
    try:
        return av.open(
            file,
            mode="r",
            options={
                "protocol_whitelist": "nothing",
                "format_whitelist": f"{VIDEO_FORMATS},{AUDIO_FORMATS}",
                **decoder_limits(limits),
                **more,
            },
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        # Errors of the disk come as they are from our file object: this one is about content, and
        # so is a lack of memory for what a header asks.
        raise explain_unopened(file) from error


class _LocalFile(io.FileIO):
    """Unbuffered: FFmpeg asks for large blocks itself."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """As of any file; to where no file of this disk can reach, which is its end.

        Forged indices lead there, and PyAV prints what a file object raises.
        """
        try:
            return super().seek(offset, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return super().seek(0, os.SEEK_END)


@contextmanager
def _as_file(source: Source, limits: LimitsConfig) -> Iterator[BinaryIO]:
    if not isinstance(source, str | Path):
        yield source
        return
    if isinstance(member := _member(source), TarMember):
        with open_member(member, limits.timeout_s) as part:
            yield cast("BinaryIO", part)
        return
    if isinstance(source, str) and is_remote(source) and not os.path.exists(source):
        with open_remote(source, limits.timeout_s) as remote:
            yield cast("BinaryIO", remote)
        return
    check_regular(source)
    with _LocalFile(source) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise VideoError("refused", "not a regular file")
        yield file


def _member(source: str | Path) -> TarMember | None:
    if isinstance(source, TarMember):
        return source
    return find_member(str(source)) if TAR_SUFFIX + os.sep in str(source) else None


def check_regular(path: str | Path) -> None:
    """Raise VideoError unless `path` is a regular file with bytes in it, without opening it.

    Opening is not harmless: it waits for a writer on a pipe and may act on a device. Of a URI only
    whether it may be read is checked, without asking its server.
    """
    if (member := _member(path)) is not None:
        if member.problem is not None:
            raise VideoError(*member.problem)
        return
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        if isinstance(path, str) and is_remote(path):
            check_uri(path)
            return
        raise VideoError("not_found", "no such file") from error
    except ValueError as error:
        raise VideoError("not_found", f"no such file ({error})") from error
    except OSError as error:
        raise VideoError("unreadable", f"cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise VideoError("refused", f"not a regular file (got {_file_type(status.st_mode)})")
    if status.st_size == 0:
        raise VideoError("not_video", "not a video (the file is empty)")


def _file_type(mode: int) -> str:
    for is_type, name in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
    ):
        if is_type(mode):
            return name
    return "something else"
