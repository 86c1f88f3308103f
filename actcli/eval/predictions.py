"""Files of predictions, ours or any tool's that writes our records, and whose video each is of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from actcli.data.list_text import ListText, read_list_text
from actcli.data.rows import Fields
from actcli.errors import ManifestError, VideoError
from actcli.reading import parse_json, shown
from actcli.types import VideoRef

_SCHEMA: Final = "actcli.prediction/1"


@dataclass(frozen=True, slots=True)
class Scored:
    """One record: the labels of a video with their scores, best first; none if it failed."""

    input: str
    start_s: float
    end_s: float | None
    """Where the record has one: that of the video or of its trimmed part."""
    ranked: tuple[tuple[str, float], ...]
    error: VideoError | None = None


def read_predictions(path: str) -> Iterator[Scored]:
    """The records of a file, JSON Lines or the JSON that `--format json` writes.

    Raises InputError, ManifestError naming the line.
    """
    for place, record in _records(read_list_text(path)):
        fields = Fields(place, record)
        schema = record.get("schema", _SCHEMA)
        if schema != _SCHEMA:
            raise ManifestError(
                f"{place}: not a prediction (got schema {shown(schema)}, expected {_SCHEMA})"
            )
        name, (start_s, end_s) = fields.text("input"), fields.span()
        if name is None:
            raise fields.error("input", "a text")
        is_ok = record.get("ok", True)
        if not isinstance(is_ok, bool):
            raise fields.error("ok", "true or false")
        ranked: tuple[tuple[str, float], ...] = ()
        problem: VideoError | None = None
        if is_ok:
            ranked = _ranked(fields, record)
        else:
            error = record.get("error")
            said = error.get("message") if isinstance(error, dict) else None
            problem = VideoError("unreadable", str(said or "failed"))
        yield Scored(name, start_s or 0.0, end_s, ranked, problem)


def _records(text: ListText) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        whole = parse_json(text.text)
    except ValueError:
        whole = None
    rows: Iterable[tuple[str, Any]] = _lines(text)
    if isinstance(whole, dict) and isinstance(whole.get("results"), list):
        rows = ((f"{text.source}: result {i}", row) for i, row in enumerate(whole["results"], 1))
    for place, row in rows:
        if not isinstance(row, dict):
            raise ManifestError(f"{place}: not a JSON object (got {shown(row)})")
        yield place, row


def _lines(text: ListText) -> Iterator[tuple[str, Any]]:
    for number, line in text.lines():
        place = f"{text.source}:{number}"
        try:
            yield place, parse_json(line)
        except ValueError as error:
            raise ManifestError(
                f"{place}: not a JSON record ({error})",
                hint="predictions are JSON Lines: actcli classify … -o preds.jsonl",
            ) from error


def _ranked(fields: Fields, record: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Labels with scores, best first; the record's label alone where it has no others."""
    top, key = record.get("top"), "top"
    if top is None:
        key = "score" if fields.text("label") else "label"
        top = [{"label": record.get("label"), "score": record.get("score", 1.0)}]
    try:
        pairs = [(one["label"], float(one["score"])) for one in top]
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise fields.error(key, "labels with scores") from error
    if not pairs or not all(isinstance(n, str) and n and 0 <= score <= 1 for n, score in pairs):
        raise fields.error(key, "labels with scores from 0 to 1")
    return tuple(sorted(pairs, key=lambda pair: -pair[1]))


def match(records: Sequence[Scored], refs: Iterable[VideoRef]) -> dict[VideoRef, Scored]:
    """The record of each video: by its name as typed, else by its path, else by its file's name.

    A record belongs to one video, and what could be of two is of none.
    """
    found: dict[VideoRef, Scored] = {}
    left, open_refs = list(records), list(refs)
    spellings: tuple[Callable[[str], str], ...] = (
        str, os.path.normpath, os.path.abspath, os.path.basename,
    )  # fmt: skip
    for spell in spellings:
        of_name: dict[tuple[str, float], list[Scored]] = {}
        for record in left:
            of_name.setdefault((spell(record.input), record.start_s), []).append(record)
        claims: dict[int, list[VideoRef]] = {}
        for ref in open_refs:
            names = {(spell(name), ref.start_s or 0.0) for name in (ref.id, ref.path)}
            own = {id(one): one for name in names for one in of_name.get(name, ())
                   if _may_end(one, ref)}  # fmt: skip
            if len(own) == 1:
                claims.setdefault(next(iter(own)), []).append(ref)
        by_id = {id(record): record for record in left}
        found |= {one[0]: by_id[key] for key, one in claims.items() if len(one) == 1}
        used = {id(record) for record in found.values()}
        left = [record for record in left if id(record) not in used]
        open_refs = [ref for ref in open_refs if ref not in found]
    return found


def _may_end(record: Scored, ref: VideoRef) -> bool:
    """Whether a record with this end can be of a video; of a whole one any can."""
    if ref.end_s is None or record.end_s is None:
        return True
    return abs(record.end_s - ref.end_s) < 1e-5


def without_repeats(path: str, records: Iterable[Scored]) -> list[Scored]:
    """Records without those that say the same again.

    Raises ManifestError for two of one video that differ.
    """
    first: dict[tuple[str, float, float | None], Scored] = {}
    for record in records:
        earlier = first.setdefault((record.input, record.start_s, record.end_s), record)
        if (earlier.ranked, earlier.error is None) != (record.ranked, record.error is None):
            raise ManifestError(f"{path}: has two different records of {record.input}")
    return list(first.values())


def holds_predictions(path: str) -> bool:
    """Whether a file begins with one of our records."""
    with open(path, "rb") as file:
        return b"actcli.prediction/" in file.read(200)
