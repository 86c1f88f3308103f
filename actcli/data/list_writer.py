"""Manifests to files: CSV, TSV, JSON Lines, `path<TAB>label` and the CSV of Kinetics.

Paths are written relative to the folder of the new list, so that both can move together. What a
format can't hold is an error where it changes what a video shows, and a warning elsewhere.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Literal, cast, get_args

from actcli.data.inputs import is_remote
from actcli.data.manifest import Manifest
from actcli.drafts import draft_of
from actcli.errors import ResourceError, UsageError, did_you_mean, shorten_list
from actcli.types import VideoRef

log = logging.getLogger("actcli.data.list_writer")

ListFormat = Literal["csv", "tsv", "jsonl", "txt", "kinetics"]
LIST_FORMATS: Final[tuple[str, ...]] = get_args(ListFormat)
_SUFFIXES: Final[dict[str, ListFormat]] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "txt",
}
_KINETICS_HEADER = "label,youtube_id,time_start,time_end,split"
_FORMULA = re.compile(r"[=+\-@\t\r\n＝＋－＠]")
_CUT = re.compile(r"(.+)_(\d{6})_(\d{6})")


def choose_list_format(requested: str | None, output: str) -> ListFormat:
    """The format: as requested, else by the suffix of `output`; UsageError if neither tells."""
    if requested in LIST_FORMATS:
        return cast("ListFormat", requested)
    if requested is not None:
        raise UsageError(
            f'--to: "{requested}" is unknown (expected one of {", ".join(LIST_FORMATS)})',
            hint=did_you_mean(requested, LIST_FORMATS),
        )
    suffix = os.path.splitext(output)[1].lower()
    if suffix not in _SUFFIXES:
        raise UsageError(
            f'-o {output}: the suffix "{suffix}" names no format (expected one of '
            f"{', '.join(_SUFFIXES)})",
            hint="--to csv",
        )
    return _SUFFIXES[suffix]


def write_manifest(
    manifest: Manifest, path: str | Path, *, format: str | None = None, force: bool = False
) -> None:
    """Write a manifest as a file that `read_manifest` reads back; whole, or not at all.

    format: one of LIST_FORMATS, where the suffix does not tell
    force: replace a file that is there

    Raises UsageError for a file that is there, a folder that isn't, and for what the format can't
    hold; ResourceError where writing fails.
    """
    output = os.fspath(path)
    chosen = choose_list_format(format, output)
    folder = os.path.dirname(output)
    if os.path.lexists(output) and (not force or not os.path.isfile(output)):
        is_file = os.path.isfile(output)
        what = "exists already" if is_file else "is no regular file"
        raise UsageError(f"-o {output}: {what}", hint="--force replaces it" if is_file else None)
    if folder and not os.path.isdir(folder):
        raise UsageError(f"-o {output}: no folder {folder}", hint=f"mkdir -p {folder}")
    text = "".join(list_lines(manifest, chosen, folder))
    try:
        with draft_of(Path(output)) as draft:
            draft.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ResourceError(f"{output}: cannot be written ({error.strerror or error})") from error


def list_lines(manifest: Manifest, format: ListFormat, folder: str) -> Iterator[str]:
    """The lines of a list, each with its line feed; paths are relative to `folder`.

    Raises UsageError for what the format can't hold; warns of what it leaves out.
    """
    _check_losses(manifest, format)
    paths = list(_relative_paths((ref.path for ref in manifest.refs), folder))
    if format in ("csv", "tsv"):  # spreadsheets take them for text then, and they read back alike
        paths = [os.path.join(os.curdir, p) if _FORMULA.match(p) else p for p in paths]
    if format != "jsonl":
        for path in paths:
            _check_text(path, format)
    if format == "kinetics":
        _say_kinetics_root(manifest, folder)
        return _kinetics_lines(manifest)
    if format in ("csv", "tsv"):
        return _table_lines(manifest, paths, "\t" if format == "tsv" else ",")
    rows = zip(manifest.refs, paths, manifest.ref_splits, strict=True)
    if format == "txt":
        return (f"{path}\t{ref.label}\n" for ref, path, _ in rows)
    return (_json_line(ref, path, split) for ref, path, split in rows)


def _relative_paths(paths: Iterable[str], folder: str) -> Iterator[str]:
    """Paths as seen from `folder`; absolute ones where there is no way, URIs as they are."""
    known: dict[str, str] = {}
    for path in paths:
        if is_remote(path):
            yield path
            continue
        top, name = os.path.split(path)
        if top not in known:
            known[top] = _relative(top or os.curdir, folder or os.curdir)
        yield name if known[top] == os.curdir else os.path.join(known[top], name)


def _relative(path: str, folder: str) -> str:
    try:
        relative = os.path.relpath(path, folder)
        if os.pardir in (*relative.split(os.sep), *path.split(os.sep)):
            # ".." leads where the system finds the folder, whatever links it was named by.
            relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    except ValueError:  # another drive of Windows
        return os.path.abspath(path)
    return relative


def _check_losses(manifest: Manifest, format: ListFormat) -> None:
    trimmed = [ref for ref in manifest.refs if ref.start_s is not None or ref.end_s is not None]
    if format == "txt" and trimmed:
        raise UsageError(
            f"--to txt: has no place for trims (got {len(trimmed)}, first {trimmed[0].id})",
            hint="--to csv",
        )
    lost = [f"the column {name}" for name in manifest.unused]
    if format == "txt" and len(set(manifest.ref_splits)) > 1:
        lost.append("the splits (--split NAME takes one)")
    if format != "jsonl" and any(ref.id != ref.path for ref in manifest.refs):
        lost.append("the ids")
    if manifest.empty:
        lost.append(f"the labels without videos: {shorten_list(manifest.empty)}")
    if lost:
        log.warning("not in the new list: %s", "; ".join(lost))
    if format in ("csv", "tsv", "kinetics") and (found := _formulas(manifest)):
        log.warning("labels that spreadsheets take for formulas: %s", shorten_list(found))
    if format != "kinetics" and manifest.labels and manifest.labels[0].isdecimal():
        log.warning(
            'labels such as "%s" will read as numbers, which need --labels-file', manifest.labels[0]
        )


def _formulas(manifest: Manifest) -> list[str]:
    return [label for label in manifest.labels if _FORMULA.match(label)]


def _check_text(path: str, format: ListFormat) -> None:
    """Raise UsageError for a path that would not read back the same."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"--to {format}: {path!r} is not UTF-8", hint="--to jsonl can hold it"
        ) from error
    if format == "txt" and re.search(r"[\t\r\n]", path):
        raise UsageError(
            f"--to txt: {path!r} has a tab or a line break", hint="--to csv or jsonl can hold it"
        )


def _json_line(ref: VideoRef, path: str, split: str | None) -> str:
    values = {
        "path": path,
        "label": ref.label,
        "start": ref.start_s,
        "end": ref.end_s,
        "split": split,
        "id": None if ref.id == ref.path else ref.id,
    }
    told = {key: value for key, value in values.items() if value is not None}
    return json.dumps(told, separators=(",", ":")) + "\n"


def _table_lines(manifest: Manifest, paths: Iterable[str], delimiter: str) -> Iterator[str]:
    refs, splits = manifest.refs, manifest.ref_splits
    has = {
        "start": any(ref.start_s is not None for ref in refs),
        "end": any(ref.end_s is not None for ref in refs),
        "split": any(splits),
    }
    yield delimiter.join(["path", "label", *(name for name in has if has[name])]) + "\n"
    for ref, path, split in zip(refs, paths, splits, strict=True):
        more = {"start": _seconds(ref.start_s), "end": _seconds(ref.end_s), "split": split or ""}
        cells = [path, ref.label or "", *(more[name] for name in has if has[name])]
        yield delimiter.join(_quoted(cell, delimiter) for cell in cells) + "\n"


def _quoted(cell: str, delimiter: str) -> str:
    is_plain = cell == cell.strip() and not any(char in cell for char in (delimiter, *'"\r\n'))
    return cell if is_plain else '"' + cell.replace('"', '""') + '"'


def _seconds(value: float | None) -> str:
    """The shortest digits that read back as the same number."""
    return "" if value is None else repr(value).removesuffix(".0")


def _kinetics_lines(manifest: Manifest) -> Iterator[str]:
    yield _KINETICS_HEADER + "\n"
    for ref, split in zip(manifest.refs, manifest.ref_splits, strict=True):
        name, start_s, end_s = _kinetics_cells(ref)
        cells = (ref.label or "", name, str(start_s), str(end_s), split or "")
        yield ",".join(_quoted(cell, ",") for cell in cells) + "\n"


def _kinetics_cells(ref: VideoRef) -> tuple[str, int, int]:
    """Id and times: of the name of a cut video, or of the trim of a whole one."""
    stem = os.path.splitext(os.path.basename(ref.path))[0]
    start_s, end_s = ref.start_s or 0.0, ref.end_s
    if end_s is None and not ref.start_s and (match := _CUT.fullmatch(stem)):
        return match[1], int(match[2]), int(match[3])
    if end_s is not None and start_s.is_integer() and end_s.is_integer():
        return stem, int(start_s), int(end_s)
    raise UsageError(
        f"--to kinetics: {ref.id} has no times (expected a file named <id>_<start>_<end>, or start "
        "and end in whole seconds)",
        hint="--to csv",
    )


def _say_kinetics_root(manifest: Manifest, folder: str) -> None:
    """The list holds no folders: say where its videos must be looked for."""
    roots = {}
    for ref, split in zip(manifest.refs, manifest.ref_splits, strict=True):
        top = os.path.dirname(ref.path)
        if os.path.basename(top) in (ref.label, (ref.label or "").replace(" ", "_")):
            top = os.path.dirname(top)
        if split and os.path.basename(top) == split:
            top = os.path.dirname(top)
        roots[top] = ref
    if len(roots) > 1:
        log.warning("the videos are in %d places: %s", len(roots), shorten_list(roots))
    elif os.path.realpath(next(iter(roots))) != os.path.realpath(folder):
        log.warning("read the new list with --root %s", next(iter(roots)) or os.curdir)
