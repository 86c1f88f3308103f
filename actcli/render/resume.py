"""Continues a file of results where an earlier run stopped, after `kill -9` too."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from actcli.config import LimitsConfig, flat
from actcli.errors import ActcliError, InputError, ManifestError, UsageError, shorten_list
from actcli.reading import parse_json, read_at_most
from actcli.render.cells import columns, format_row, unescape, unguard
from actcli.render.files import Format, sidecar_path
from actcli.render.records import PREDICTION_SCHEMA, plain_value, same_span
from actcli.render.sinks import storage_errors
from actcli.types import Run, VideoRef

log = logging.getLogger("actcli.render.resume")

# Settings that change where a run computes, never what comes out.
_HARMLESS = (
    "run.", "offline", "top", "require_license",
    *(f"limits.{name}" for name in LimitsConfig.HELD_BY_WORKERS),
)  # fmt: skip
_HARMFUL = ("run.precision",)
_MAX_RECORD_BYTES = 1 << 26
# Far longer than any record that a crash tears: a larger rest is not a line that a crash tore.
_MAX_TORN_BYTES = 1 << 18


class Done:
    """The videos that have a result already, each as often as it has one."""

    def __init__(self) -> None:
        self.num_ok = 0
        self.num_failed = 0
        self._spans: dict[str, list[tuple[float | None, float | None]]] = {}

    def __len__(self) -> int:
        return self.num_ok + self.num_failed

    def add(self, name: str, ok: bool, start_s: float | None, end_s: float | None) -> None:
        """Note one result of the video `name`."""
        self._spans.setdefault(name, []).append((start_s, end_s))
        self.num_ok += ok
        self.num_failed += not ok

    def take(self, ref: VideoRef) -> bool:
        """True if `ref` has a result that was not taken yet; failures count as results."""
        spans = self._spans.get(ref.id, [])
        for i, (start_s, end_s) in enumerate(spans):
            if same_span(ref, start_s, end_s):
                del spans[i]
                return True
        return False


def load_done(
    path: str | Path, format: Format, run: Run, *, top: int = 5, extra: Sequence[str] = ()
) -> Done:
    """Read the results in `path` and cut off a torn last line, so that it can be appended to.

    top, extra: as for `actcli.render.cells.columns`

    A file that doesn't exist is as good as an empty one. Raises UsageError if the file was made
    under conditions that score differently, or with other columns; ManifestError for a line
    that is not ours.
    """
    if format not in ("jsonl", "csv", "tsv"):
        raise UsageError(
            f"--skip-done: can't continue a file of format {format} (got {path})",
            hint="-o preds.jsonl",
        )
    done = Done()
    if not os.path.exists(path):
        return done
    if not os.path.isfile(path):
        raise UsageError(f"--skip-done: {path} is not a regular file", hint="-o preds.jsonl")
    try:
        with open(path, "rb") as file:
            end = _read(file, format, str(path), columns(top, extra), done)
            size = file.seek(0, io.SEEK_END)
    except OSError as error:
        raise InputError(f"{path}: cannot read the results ({error.strerror})") from error
    if len(done):
        _check_same_run(path, run)
    if end < size:
        log.warning("%s: dropped a torn last line (%d bytes)", path, size - end)
        with storage_errors(str(path)), open(path, "rb+") as file:
            file.truncate(end)
    return done


def _read(file: BinaryIO, format: Format, name: str, header: list[str], done: Done) -> int:
    """Note every result in `file`; returns the offset where its last whole line ends."""
    end = 0
    torn: bytes | None = None
    for number, line in enumerate(_lines(file, is_quoted=format == "csv"), start=1):
        if torn is not None:
            raise _not_ours(name, number - 1, format, header)
        try:
            if not line.endswith(b"\n"):
                raise ValueError("no end of line")
            _note(line.rstrip(b"\r\n"), format, number, header, done)
            end += len(line)
        except (ValueError, KeyError, TypeError, OverflowError, csv.Error):
            torn = line
    if torn is not None and not _may_be_torn(torn, end, format, header):
        raise _not_ours(name, number, format, header)
    return end


def _may_be_torn(line: bytes, end: int, format: Format, header: list[str]) -> bool:
    """True if the last line may be the rest of a record of ours: we must not cut other files."""
    if end > 0:
        return len(line) <= _MAX_TORN_BYTES
    if format in ("csv", "tsv"):
        return format_row(header, format).encode().startswith(line)
    first = f'{{"schema":"{PREDICTION_SCHEMA}"'.encode()
    return first.startswith(line) or line.startswith(first)


def _lines(file: BinaryIO, *, is_quoted: bool) -> Iterator[bytes]:
    """Records with their line feeds; inside CSV quotes a line feed ends nothing."""
    parts: list[bytes] = []
    num_quotes = 0
    size = 0
    while line := file.readline(_MAX_RECORD_BYTES):
        size = len(line) + (size if parts else 0)
        parts.append(line)
        num_quotes += line.count(b'"') if is_quoted else 0
        if num_quotes % 2 == 0 or size > _MAX_RECORD_BYTES:
            yield b"".join(parts)
            parts = []
    if parts:
        # An unclosed quote: its lines are torn however they end.
        yield b"".join(parts).rstrip(b"\r\n")


def _note(line: bytes, format: Format, number: int, header: list[str], done: Done) -> None:
    """Add the result that stands in `line`; ValueError and the like if there is none."""
    if format == "jsonl":
        record = parse_json(line)
        if record["schema"] != PREDICTION_SCHEMA:
            raise ValueError("another schema")
        name, ok = record["input"], record["ok"]
        if not isinstance(name, str) or not isinstance(ok, bool):
            raise ValueError("another type")
        done.add(name, ok, _moment(record["start"]), _moment(record["end"]))
        return
    text = line.decode("utf-8", "surrogateescape")
    if format == "csv":
        (row,) = csv.reader(io.StringIO(text, newline=""), strict=True)
        cells = [unguard(cell) for cell in row]
    else:
        cells = [unescape(cell) for cell in text.split("\t")]
    if number == 1:
        if cells != header:
            raise ValueError("another header")
        return
    row_by_name = dict(zip(header, cells, strict=True))
    done.add(
        row_by_name["input"],
        {"true": True, "false": False}[row_by_name["ok"]],
        _seconds(row_by_name["start"]),
        _seconds(row_by_name["end"]),
    )


def _seconds(cell: str) -> float | None:
    return float(cell) if cell else None


def _moment(value: object) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None if value is None else float(value)
    raise ValueError("no number")


def _not_ours(name: str, number: int, format: Format, header: list[str]) -> ActcliError:
    hint = "choose another -o FILE, or run without --skip-done to start over"
    if number == 1 and format != "jsonl":
        top = sum(column.startswith("score") for column in header)
        return UsageError(
            f"{name}: the columns are not those of --top {top}{_asked(header)}", hint=hint
        )
    return ManifestError(f"{name}: record {number} is not a result of ours", hint=hint)


def _asked(header: list[str]) -> str:
    """The flags that columns beyond the usual ones stand for."""
    if "abstained" in header:
        return " with --reject"
    return " with --multi-label" if "labels" in header else ""


def _check_same_run(path: str | Path, run: Run) -> None:
    """Raise UsageError if the results in `path` don't compare with those of `run`."""
    sidecar = sidecar_path(path)
    hint = "choose another -o FILE, or run without --skip-done to start over"
    try:
        earlier = parse_json(read_at_most(sidecar, _MAX_RECORD_BYTES) or b"")
        fingerprint = earlier["fingerprint"]
        output = earlier.get("notes", {}).get("output", Path(path).name)
        found = differences(earlier, run)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{path}: its conditions are unknown ({sidecar} is missing or damaged)", hint=hint
        ) from error
    if output != Path(path).name:
        raise UsageError(
            f"{path}: its conditions are unknown ({sidecar} is of {output})", hint=hint
        )
    if fingerprint != run.fingerprint:
        listed = "; ".join((found or ["the fingerprint"])[:5])
        raise UsageError(f"{path}: was made under other conditions: {listed}", hint=hint)


def differences(earlier: Mapping[str, Any], run: Run) -> list[str]:
    """What differs between the record of an earlier run and `run`, in words."""
    found = [
        f"{name} (was {earlier.get(key)}, now {getattr(run, key)})"
        for name, key in (("model", "model"), ("model digest", "model_digest"))
        if earlier.get(key) != getattr(run, key)
    ]
    old_labels, new_labels = list(earlier.get("labels") or []), list(run.labels)
    if old_labels != new_labels:
        changed = sorted(set(old_labels) ^ set(new_labels))
        found.append(f"labels ({shorten_list(changed)})" if changed else "labels (their order)")
    elif earlier.get("prompts") != plain_value(run.prompts):
        found.append("prompts")
    old, new = flat(earlier.get("config") or {}), flat(plain_value(run.config))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) == new.get(key):
            continue
        if key in _HARMFUL or not key.startswith(_HARMLESS):
            found.append(f"{key} (was {old.get(key)}, now {new.get(key)})")
    return found
