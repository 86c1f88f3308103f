"""`actcli data`: labelled lists of videos, checked and converted."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli import options as opt
from actcli.cli.models import Format, record_format
from actcli.errors import InputError, PartialFailure, UsageError

if TYPE_CHECKING:
    from actcli.data.manifest import Manifest
    from actcli.tasks.data import Checked

log = logging.getLogger("actcli.cli.data")

_MAX_NAMED = 20


def _formats() -> Iterable[str]:
    from actcli.data.list_writer import LIST_FORMATS

    return LIST_FORMATS


List = Annotated[
    str,
    typer.Argument(
        metavar="LIST",
        help="A folder per label, CSV, JSON Lines, path<TAB>label, a dataset's own list, or the "
        "name of a dataset with --root: ucf101, hmdb51, kinetics400, ssv2, kinetics100, …",
    ),
]
Root = Annotated[
    str | None,
    opt.option(
        "--root", panel=opt.INPUT_PANEL,
        help="Where the list's paths begin, if not in its own folder.",
    ),
]  # fmt: skip
Lists = Annotated[
    str | None,
    opt.option(
        "--lists", panel=opt.INPUT_PANEL,
        help="Where a dataset's official lists are, if not below --root.",
    ),
]  # fmt: skip
Split = Annotated[
    str | None,
    opt.option("--split", panel=opt.INPUT_PANEL, help="Only train, val, test, …; or train2."),
]
LabelsFile = Annotated[
    str | None,
    opt.option(
        "--labels-file", "-L", panel=opt.INPUT_PANEL,
        help="Names, where a list has numbers: its first line is number 0.",
    ),
]  # fmt: skip
Glob = Annotated[
    str | None,
    opt.option("--glob", panel=opt.INPUT_PANEL, help="Which files of a folder, as in '*.mp4'."),
]


def group() -> None:
    """Check and convert labelled lists of videos.

        actcli data check examples/
        actcli data check train.csv --root videos/
        actcli data convert kinetics.csv --root videos/ -o train.jsonl
    """  # fmt: skip


def check(
    source: List,
    root: Root = None,
    lists: Lists = None,
    split: Split = None,
    labels_file: LabelsFile = None,
    glob: Glob = None,
    decode: Annotated[
        bool,
        opt.option(
            "--decode/--no-decode",
            panel=opt.SAMPLING_PANEL,
            help="Read frames as a training would, or only look whether files are there.",
        ),
    ] = True,
    frames: opt.Frames = 8,
    timeout: opt.Timeout = 120.0,
    workers: opt.Workers = None,
    format: Format = "auto",
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Count which videos of a list are there and can be read, label by label.

        actcli data check train.csv --root videos/
        actcli data check ucf101 --root data/ucf101 --no-decode
        actcli data check examples/ --format jsonl | jq 'select(.found < 5).label'

    Exit 3 where some are missing or unreadable, 4 where all are. Each is named on stderr with its
    reason: the first 20, or with -v all.
    """  # fmt: skip
    shape = record_format(format)
    console = opt.start_messages(quiet=quiet, verbose=verbose)
    from actcli.config import ClassifyConfig, with_options
    from actcli.data.tally import Tally
    from actcli.render.console import console_for_rows
    from actcli.render.data import check_lines, print_check
    from actcli.render.progress import ProgressBar, wants_progress
    from actcli.render.sinks import StreamSink, storage_errors
    from actcli.tasks.data import check_videos

    given = {"num_frames": frames, "timeout_s": timeout, "workers": workers}
    config = with_options(ClassifyConfig(), given)
    manifest = _read(source, root, split, labels_file, glob, lists)
    tally = Tally(manifest.labels)
    results = check_videos(
        manifest.refs,
        decode=decode,
        workers=config.run.workers,
        sampling=config.sampling,
        limits=config.limits,
    )
    say = _Speaker(None if verbose else _MAX_NAMED)
    with ProgressBar(console, total=len(manifest), enabled=wants_progress(quiet=quiet)) as bar:
        for item in results:
            tally.add(item.ref.label or "", item.error.kind if item.error else None)
            say.about(item)
            bar.advance(failed=item.error is not None)
    say.rest()
    if shape == "table":
        with storage_errors("stdout"):
            print_check(console_for_rows(console), manifest, tally)
    else:
        sink = StreamSink(sys.stdout)
        for line in check_lines(manifest, tally, decoded=decode):
            sink.write(line + "\n")
    total = tally.total
    if total.found == total.num_videos:
        return
    if not total.found:
        raise InputError(f"{source}: none of the {total.num_videos} videos can be used")
    num_bad = total.missing + total.unreadable
    raise PartialFailure(f"{source}: {num_bad} of {total.num_videos} videos can't be used")


class _Speaker:
    """Names bad videos on stderr, up to a limit."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._num_silent = 0
        self._num_said = 0

    def about(self, item: Checked) -> None:
        """Say what is wrong with a video, if anything."""
        from actcli.render.console import printable

        for message in (item.error.message,) if item.error else item.warnings:
            if self._limit is not None and self._num_said >= self._limit:
                self._num_silent += 1
                continue
            self._num_said += 1
            log.warning("%s: %s", printable(item.ref.id), message)

    def rest(self) -> None:
        """Say how many were not named."""
        if self._num_silent:
            log.warning("and %d more (-v names all)", self._num_silent)


def convert(
    source: List,
    output: Annotated[
        str,
        opt.option("--output", "-o", panel=opt.OUTPUT_PANEL, help="Write there; - is stdout."),
    ],
    to: Annotated[
        str | None,
        opt.option(
            "--to",
            panel=opt.OUTPUT_PANEL,
            autocompletion=opt.complete(_formats),
            help="csv, tsv, jsonl, txt or kinetics, where the suffix doesn't tell.",
        ),
    ] = None,
    force: Annotated[
        bool, opt.option("--force", panel=opt.OUTPUT_PANEL, help="Replace a file that is there.")
    ] = False,
    root: Root = None,
    split: Split = None,
    labels_file: LabelsFile = None,
    glob: Glob = None,
    quiet: opt.Quiet = False,
) -> None:
    """Write a list in another format.

        actcli data convert examples/ -o examples.csv
        actcli data convert kinetics_val.csv --root videos/ -o val.jsonl
        actcli data convert ucfTrainTestlist/ --root UCF-101 --split train1 -o train.csv

    Paths are written relative to the folder of the new list (on stdout, to this one). Formats that
    would lose trims are refused; what else is lost is said on stderr.
    """  # fmt: skip
    opt.start_messages(quiet=quiet)
    from actcli.data.list_writer import choose_list_format, list_lines, write_manifest
    from actcli.render.console import say
    from actcli.render.sinks import StreamSink

    if output == "-" and to is None:
        raise UsageError("-o -: has no suffix to tell the format", hint="--to csv")
    chosen = choose_list_format(to, output)
    manifest = _read(source, root, split, labels_file, glob)
    if output == "-":
        StreamSink(sys.stdout).write("".join(list_lines(manifest, chosen, "")))
        return
    write_manifest(manifest, output, format=chosen, force=force)
    if not quiet:
        say(f"{len(manifest)} videos of {len(manifest.labels)} labels in {output}")


def _read(
    source: str,
    root: str | None,
    split: str | None,
    labels_file: str | None,
    glob: str | None,
    lists: str | None = None,
) -> Manifest:
    from actcli.data.labels import LabelSet
    from actcli.data.manifest import read_manifest
    from actcli.data.whole_dataset import is_dataset, read_whole

    if is_dataset(source) and (root is not None or not os.path.exists(source)):
        if root is None:
            raise UsageError(
                f"{source}: where are its videos?", hint=f"actcli data check {source} --root FOLDER"
            )
        return read_whole(source, root, split=split, lists=lists)
    if lists is not None:
        raise UsageError(f"--lists: is for datasets by name (got {source})")
    names = None
    if labels_file is not None:
        names = LabelSet.open(labels_file, stdin=sys.stdin.buffer).names
    return read_manifest(source, root=root, split=split, names=names, glob=glob)


SUBCOMMANDS: dict[str, Callable[..., Any]] = {"check": check, "convert": convert}
