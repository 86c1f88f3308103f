"""What the user typed as videos: files, directories, or a list of them on stdin.

A path that doesn't exist, and a URI, still becomes a `VideoRef`: the reader turns it into a
failure in its place, so that one wrong name among good ones stops nothing.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, TextIO

from actcli.data.rows import parse_object
from actcli.data.walk import find_videos
from actcli.errors import InputError, ManifestError, UsageError, close_names, shorten_list
from actcli.types import VideoRef

log = logging.getLogger("actcli.data.inputs")

_CHUNK_BYTES = 1 << 16
_KEYS = ("path", "start", "end", "label", "id")
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def expand_inputs(
    args: Sequence[str],
    *,
    stdin: TextIO | BinaryIO | None = None,
    glob: str | None = None,
    null_separated: bool = False,
    limit: int | None = None,
) -> list[VideoRef] | Iterator[VideoRef]:
    """The videos that `args` name, in that order: a list, or an iterator if stdin is read.

    args: files, directories (searched recursively for videos), URIs, or `-` for stdin
    stdin: one path a line, or a JSON object a line with path, start, end, label and id (a line
        that begins with "{"); each video is yielded before the next line is waited for
    glob: pattern for files in directories, instead of the suffixes of videos
    null_separated: stdin holds paths that end in NUL bytes (`find -print0`), never JSON
    limit: stop after this many videos

    Raises InputError if there is no video at all, ManifestError for a bad line, UsageError.
    """
    if not args:
        raise UsageError("no videos given (expected files, directories or -)", hint="actcli --help")
    if list(args).count("-") > 1:
        raise UsageError("-: stdin can be read only once (got - twice)")
    if "-" in args and stdin is None:
        raise UsageError("-: stdin is taken already", hint="name the videos as arguments")
    refs = islice(_expand(args, stdin, glob, null_separated), limit)
    if "-" in args:
        return _refuse_none(refs, args, glob)
    return list(_refuse_none(refs, args, glob))


def count_known(refs: list[VideoRef] | Iterator[VideoRef]) -> int | None:
    """How many videos there are, or None while stdin may still bring more."""
    return len(refs) if isinstance(refs, list) else None


def is_remote(path: str) -> bool:
    """True for a URI such as "s3://bucket/a.mp4"."""
    return _REMOTE.match(path) is not None


def _expand(
    args: Iterable[str], stdin: TextIO | BinaryIO | None, glob: str | None, null_separated: bool
) -> Iterator[VideoRef]:
    for arg in args:
        if arg != "-":
            yield from _expand_path(arg, glob)
        elif stdin is not None:
            for ref in read_list(stdin, null_separated=null_separated):
                # A trimmed or labelled line means one video, a bare one may be a directory.
                is_bare = ref == VideoRef(ref.path)
                yield from _expand_path(ref.path, glob) if is_bare else (ref,)


def _expand_path(path: str, glob: str | None) -> Iterator[VideoRef]:
    if is_remote(path) or not os.path.isdir(path):
        yield VideoRef(path)
        return
    is_empty = True
    for found in find_videos(path, glob=glob):
        is_empty = False
        yield VideoRef(found)
    if is_empty:
        log.warning("%s: no videos in this directory%s", path, _pattern_note(glob))


def _refuse_none(
    refs: Iterable[VideoRef], args: Sequence[str], glob: str | None
) -> Iterator[VideoRef]:
    """Pass the refs on; raise InputError if there was none."""
    is_empty = True
    for ref in refs:
        is_empty = False
        yield ref
    if not is_empty:
        return
    if list(args) == ["-"]:
        raise InputError(
            "stdin: no videos (got an empty list, expected one path a line)",
            hint="find . -name '*.mp4' | actcli classify - --labels \"run,jump\"",
        )
    raise InputError(
        f"no videos in {shorten_list(args)}{_pattern_note(glob)}",
        hint="--glob PATTERN chooses files by name instead of by suffix",
    )


def _pattern_note(glob: str | None) -> str:
    return f' (no file matches "{glob}")' if glob else ""


def read_list(stream: TextIO | BinaryIO, *, null_separated: bool = False) -> Iterator[VideoRef]:
    """Videos from a list of paths or JSON objects, each as soon as its line is there.

    Bytes that are not UTF-8 survive as surrogate escapes.
    """
    items = _null_items(stream) if null_separated else _line_items(stream)
    for number, item in enumerate(items, start=1):
        if not item:
            continue
        if item.startswith(b"{") and not null_separated:
            yield _parse_json(item, f"stdin:{number}")
        else:
            yield VideoRef(os.fsdecode(item))


def _line_items(stream: TextIO | BinaryIO) -> Iterator[bytes]:
    for number, line in enumerate(getattr(stream, "buffer", stream)):
        content = _as_bytes(line).rstrip(b"\r\n")
        yield content.removeprefix(b"\xef\xbb\xbf") if number == 0 else content


def _null_items(stream: TextIO | BinaryIO) -> Iterator[bytes]:
    raw = getattr(stream, "buffer", stream)
    # `read` would wait for a whole chunk, `read1` returns what a pipe holds.
    read = getattr(raw, "read1", raw.read)
    rest = b""
    while chunk := _as_bytes(read(_CHUNK_BYTES)):
        *items, rest = (rest + chunk).split(b"\0")
        yield from items
    yield rest


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _parse_json(line: bytes, place: str) -> VideoRef:
    row = parse_object(
        line.decode("utf-8", "surrogateescape"),
        place,
        hint='{"path": "a.mp4"} is an object; ./{name}.mp4 is a file; -0 reads paths only',
    )
    if unknown := [key for key in row.values if key not in _KEYS]:
        close = close_names(unknown[0], _KEYS)
        raise ManifestError(
            f"{place}: unknown keys {shorten_list(unknown)} (expected {shorten_list(_KEYS)})",
            hint=f'did you mean "{close[0]}"?' if close else None,
        )
    path, (start_s, end_s) = row.text("path"), row.span()
    if path is None:
        raise row.error("path", "a file name")
    return VideoRef(path, start_s, end_s, row.text("id") or path, row.text("label"))
