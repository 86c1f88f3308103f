"""The results of all videos, held in few words until they are written as one document."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from actcli.render.exports.cues import seconds
from actcli.render.records import rounded
from actcli.render.sinks import Sink
from actcli.types import Failure, Prediction


class Row(NamedTuple):
    """Where one label was found; a row that comes twice is held once."""

    start_s: float
    end_s: float
    label: str
    first_frame: int | None
    """From 0; None for the result of a whole video."""
    last_frame: int | None


@dataclass
class Video:
    """One file with what was found in it."""

    id: str
    path: str
    rows: dict[Row, float | None] = field(default_factory=dict)
    """The score of each row."""


class DocumentWriter(ABC):
    """Writes one document for all videos; those that failed are not in it."""

    def __init__(self, sink: Sink, run: Mapping[str, Any] | None = None) -> None:
        self._sink = sink
        self._run = run
        self._videos: dict[tuple[str, str], Video] = {}
        self._is_written = False
        self._models: dict[str, None] = {}

    def write(self, result: Prediction | Failure) -> None:
        """Hold one result; a failure is left out."""
        if isinstance(result, Failure):
            return
        ref, part = result.ref, result.part
        video = self._videos.setdefault((ref.id, ref.path), Video(ref.id, ref.path))
        frames = (None, None) if part is None else (part.first_frame, part.last_frame)
        video.rows[Row(*seconds(result), result.label, *frames)] = rounded(result.score)
        self._models[f"{result.method}, {result.model}"] = None

    def finish(self, run: Mapping[str, Any] | None = None) -> None:
        """Write the document, also if there was no result."""
        self._is_written = True
        self._run = run or self._run
        for text in self._document(list(self._videos.values())):
            self._sink.write(text)

    def close(self) -> None:
        """Write what is held, if anything is, then let go of the file."""
        if self._videos and not self._is_written:
            self.finish()
        self._sink.close()

    @abstractmethod
    def _document(self, videos: list[Video]) -> Iterator[str]:
        """The document, a few lines at a time."""

    @property
    def _model(self) -> str:
        """Method and model of the results."""
        return "; ".join(self._models) or "none"


def file_name(path: str) -> str:
    """The last part of a path or an address, with its suffix."""
    if "://" in path:
        path = unquote(urlsplit(path).path)
    return PurePath(path).name


def short_names(videos: list[Video]) -> list[str]:
    """A name for each video: its file's without suffix, made longer where two are the same."""
    stems = [os.path.splitext(file_name(video.path))[0] for video in videos]
    return different([(stem, video.id) for stem, video in zip(stems, videos, strict=True)])


def names_in_folder(videos: list[Video]) -> list[str]:
    """The path of each video inside the folder that holds them all, without suffix."""
    paths = [os.path.abspath(video.path) for video in videos if "://" not in video.path]
    folder = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    found = []
    for video in videos:
        name = file_name(video.path)
        if "://" not in video.path:
            inside = os.path.relpath(os.path.abspath(video.path), folder)
            name = PurePath(inside).as_posix()
        found.append((os.path.splitext(name)[0], name))
    return different(found)


def different(choices: list[tuple[str, str]]) -> list[str]:
    """The first choice of each; the second, then a number, where others would have the same."""
    counts = Counter(first for first, _ in choices)
    taken: set[str] = set()
    names = []
    for first, second in choices:
        wanted = first if counts[first] == 1 else second
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}-{number}", number + 1
        taken.add(name)
        names.append(name)
    return names
