"""The formats of exports by name, and the one way to open a writer of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, TextIO

from actcli.errors import UsageError
from actcli.render.exports.activitynet import ActivityNetWriter
from actcli.render.exports.elan import EafWriter
from actcli.render.exports.fiftyone import FiftyOneWriter
from actcli.render.exports.folder import FolderWriter
from actcli.render.exports.label_studio import LabelStudioWriter
from actcli.render.exports.subtitles import SrtWriter, VttWriter
from actcli.render.sinks import FileSink, Sink, StreamSink, check_output

if TYPE_CHECKING:
    from actcli.render.writer import ResultWriter

ExportFormat = Literal["srt", "vtt", "eaf", "label-studio", "fiftyone", "activitynet"]
_RunRecord = Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Export:
    """One format."""

    name: ExportFormat
    suffix: str | None
    """Of its files; None where the suffix would not tell the format."""
    is_per_video: bool
    """One file holds one video, and a folder a file for each."""
    make: Callable[[Sink, _RunRecord, Path | None], ResultWriter]
    """A writer to a sink, with the record of the run and the folder of the file."""


EXPORTS: Final[dict[str, Export]] = {
    export.name: export
    for export in (
        Export("srt", ".srt", True, lambda sink, run, folder: SrtWriter(sink)),
        Export("vtt", ".vtt", True, lambda sink, run, folder: VttWriter(sink)),
        Export("eaf", ".eaf", True, EafWriter),
        Export("label-studio", None, False, lambda sink, run, folder: LabelStudioWriter(sink, run)),
        Export("fiftyone", None, False, lambda sink, run, folder: FiftyOneWriter(sink, run)),
        Export("activitynet", None, False, lambda sink, run, folder: ActivityNetWriter(sink, run)),
    )
}


def open_export(
    format: ExportFormat,
    *,
    path: str | Path | None = None,
    stream: TextIO | BinaryIO | None = None,
    run: _RunRecord = None,
    on_open: Callable[[], object] | None = None,
) -> ResultWriter:
    """A writer of `format` to the file or folder `path`, or to `stream`.

    A folder, there already or named with a slash at its end, takes a file for each video.

    run:      record of the run: the labels in their order, and when it began
    on_open:  called before the first line of a single file

    Raises UsageError for a path that can't be written.
    """
    export = EXPORTS[format]
    if path is not None and is_folder(path):
        return _open_folder(export, path, run)
    if path is not None:
        check_output(path, example=f"out{export.suffix or '.json'}")
        return export.make(FileSink(path, on_open=on_open), run, Path(path).parent)
    if stream is None:
        raise ValueError("open_export: give path or stream")
    return export.make(StreamSink(stream), run, None)


def is_folder(path: str | Path) -> bool:
    """True for a folder that is there, or that is named as one."""
    text = os.fspath(path)
    return os.path.isdir(text) or text.endswith(("/", os.sep))


def _open_folder(export: Export, path: str | Path, run: _RunRecord) -> ResultWriter:
    if not export.is_per_video or export.suffix is None:
        raise UsageError(
            f"-o {path}: is a folder (format {export.name} is one file for all videos)",
            hint=f"-o {Path(path) / 'labels.json'} --format {export.name}",
        )
    folder = Path(path)
    if not folder.is_dir():
        check_output(folder)
    elif not os.access(folder, os.W_OK):
        raise UsageError(f"-o {path}: no permission to write there")

    def open_one(file: Path) -> ResultWriter:
        return export.make(FileSink(file), run, file.parent)

    return FolderWriter(folder, export.suffix, open_one)
