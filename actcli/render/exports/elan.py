"""ELAN: an annotation document (.eaf) of format 3.0.

Schema: http://www.mpi.nl/tools/elan/EAFv3.0.xsd. Annotations of one tier must not overlap. So
where nothing does, all stand on the tier "actions"; else each label has its tier, and what
overlaps under one label goes to further tiers of its name with a number. A tier of scores hangs on
each, so that a value is the label alone. As ELAN's own, file addresses are written without escapes.
"""

from __future__ import annotations

import html
import mimetypes
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from actcli.render.exports.cues import CueTimes, OneVideo, allowed, plain, seconds
from actcli.render.records import rounded
from actcli.render.sinks import Sink
from actcli.types import Failure, Prediction

_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ANNOTATION_DOCUMENT AUTHOR="actcli" DATE={date} FORMAT="3.0" VERSION="3.0"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">\n'
)
_TAIL: Final = (
    '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="action" TIME_ALIGNABLE="true"'
    ' GRAPHIC_REFERENCES="false"/>\n'
    '<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="score" TIME_ALIGNABLE="false"'
    ' GRAPHIC_REFERENCES="false" CONSTRAINTS="Symbolic_Association"/>\n'
    '<CONSTRAINT STEREOTYPE="Symbolic_Association"'
    ' DESCRIPTION="1-1 association with a parent annotation"/>\n'
    "</ANNOTATION_DOCUMENT>\n"
)


class _Row(NamedTuple):
    start_ms: int
    end_ms: int
    label: str
    score: float | None


class EafWriter:
    """The results of one video, written at the end.

    folder:  where the document is going to be, for the relative address of the video
    """

    def __init__(
        self, sink: Sink, run: Mapping[str, Any] | None = None, folder: Path | None = None
    ) -> None:
        self._sink = sink
        self._run = run
        self._folder = folder
        self._times = CueTimes()
        self._video = OneVideo("eaf")
        self._path: str | None = None
        self._rows: list[_Row] = []
        self._is_written = False

    def write(self, result: Prediction | Failure) -> None:
        """Hold one result; a failure is left out. UsageError for a second video."""
        if isinstance(result, Failure):
            return
        self._video.check(result)
        self._path = result.ref.path
        times = self._times(*seconds(result))
        self._rows.append(_Row(*times, plain(result.label), rounded(result.score)))

    def finish(self, run: Mapping[str, Any] | None = None) -> None:
        """Write the document, also if there was no result."""
        self._is_written = True
        self._run = run or self._run
        self._sink.write("".join(self._document()))

    def close(self) -> None:
        """Write what is held, if anything is, then let go of the file."""
        if self._rows and not self._is_written:
            self.finish()
        self._sink.close()

    def _document(self) -> Iterator[str]:
        started = (self._run or {}).get("started")
        date = str(started or datetime.now(UTC).isoformat(timespec="seconds"))
        tiers = _named(_tiers(self._rows))
        yield _HEAD.format(date=_quoted(date))
        yield '<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">\n'
        if self._path is not None:
            yield _media(self._path, self._folder)
        last_id = 2 * len(self._rows)
        yield f'<PROPERTY NAME="lastUsedAnnotationId">{last_id}</PROPERTY>\n</HEADER>\n'
        yield from _time_order(tiers)
        number = 0
        for name, rows in tiers.items():
            yield from _tier(name, rows, number)
            number += len(rows)
        yield _TAIL


def _tiers(rows: list[_Row]) -> list[tuple[str, list[_Row]]]:
    """The rows of each tier, in order of time, and what the tier shows, in order of labels."""
    rows = sorted(rows, key=lambda row: row[:3])
    if all(one.end_ms <= other.start_ms for one, other in pairwise(rows)):
        return [("actions", rows)]
    tiers: list[tuple[str, list[_Row]]] = []
    for row in sorted(rows, key=lambda row: row.label):
        for label, held in reversed(tiers):
            if label != row.label:
                continue
            if held[-1].end_ms <= row.start_ms:
                held.append(row)
                break
        else:
            tiers.append((row.label, [row]))
    return tiers


def _named(tiers: list[tuple[str, list[_Row]]]) -> dict[str, list[_Row]]:
    """The rows by the name of their tier; no two tiers, those of scores included, share a name."""
    taken: set[str] = set()
    named = {}
    for label, rows in tiers:
        name, number = label or "no label", 1
        while not taken.isdisjoint({name, _score_tier(name)}):
            number += 1
            name = f"{label or 'no label'} ({number})"
        taken |= {name, _score_tier(name)}
        named[name] = rows
    return named


def _quoted(text: str) -> str:
    """The text as the value of an attribute."""
    # Not xml.sax.saxutils: it imports urllib.request, 80 ms for every command.
    return f'"{html.escape(text)}"'


def _score_tier(name: str) -> str:
    return f"score of {name}"


def _time_order(tiers: Mapping[str, list[_Row]]) -> Iterator[str]:
    """Two slots for each annotation, in order of time; `_tier` numbers them alike."""
    rows = [row for held in tiers.values() for row in held]
    slots = [(row.start_ms, 2 * i + 1) for i, row in enumerate(rows)]
    slots += [(row.end_ms, 2 * i + 2) for i, row in enumerate(rows)]
    yield "<TIME_ORDER>\n"
    for time_ms, number in sorted(slots):
        yield f'<TIME_SLOT TIME_SLOT_ID="ts{number}" TIME_VALUE="{time_ms}"/>\n'
    yield "</TIME_ORDER>\n"


def _tier(name: str, rows: list[_Row], first: int) -> Iterator[str]:
    """A tier of labels and one of their scores; `first` annotations stand before it."""
    yield f'<TIER LINGUISTIC_TYPE_REF="action" TIER_ID={_quoted(name)}>\n'
    for i, row in enumerate(rows, start=first):
        yield (
            f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{2 * i + 1}"'
            f' TIME_SLOT_REF1="ts{2 * i + 1}" TIME_SLOT_REF2="ts{2 * i + 2}">'
            f"<ANNOTATION_VALUE>{html.escape(row.label)}</ANNOTATION_VALUE>"
            "</ALIGNABLE_ANNOTATION></ANNOTATION>\n"
        )
    yield "</TIER>\n"
    yield f'<TIER LINGUISTIC_TYPE_REF="score" PARENT_REF={_quoted(name)}'
    yield f" TIER_ID={_quoted(_score_tier(name))}>\n"
    for i, row in enumerate(rows, start=first):
        value = "" if row.score is None else f"{row.score:.3f}"
        yield (
            f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a{2 * i + 2}"'
            f' ANNOTATION_REF="a{2 * i + 1}"><ANNOTATION_VALUE>{value}</ANNOTATION_VALUE>'
            "</REF_ANNOTATION></ANNOTATION>\n"
        )
    yield "</TIER>\n"


def _media(path: str, folder: Path | None) -> str:
    """Where the video is: its address, and its path from the document."""
    kind = mimetypes.guess_type(path)[0] or "unknown"
    if "://" in path:
        address = _quoted(allowed(path))
        return f"<MEDIA_DESCRIPTOR MEDIA_URL={address} MIME_TYPE={_quoted(kind)}/>\n"
    absolute = os.path.abspath(path)
    relative = Path(os.path.relpath(absolute, folder or Path())).as_posix()
    if not relative.startswith("../"):
        relative = f"./{relative}"
    address = "file:///" + Path(absolute).as_posix().lstrip("/")
    return (
        f"<MEDIA_DESCRIPTOR MEDIA_URL={_quoted(allowed(address))} MIME_TYPE={_quoted(kind)}"
        f" RELATIVE_MEDIA_URL={_quoted(allowed(relative))}/>\n"
    )
