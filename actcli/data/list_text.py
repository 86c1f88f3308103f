"""The text of a list of videos, and which kind of list it is, told by its first lines."""

from __future__ import annotations

import csv
import os
import re
import shlex
import stat
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from actcli.data.walk import VIDEO_SUFFIXES
from actcli.errors import InputError, ManifestError, close_names, shorten_list
from actcli.reading import parse_json, read_at_most

Dialect = Literal[
    "folder", "csv", "jsonl", "text", "kinetics", "ucf101", "hmdb51", "ssv2", "few-shot"
]
DIALECTS: Final[tuple[str, ...]] = get_args(Dialect)
ACCEPTED: Final = (
    "a folder per label, CSV or TSV with a header line (path,label), JSON Lines, "
    "lines of path<TAB>label, or an official list of Kinetics, UCF101, HMDB51 or "
    "Something-Something"
)

PATH_NAMES: Final = ("path", "video", "file", "filename", "input")
LABEL_NAMES: Final = ("label", "class")
START_NAMES: Final = ("start", "start_s", "start_time")
END_NAMES: Final = ("end", "end_s", "end_time")
SPLIT_NAMES: Final = ("split",)

HMDB_NAME: Final = re.compile(r"(?P<label>.+)_test_split(?P<number>\d+)\.txt")
UCF_NAME: Final = re.compile(r"(?P<split>train|test)list(?P<number>\d+)\.txt")
FEW_SHOT_LINE: Final = re.compile(
    r"(?P<split>train|val|test)(?P<number>\d+)/(/(?P<path>.+)|(?P<id>[^/\s]+))"
)
TEXT_LINE: Final = re.compile(
    r'\s*(?P<path>"(?:[^"]|"")+"|[^\s"]\S*)\s+(?P<label>"(?:[^"]|"")+"|[^\s"]\S*)\s*'
)
_HMDB_LINE = re.compile(r"\S.*\s[012]\s*")
_UCF_LINE = re.compile(r"([^/\s]+)/v_\1_g\d+_c\d+\.\w+(\s+\d+)?\s*", re.IGNORECASE)
_HEADER_NAMES = {*PATH_NAMES, *LABEL_NAMES, *SPLIT_NAMES, "youtube_id", "start", "end"}
_DELIMITERS = (",", "\t", ";")
_SUFFIXES = "|".join(sorted(VIDEO_SUFFIXES))
_HEADERLESS = re.compile(rf'[^,;]*\.(?:{_SUFFIXES})"?\s*[,;].*', re.IGNORECASE)
# A list that is larger is none; a device would never end.
_MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class ListText:
    """A list that was read: its name as typed, its text, and where its paths begin."""

    source: str
    text: str
    root: str

    def lines(self) -> Iterator[tuple[int, str]]:
        """Number and content of every line that has any."""
        for number, line in enumerate(self.text.split("\n"), start=1):
            if line and not line.isspace():
                yield number, line.removesuffix("\r")

    def first_line(self) -> str:
        """The first line that has any content; "" if there is none."""
        return next((line for _, line in self.lines()), "")


def read_list_text(source: str, root: str | None = None) -> ListText:
    """The text of the file `source`; relative paths begin at `root`, else at its own folder.

    Raises InputError for what can't be read, ManifestError for what is no text.
    """
    _check_regular(source)
    try:
        content = read_at_most(source, _MAX_BYTES)
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    if content is None:
        raise InputError(f"{source}: too large for a list of videos (got more than 1 GiB)")
    text = _decode(content, source)
    if "\n" not in text:  # as some spreadsheets still end lines
        text = text.replace("\r", "\n")
    return ListText(source, text, os.path.dirname(source) if root is None else root)


def _check_regular(source: str) -> None:
    """Raise InputError unless `source` is a file, without opening it: a pipe would wait."""
    try:
        mode = os.stat(source).st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        close = close_names(os.path.basename(source), _files_beside(source))
        raise InputError(
            f"{source}: no such list or folder",
            hint=f"did you mean {os.path.join(os.path.dirname(source), close[0])}?"
            if close
            else None,
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{source}: cannot be read ({error})") from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{source}: is a folder (expected a file)")
    if not stat.S_ISREG(mode):
        raise InputError(f"{source}: not a regular file (expected {ACCEPTED})")


def _files_beside(source: str) -> list[str]:
    try:
        return os.listdir(os.path.dirname(source) or ".")
    except OSError:
        return []


def _decode(content: bytes, source: str) -> str:
    """Text of a list; byte order marks of UTF-8 and UTF-16 are understood."""
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\0" in content and not is_utf16:
        raise ManifestError(
            f"{source}: not a list of videos (got binary data, expected {ACCEPTED})"
        )
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ManifestError(
            f"{source}:{line}: not UTF-8 text (got byte 0x{content[error.start]:02x})",
            hint=f"iconv -f latin1 -t utf-8 {shlex.quote(source)} > utf8.txt",
        ) from error


def recognise(found: ListText) -> Dialect:
    """Which kind of list a text is.

    Raises ManifestError for what is no list of videos, saying what it looks like.
    """
    line = found.first_line().strip()
    if not line:
        raise ManifestError(f"{found.source}: empty (expected {ACCEPTED})")
    if line[0] in "[{" and (dialect := _json_kind(found, line)):
        return dialect
    if FEW_SHOT_LINE.fullmatch(line):
        return "few-shot"
    if _UCF_LINE.fullmatch(line):
        return "ucf101"
    if HMDB_NAME.fullmatch(os.path.basename(found.source)) and _HMDB_LINE.fullmatch(line):
        return "hmdb51"
    if delimiter := find_delimiter(line):
        names = header_names(line, delimiter)
        return "kinetics" if "youtube_id" in names and not _has(names, PATH_NAMES) else "csv"
    if "\t" in line:
        return "text"
    if _HEADERLESS.fullmatch(line):
        raise ManifestError(
            f'{found.source}:1: no header line (got "{line[:60]}", expected column names)',
            hint=f"(echo path,label; cat {shlex.quote(found.source)}) > with_header.csv",
        )
    if TEXT_LINE.fullmatch(line):
        return "text"
    raise ManifestError(
        f'{found.source}: not a list of videos that is known (it begins with "{line[:60]}", '
        f"expected {ACCEPTED})"
    )


def _json_kind(found: ListText, line: str) -> Dialect | None:
    """jsonl or ssv2; None where the text only begins as JSON does."""
    if line == "[" or line[:2] in ("[{", '["', "[]", "[ "):
        return "ssv2"
    try:
        first = parse_json(line)
    except ValueError:
        first = None
    if isinstance(first, dict) and _has(first, PATH_NAMES):
        return "jsonl"
    try:
        whole = parse_json(found.text)
    except ValueError:
        # The reader of JSON Lines says which line is wrong.
        return "jsonl" if isinstance(first, dict) or line.startswith('{"') else None
    if isinstance(whole, list):
        return "ssv2"
    is_map = bool(whole) and all(map(_is_whole_number, whole.values()))
    what = f"a map of {len(whole)} names to numbers" if is_map else f"keys {shorten_list(whole)}"
    raise ManifestError(
        f"{found.source}: not a list of videos (got a JSON object, {what}; expected {ACCEPTED})"
    )


def _is_whole_number(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.isdigit())


def find_delimiter(line: str) -> str | None:
    """What separates the column names of a header line; None if the line is no header."""
    for delimiter in _DELIMITERS:
        names = header_names(line, delimiter)
        num_known = len(_HEADER_NAMES.intersection(names))
        is_plain = not any("." in name or "/" in name for name in names)
        if num_known > 1 or (num_known and is_plain and len(names) > 1):
            return delimiter
    return None


def header_names(line: str, delimiter: str) -> list[str]:
    """The column names of a header line, in lower case."""
    try:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error:
        return []
    return [cell.strip().casefold() for cell in cells]


def _has(names: Container[str], wanted: Iterable[str]) -> bool:
    return any(name in names for name in wanted)
