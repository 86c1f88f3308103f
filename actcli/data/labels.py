"""Label sets: the ordered, unique names that videos are scored against, and where they come from.

A label file is UTF-8 text with one label a line. Blank lines and lines that begin with "# " are
skipped ("#1 pose" is a label). `label<TAB>prompt` gives a label its own prompt; the same label on
further lines with other prompts has several.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from actcli.data.opposites import order_pairs
from actcli.errors import InputError, UsageError, close_names, shorten_list
from actcli.reading import read_at_most
from actcli.wording import clean_label, match_key, same_label_key

__all__ = ["LabelSet", "bundled_lists", "order_pairs"]

# A label file that is larger is no label file; a device would never end.
_MAX_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Names of actions as typed: unique, ordered; the position of a name is its class."""

    names: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...] = ()
    """[C][0..], the prompts that a label brought itself; empty where templates apply."""
    source: str = field(default="labels", compare=False)
    """Where the names came from, for messages."""
    _by_key: dict[str, int | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = tuple(self.names)
        if not names or not all(names):
            got = "an empty one" if names else "none"
            raise UsageError(
                f"{self.source}: labels are missing (got {got}, expected at least one word each)",
                hint='--labels "run,jump,sit down"',
            )
        prompts = tuple(tuple(own) for own in self.prompts) or ((),) * len(names)
        if len(prompts) != len(names):
            raise ValueError(f"LabelSet: {len(names)} names but {len(prompts)} lists of prompts")
        _refuse_duplicates(names, [f"label {i + 1}" for i in range(len(names))], self.source)
        by_key: dict[str, int | None] = {}
        for index, name in enumerate(names):
            by_key[match_key(name)] = None if match_key(name) in by_key else index
        for attribute, value in (("names", names), ("prompts", prompts), ("_by_key", by_key)):
            object.__setattr__(self, attribute, value)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, index: int) -> str:
        return self.names[index]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    @property
    def words(self) -> tuple[str, ...]:
        """The names as a text tower should read them, see `clean_label`."""
        return tuple(clean_label(name) for name in self.names)

    def index(self, name: str) -> int:
        """The class of a label, spelled in any usual way; UsageError with close names if none."""
        found = self.find(name)
        if found is None:
            close = close_names(name, self.names)
            raise UsageError(
                f'"{name}": not one of the {len(self)} labels of {self.source}',
                hint=f"did you mean {shorten_list(close)}?" if close else None,
            )
        return found

    def find(self, name: str) -> int | None:
        """The class of a label, or None. "ShotPut", "shot_put" and "shot put" are one name."""
        if name in self.names:
            return self.names.index(name)
        return self._by_key.get(match_key(name))

    @classmethod
    def from_names(cls, names: Iterable[str], *, source: str = "labels") -> LabelSet:
        """Labels from Python strings."""
        if isinstance(names, str):
            return cls.parse(names, source=source)
        given = list(names)
        if wrong := [name for name in given if not isinstance(name, str)]:
            raise UsageError(f"{source}: a label is a text (got {wrong[0]!r})")
        return cls(tuple(" ".join(name.split()) for name in given), (), source)

    @classmethod
    def parse(cls, text: str, *, source: str = "--labels") -> LabelSet:
        """Labels from "run,jump,sit down"; a label with a comma goes in double quotes."""
        try:
            rows = list(csv.reader(io.StringIO(text), skipinitialspace=True, strict=True))
        except csv.Error as error:
            raise UsageError(
                f"{source}: unbalanced double quotes in {text!r} ({error})",
                hint=f"{source} 'run,\"jump, then land\"'",
            ) from error
        names = [name for row in rows for cell in row if (name := " ".join(cell.split()))]
        return _checked(
            [_Entry(name, f"item {i + 1}") for i, name in enumerate(names)], source=source
        )

    @classmethod
    def from_file(cls, path: str | Path) -> LabelSet:
        """Labels from a text file; see this module's docstring for the format."""
        return cls.from_lines(_file_lines(path), source=str(path))

    @classmethod
    def from_stream(cls, stream: TextIO | BinaryIO, *, source: str = "stdin") -> LabelSet:
        """Labels from an open stream, read to its end; the format is that of a file."""
        return cls.from_lines(_stream_lines(stream, source), source=source)

    @classmethod
    def from_lines(cls, lines: Iterable[str], *, source: str = "labels") -> LabelSet:
        """Labels from lines of `label` or `label<TAB>prompt`."""
        entries: dict[str, _Entry] = {}
        for number, line in enumerate(lines, start=1):
            name, *own = (" ".join(cell.split()) for cell in line.split("\t"))
            if not name or name == "#" or name.startswith("# "):
                continue
            entry = _Entry(name, f"line {number}", [prompt for prompt in own if prompt])
            earlier = entries.get(name)
            if earlier is not None and earlier.takes(entry):
                earlier.prompts += entry.prompts
            else:
                # A second entry under another key, so that the check below sees both.
                entries[name if earlier is None else f"{name}\t{number}"] = entry
        return _checked(list(entries.values()), source=source)

    @classmethod
    def bundled(cls, name: str) -> LabelSet:
        """A list that comes with actcli, such as "kinetics400"; case and hyphens don't matter."""
        lines, found = _bundled_lines(name)
        return cls.from_lines(lines, source=found)

    @classmethod
    def open(cls, name: str, *, stdin: TextIO | BinaryIO | None = None) -> LabelSet:
        """What `--labels-file` names: `-` for stdin, else a file, else a bundled list."""
        lines, source = label_lines(name, stdin=stdin)
        return cls.from_lines(lines, source=source)


def label_lines(name: str, *, stdin: TextIO | BinaryIO | None = None) -> tuple[Iterable[str], str]:
    """The lines of what `--labels-file` names, as they are, and what to call it in messages."""
    if name == "-":
        if stdin is None:
            raise UsageError(
                "--labels-file -: stdin is taken by the list of videos",
                hint="--labels-file FILE",
            )
        return _stream_lines(stdin, "stdin"), "stdin"
    if os.path.isfile(name) or _looks_like_path(name):
        if not os.path.exists(name):
            raise _unknown_list(name)
        return _file_lines(name), name
    return _bundled_lines(name)


@dataclass(slots=True)
class _Entry:
    """A label while its file is read."""

    name: str
    place: str
    prompts: list[str] = field(default_factory=list)

    def takes(self, other: _Entry) -> bool:
        """True if `other` adds prompts to this label instead of repeating it."""
        return bool(self.prompts and other.prompts) and not set(self.prompts) & set(other.prompts)


def bundled_lists() -> tuple[str, ...]:
    """Names of the label lists that come with actcli."""
    files = (entry.name for entry in _lists().iterdir())
    return tuple(sorted(name.removesuffix(".txt") for name in files if name.endswith(".txt")))


def _bundled_lines(name: str) -> tuple[Iterable[str], str]:
    known = {match_key(list_name): list_name for list_name in bundled_lists()}
    if match_key(name) not in known:
        raise _unknown_list(name)
    found = known[match_key(name)]
    return _lines((_lists() / f"{found}.txt").read_text(encoding="utf-8")), found


def _file_lines(path: str | Path) -> Iterable[str]:
    try:
        content = read_at_most(path, _MAX_BYTES)
    except OSError as error:
        raise InputError(
            f"{path}: cannot read the label file ({error.strerror})",
            hint="--labels-file FILE takes a text file with one label a line",
        ) from error
    return _lines(_decode(_sized(content, str(path)), str(path)))


def _stream_lines(stream: TextIO | BinaryIO, source: str) -> Iterable[str]:
    if isinstance(stream, io.StringIO):
        return _lines(stream.read())
    raw: Any = getattr(stream, "buffer", stream)
    try:
        content = read_at_most(raw, _MAX_BYTES)
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})") from error
    return _lines(_decode(_sized(content, source), source))


def _sized(content: bytes | None, source: str) -> bytes:
    if content is None:
        raise UsageError(f"{source}: too large for a label file (got more than 64 MB)")
    return content


def _lists() -> resources.abc.Traversable:
    return resources.files("actcli.data") / "lists"


def _looks_like_path(name: str) -> bool:
    return "/" in name or "\\" in name or Path(name).suffix in {".txt", ".tsv", ".csv", ".lst"}


def _unknown_list(name: str) -> UsageError:
    close = close_names(name, [*bundled_lists(), *_files_beside(name)])
    return UsageError(
        f"{name}: no such label file or bundled list"
        + (f" (close: {shorten_list(close)})" if close else ""),
        hint=f"--labels-file {close[0] if close else 'FILE'}; "
        f"bundled lists: {', '.join(bundled_lists())}",
    )


def _files_beside(name: str) -> list[str]:
    """Files in the folder that `name` points into, as the user would type them."""
    folder = Path(name).parent
    try:
        return [str(entry) for entry in folder.iterdir() if entry.is_file()]
    except OSError:
        return []


def _lines(text: str) -> Iterable[str]:
    """Lines however they end; `splitlines` would also split at rarer characters inside labels."""
    return io.StringIO(text, newline=None)


def _decode(content: bytes, source: str) -> str:
    """Text of a label file; byte order marks of UTF-8 and UTF-16 are understood."""
    is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{source}: line {line} is not UTF-8 text (got byte 0x{content[error.start]:02x})",
            hint=f"iconv -f latin1 -t utf-8 {source} > labels.txt",
        ) from error
    if "\0" in text:
        raise UsageError(f"{source}: not a text file (got NUL bytes, expected one label a line)")
    return text


def _checked(entries: Sequence[_Entry], *, source: str) -> LabelSet:
    names = [entry.name for entry in entries]
    _refuse_duplicates(names, [entry.place for entry in entries], source)
    prompts = tuple(tuple(entry.prompts) for entry in entries)
    return LabelSet(tuple(names), prompts, source)


def _refuse_duplicates(names: Sequence[str], places: Sequence[str], source: str) -> None:
    """Raise a UsageError that names every label given twice and where it stands."""
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        groups.setdefault(same_label_key(name), []).append(index)
    twice = [
        " = ".join(f'"{names[i]}" ({places[i]})' for i in group[:5])
        for group in groups.values()
        if len(group) > 1
    ]
    if twice:
        listed = "; ".join(twice[:5]) + (f" and {len(twice) - 5} more" if len(twice) > 5 else "")
        raise UsageError(
            f"{source}: the same label twice: {listed}",
            hint="keep one of each; capitals, underscores and joined words don't make a difference",
        )
