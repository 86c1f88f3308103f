"""What the user typed as videos: files, directories, or a list of them on stdin.

A path that doesn't exist, and a URI, still becomes a `VideoRef`: the reader turns it into a
failure in its place, so that one wrong name among good ones stops nothing.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import chain, islice
from typing import BinaryIO, TextIO

from actcli.data.list_rows import stream_rows
from actcli.data.rows import parse_object
from actcli.data.walk import VIDEO_SUFFIXES, find_videos
from actcli.errors import (
    InputError,
    ManifestError,
    UsageError,
    VideoError,
    close_names,
    shorten_list,
)
from actcli.paths import AllowedUri, TarMember, redacted, scheme_of
from actcli.paths import is_remote as is_remote  # noqa: PLC0414 (others import it from here)
from actcli.remote.stores import list_stored
from actcli.tars import SUFFIX as TAR_SUFFIX
from actcli.tars import find_member, is_archive, list_members
from actcli.types import VideoRef

log = logging.getLogger("actcli.data.inputs")

_CHUNK_BYTES = 1 << 16
_KEYS = ("path", "start", "end", "label", "id")
_RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")
_MAX_RANGE = 1_000_000
_LISTING_TIMEOUT_S = 120.0


def expand_inputs(
    args: Sequence[str],
    *,
    stdin: TextIO | BinaryIO | None = None,
    glob: str | None = None,
    null_separated: bool = False,
    limit: int | None = None,
    lists: Sequence[str] = (),
    allow_remote: bool = False,
) -> list[VideoRef] | Iterator[VideoRef]:
    """The videos that `args` name, in that order: a list, or an iterator if a list is read.

    args: files, directories (searched recursively for videos), tar archives, URIs, or `-` for
        stdin; a URI that ends in "/" is all videos below it
    stdin: one path a line, or a JSON object a line with path, start, end, label and id (a line
        that begins with "{"); each video is yielded before the next line is waited for
    glob: pattern for files in directories, instead of the suffixes of videos
    null_separated: stdin holds paths that end in NUL bytes (`find -print0`), never JSON
    limit: stop after this many videos
    lists: files that list videos, which come after those of `args`; see `list_rows`
    allow_remote: let stdin and lists name URIs; those in `args` are allowed already

    Raises InputError if there is no video at all, ManifestError for a bad line, UsageError.
    """
    if not args and not lists:
        raise UsageError("no videos given (expected files, directories or -)", hint="actcli --help")
    if list(args).count("-") > 1:
        raise UsageError("-: stdin can be read only once (got - twice)")
    if "-" in args and stdin is None:
        raise UsageError("-: stdin is taken already", hint="name the videos as arguments")
    listed: list[Iterator[VideoRef]] = [stream_rows(name) for name in lists]
    typed = _expand(args, stdin, glob, null_separated, allow_remote)
    refs = islice(chain(typed, *(_expand_rows(rows, glob, allow_remote) for rows in listed)), limit)
    named = [*args, *lists]
    if lists or "-" in args:
        return _refuse_none(refs, named, glob)
    return list(_refuse_none(refs, named, glob))


def count_known(refs: list[VideoRef] | Iterator[VideoRef]) -> int | None:
    """How many videos there are, or None while stdin may still bring more."""
    return len(refs) if isinstance(refs, list) else None


def _expand(
    args: Iterable[str],
    stdin: TextIO | BinaryIO | None,
    glob: str | None,
    null_separated: bool,
    allow_remote: bool,
) -> Iterator[VideoRef]:
    for arg in args:
        if arg != "-":
            yield from _expand_path(AllowedUri(arg) if is_remote(arg) else arg, glob)
        elif stdin is not None:
            rows = read_list(stdin, null_separated=null_separated)
            yield from _expand_rows(rows, glob, allow_remote)


def _expand_rows(
    rows: Iterable[VideoRef], glob: str | None, allow_remote: bool
) -> Iterator[VideoRef]:
    for ref in rows:
        # A trimmed or labelled row means one video, a bare one may be a directory.
        is_bare = ref == VideoRef(ref.path)
        row = allow(ref) if allow_remote else replace(ref, id=redacted(ref.id))
        yield from _expand_path(row.path, glob) if is_bare else (row,)


def allow(ref: VideoRef) -> VideoRef:
    """A video of a list that may name URIs."""
    if not is_remote(ref.path):
        return ref
    return replace(ref, path=AllowedUri(ref.path), id=redacted(ref.id))


def _expand_path(path: str, glob: str | None) -> Iterator[VideoRef]:
    if path.endswith(TAR_SUFFIX) and (names := expand_range(path)):
        for name in names:
            yield from _expand_path(name, glob)
        return
    if isinstance(path, AllowedUri) and path.endswith("/"):
        yield from _expand_folder_uri(path, glob)
        return
    if is_archive(path) and (isinstance(path, AllowedUri) or os.path.isfile(path)):
        yield from _expand_archive(path, glob)
        return
    if is_remote(path) or not os.path.isdir(path):
        member = None if is_remote(path) else find_member(path)
        yield VideoRef(path if member is None else member, id=redacted(path))
        return
    is_empty = True
    for found in find_videos(path, glob=glob):
        is_empty = False
        yield VideoRef(found)
    if is_empty:
        log.warning("%s: no videos in this directory%s", path, _pattern_note(glob))


def _expand_archive(path: str, glob: str | None) -> Iterator[VideoRef]:
    is_empty = True
    for member in list_members(path, lambda name: _is_video(name, glob)):
        is_empty = False
        yield VideoRef(member, id=redacted(member))
    if is_empty:
        log.warning("%s: no videos in this archive%s", redacted(path), _pattern_note(glob))


def _is_video(name: str, glob: str | None) -> bool:
    """Whether a name in an archive or a store is that of a video; hidden files aren't."""
    base = name.rpartition("/")[2]
    if base.startswith("."):
        return False
    if glob is not None:
        return fnmatchcase(name if "/" in glob else base, glob)
    return os.path.splitext(base)[1][1:].lower() in VIDEO_SUFFIXES


def _expand_folder_uri(uri: AllowedUri, glob: str | None) -> Iterator[VideoRef]:
    """All videos below a URI, in order of name; the URI itself where it can't be listed."""
    if scheme_of(uri) in ("http", "https"):
        yield VideoRef(uri, id=redacted(uri))
        return
    is_empty = True
    try:
        for found in list_stored(uri, _LISTING_TIMEOUT_S):
            if _is_video(found, glob):
                is_empty = False
                yield VideoRef(found)
    except VideoError as error:
        problem = (error.kind, error.message)
        yield VideoRef(TarMember(uri.rstrip("/"), "", 0, 0, problem), id=redacted(uri))
        return
    if is_empty:
        log.warning("%s: no videos below it%s", redacted(uri), _pattern_note(glob))


def expand_range(path: str) -> list[str]:
    """The names that "clips-{000..009}.tar" stands for; none if it is no such range."""
    match = _RANGE.search(path)
    if match is None or os.path.exists(path):
        return []
    first, last = match[1], match[2]
    if not int(first) <= int(last) <= int(first) + _MAX_RANGE:
        return []
    kind = type(path)
    numbers = range(int(first), int(last) + 1)
    return [kind(f"{path[: match.start()]}{n:0{len(first)}}{path[match.end() :]}") for n in numbers]


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
