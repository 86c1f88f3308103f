"""Writers of results for programs: JSON Lines, JSON, CSV, TSV and exports for other programs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TextIO, cast, get_args

from actcli.drafts import draft_of
from actcli.errors import UsageError, close_names
from actcli.render.cells import Dialect, columns, format_row, to_cells
from actcli.render.exports.registry import EXPORTS, ExportFormat, is_folder, open_export
from actcli.render.records import to_json, to_record
from actcli.render.sinks import FileSink, Sink, StreamSink, check_output, storage_errors
from actcli.render.writer import ResultWriter
from actcli.types import Failure, Prediction

Format = Literal["table", "jsonl", "json", "csv", "tsv"] | ExportFormat
FORMATS: Final[tuple[str, ...]] = ("auto", "table", "jsonl", "json", "csv", "tsv", *EXPORTS)
RESULTS_SCHEMA: Final = "actcli.results/1"
_SUFFIXES: Final[dict[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".srt": "srt",
    ".vtt": "vtt",
    ".eaf": "eaf",
}


class JsonlWriter:
    """One JSON record a line."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, result: Prediction | Failure) -> None:
        """Write one result and flush it."""
        self._sink.write(to_json(to_record(result)) + "\n")

    def finish(self, run: Mapping[str, Any] | None = None) -> None:
        """Leave an empty file if there was no result; the run has its own file."""
        if self._sink.is_empty:
            self._sink.write("")

    def close(self) -> None:
        """Let go of the file."""
        self._sink.close()


class JsonWriter:
    """One JSON object `{schema, results, run}`; a record a line, the run at the end."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._num_results = 0
        self._is_open = False

    def write(self, result: Prediction | Failure) -> None:
        """Write one result and flush it."""
        self._open()
        separator = ",\n" if self._num_results else "\n"
        # The line feed comes before the record: only now it is known that a comma belongs there.
        self._sink.write(separator + to_json(to_record(result)))
        self._num_results += 1

    def finish(self, run: Mapping[str, Any] | None = None) -> None:
        """Close the list of results and add the run."""
        self._open()
        self._sink.write(f'\n],"run":{to_json(run) if run is not None else "null"}}}\n')
        self._is_open = False

    def close(self) -> None:
        """Make valid JSON of what was begun, then let go of the file."""
        if self._is_open:
            self.finish()
        self._sink.close()

    def _open(self) -> None:
        if not self._is_open:
            self._sink.write(f'{{"schema":"{RESULTS_SCHEMA}","results":[')
            self._is_open = True


class RowWriter:
    """CSV or TSV with a header line: flat columns for the `top` best labels, and `extra` ones."""

    def __init__(
        self, sink: Sink, dialect: Dialect, *, top: int, extra: Sequence[str] = ()
    ) -> None:
        self._sink = sink
        self._dialect = dialect
        self._top, self._extra = top, extra

    def write(self, result: Prediction | Failure) -> None:
        """Write one result and flush it."""
        self._write_header()
        self._sink.write(format_row(to_cells(result, self._top, self._extra), self._dialect))

    def finish(self, run: Mapping[str, Any] | None = None) -> None:
        """Leave the header line if there was no result."""
        self._write_header()

    def close(self) -> None:
        """Let go of the file."""
        self._sink.close()

    def _write_header(self) -> None:
        if self._sink.is_empty:
            self._sink.write(format_row(columns(self._top, self._extra), self._dialect))


def open_writer(
    format: Format,
    *,
    path: str | Path | None = None,
    stream: TextIO | BinaryIO | None = None,
    top: int = 5,
    extra: Sequence[str] = (),
    append: bool = False,
    run: Mapping[str, Any] | None = None,
) -> ResultWriter:
    """A writer of `format` to the file `path`, which opens with the first result, or to `stream`.

    Formats of one file a video take a folder as `path`; see `actcli.render.exports`.

    top, extra: for the columns of CSV and TSV, see `actcli.render.cells.columns`
    append: continue a file of an earlier run; see `actcli.render.resume`
    run: record of the run, written beside `path` once the results of an earlier run are gone, and
        not before: a sidecar must never vouch for results of other conditions

    Raises UsageError for a path that can't be written.
    """
    if format == "table":
        raise UsageError("--format table: is for the terminal (got -o)", hint="-o preds.csv")
    begin = None if run is None or path is None else partial(write_sidecar, path, run)
    if format in get_args(ExportFormat):
        name = cast("ExportFormat", format)
        return open_export(name, path=path, stream=stream, run=run, on_open=begin)
    sink: Sink
    if path is not None:
        if is_folder(path) and not os.path.isdir(path):
            raise UsageError(f"-o {path}: a folder takes srt, vtt or eaf (got {format})")
        check_output(path)
        sink = FileSink(path, append=append, on_open=begin)
    elif stream is not None:
        sink = StreamSink(stream)
    else:
        raise ValueError("open_writer: give path or stream")
    if format == "jsonl":
        return JsonlWriter(sink)
    if format == "json":
        return JsonWriter(sink)
    return RowWriter(sink, cast("Dialect", format), top=top, extra=extra)


def choose_format(
    requested: str = "auto", *, path: str | Path | None = None, is_terminal: bool = False
) -> Format:
    """The format: as requested, else by the suffix of `path`, else what suits the output."""
    if requested in FORMATS[1:]:
        return cast("Format", requested)
    if requested != "auto":
        close = close_names(requested, FORMATS)
        raise UsageError(
            f'--format: "{requested}" is unknown (expected one of {", ".join(FORMATS)})',
            hint=f"--format {close[0]}" if close else None,
        )
    if path is None:
        return "table" if is_terminal else "jsonl"
    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        return "jsonl"  # a device or a named pipe
    if is_folder(path):
        raise UsageError(
            f"-o {path}: a folder names no format (it takes srt, vtt or eaf, a file a video)",
            hint=f"-o {path} --format srt",
        )
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(
            f'-o {path}: the suffix "{suffix}" names no format (expected one of '
            f"{', '.join(_SUFFIXES)})",
            hint="--format jsonl",
        )
    return _SUFFIXES[suffix]


def sidecar_path(path: str | Path) -> Path:
    """Where the conditions of a run stand: "preds.run.json" beside "preds.jsonl"."""
    return Path(path).with_suffix(".run.json")


def write_sidecar(path: str | Path, run: Mapping[str, Any]) -> Path | None:
    """Write the record of the run beside the results; None if `path` is no regular file.

    `open_writer` calls it before the first result, so that a killed run can be continued; call it
    again at the end, with counts and timings. The old file stays whole until the new one is.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        return None
    target = sidecar_path(path)
    write_json(target, run)
    return target


def write_json(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a record as a file of its own; the old one stays whole until the new one is.

    What is no regular file, such as a pipe or a device, is written into.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        sink = FileSink(path)
        sink.write(to_json(record) + "\n")
        sink.close()
        return
    with storage_errors(str(path)), draft_of(Path(path)) as draft:
        draft.write_text(to_json(record) + "\n", encoding="ascii")
