"""`actcli sort`: clips into folders by what happens in them."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli import options as opt
from actcli.cli import streams
from actcli.cli.labels import Labels, LabelsFile, read_labels
from actcli.cli.models import Format, record_format
from actcli.errors import InputError, PartialFailure, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from actcli.data.placing import Action, SortedClip
    from actcli.tasks.sorting import Sorting
    from actcli.types import VideoRef

log = logging.getLogger("actcli.cli.sort")

PANEL = "Sorting"


def _action(name: str, help: str) -> Any:
    return opt.option(f"--{name}", envvar=None, panel=PANEL, help=help)


def command(
    ctx: typer.Context,
    videos: Annotated[
        list[str] | None,
        typer.Argument(metavar="VIDEO...", help="Files, folders, or - for paths on stdin."),
    ] = None,
    labels: Labels = None,
    labels_file: LabelsFile = None,
    template: streams.Template = None,
    into: Annotated[
        str, opt.option("--into", panel=PANEL, help="The folder that gets a folder a label.")
    ] = "sorted",
    copy: Annotated[bool, _action("copy", "Copy clips; the default.")] = False,
    link: Annotated[bool, _action("link", "Hard links: no space, one file system.")] = False,
    symlink: Annotated[bool, _action("symlink", "Symbolic links to where clips are.")] = False,
    move: Annotated[bool, _action("move", "Move clips; --undo moves them back.")] = False,
    min_score: Annotated[
        float, opt.option("--min-score", panel=PANEL, help="Clips whose best score is less stay.")
    ] = 0.5,
    unsure: Annotated[
        str | None,
        opt.option("--unsure", panel=PANEL, help="Put those into this folder below --into."),
    ] = None,
    undo: Annotated[
        bool, _action("undo", "Move back all that was moved into --into, and end.")
    ] = False,
    dry_run: Annotated[
        bool, opt.option("--dry-run", panel=PANEL, help="Only say what would go where.")
    ] = False,
    null: streams.Null = False,
    glob: streams.Glob = None,
    limit: streams.Limit = None,
    format: Format = "auto",
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    frames: opt.Frames = 8,
    views: opt.Views = 1,
    stride: opt.Stride = None,
    decode: opt.Decode = "exact",
    max_pixels: opt.MaxPixels = 8192 * 8192,
    max_duration: opt.MaxDuration = 24 * 3600.0,
    timeout: opt.Timeout = 120.0,
    max_memory: opt.MaxMemory = 4096,
    sandbox: opt.Sandbox = "auto",
    model: opt.Model = "default",
    backbone: opt.Backbone = None,
    set_: opt.SetOption = None,
    device: opt.Device = "auto",
    precision: opt.Precision = "auto",
    batch_size: opt.BatchSize = None,
    workers: opt.Workers = None,
    cache_dir: opt.CacheDir = None,
    no_cache: opt.NoCache = False,
    offline: opt.Offline = False,
    require_license: opt.RequireLicense = None,
    seed: opt.Seed = 0,
) -> None:
    """Sort clips into a folder for each label: copies, links or moves.

        actcli sort videos/ --labels "run,jump,wave" --into sorted --dry-run
        actcli sort videos/ -L labels.txt --into sorted --min-score 0.7 --unsure unsure
        actcli sort videos/ --model moves.safetensors --into sorted --move
        actcli sort --undo --into sorted

    Nothing is ever replaced: the same content under the same name is done already, other content
    gets a number. A clip that can't be read stays. Run it again after an interruption: it goes on.
    What went where stands in sorted.jsonl.
    """  # fmt: skip
    flags = dict(ctx.params) | {"stdin_video": False, "output": None, "skip_done": False}
    action = _chosen(flags)
    shape = record_format(format)
    if undo:
        _undo(into, quiet=quiet)
        return
    if not flags["videos"]:
        raise UsageError("VIDEO: missing", hint='actcli sort videos/ --labels "run,jump"')
    streams.refuse_both(ctx, flags, "labels", "labels_file")
    streams.check_streams(ctx, flags)
    console = opt.start_messages(quiet=bool(flags["quiet"]), verbose=bool(flags["verbose"]))
    if os.path.exists(into) and not os.path.isdir(into):
        raise UsageError(f"--into {into}: is a file (expected a folder)")
    found = _found(flags)
    with ExitStack() as stack:
        sorting = _open(ctx, flags, action, console, stack)
        refs = _wanted(found, sorting, flags)
        _conclude(_run(sorting, refs, flags, shape, console), sorting, flags)


def _found(flags: dict[str, Any]) -> Any:
    """The videos that are named; none where an earlier run moved all of them away."""
    from actcli.data.inputs import expand_inputs
    from actcli.data.sort_journal import JOURNAL_NAME

    stdin = io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False))
    try:
        return expand_inputs(
            flags["videos"],
            stdin=stdin if "-" in flags["videos"] else None,
            glob=flags["glob"],
            null_separated=bool(flags["null"]),
        )
    except InputError:
        if not os.path.exists(os.path.join(flags["into"], JOURNAL_NAME)):
            raise
        return []


def _chosen(flags: dict[str, Any]) -> Action:
    from actcli.data.placing import ACTIONS

    given: list[Any] = [name for name in ACTIONS if flags[name]]
    if flags["undo"] and (given or flags["videos"] or flags["dry_run"]):
        raise UsageError("--undo: stands alone", hint=f"actcli sort --undo --into {flags['into']}")
    if len(given) > 1:
        raise UsageError(f"--{given[0]}: contradicts --{given[1]}")
    chosen: Action = given[0] if given else "copy"
    return chosen


def _open(
    ctx: typer.Context, flags: dict[str, Any], action: Action, console: Console, stack: ExitStack
) -> Sorting:
    """The run, with its folder's journal open and what an earlier run left begun settled."""
    from actcli.config import ClassifyConfig, with_options
    from actcli.data.placing import Placer, settle
    from actcli.data.sort_journal import Journal
    from actcli.render.download import DownloadView
    from actcli.tasks.classify import Classification
    from actcli.tasks.sorting import Sorting, SortRules

    folders = tuple(name for name in flags["videos"] if os.path.isdir(name))
    rules = SortRules(flags["min_score"], flags["unsure"], folders)
    config = with_options(ClassifyConfig(), opt.task_options(ctx, flags))
    task = Classification(
        read_labels(flags), config, DownloadView(console, enabled=not flags["quiet"])
    )
    placer = Placer(flags["into"], action)
    sorting = Sorting(task, placer, rules)
    if not flags["dry_run"]:
        placer.journal = stack.enter_context(Journal(flags["into"]))
        if finished := settle(placer.journal, sorting.all_folders):
            log.warning("%d moves of an interrupted run were finished", finished)
    return sorting


def _wanted(found: Iterable[VideoRef], sorting: Sorting, flags: dict[str, Any]) -> Any:
    """What is to be sorted: a list where all is known, else an iterator."""
    from itertools import islice

    from actcli.tasks.sorting import sortable

    left = sortable(found, flags["into"], sorting.rules.sources, sorting.all_folders)
    cut = islice(left, flags["limit"])
    return list(cut) if isinstance(found, list) else cut


def _run(
    sorting: Sorting, refs: Any, flags: dict[str, Any], shape: str, console: Console
) -> Counter[str]:
    """Sort, and say of each clip what became of it; how many came to what."""
    from actcli.render.console import console_for_rows, printable
    from actcli.render.progress import ProgressBar, wants_progress
    from actcli.render.sinks import StreamSink
    from actcli.render.sorting import print_sorted, sorted_line

    states: Counter[str] = Counter()
    total = len(refs) if isinstance(refs, list) else None
    is_table = shape == "table"
    rows, sink = console_for_rows(console), StreamSink(sys.stdout)
    wanted = wants_progress(quiet=flags["quiet"], prints_rows=not is_table)
    with ProgressBar(console, total=total, enabled=wanted) as bar:
        for clip in _sorted(sorting, refs):
            states[clip.state] += 1
            if is_table:
                print_sorted(rows, clip, flags["into"])
            else:
                sink.write(sorted_line(clip, sorting.placer.action) + "\n")
                if clip.problem:
                    log.warning("%s: stays: %s", printable(clip.result.ref.id), clip.problem)
            bar.show(clip.result)
    return states


def _sorted(sorting: Sorting, refs: Any) -> Iterator[SortedClip]:
    if not isinstance(refs, list) or refs:  # a model is not started for nothing
        yield from sorting.stream(refs)


def _conclude(states: Counter[str], sorting: Sorting, flags: dict[str, Any]) -> None:
    from actcli.render.console import say
    from actcli.render.sorting import summary

    if not flags["quiet"]:
        line = summary(
            states, sorting.placer.action,
            min_score=sorting.rules.min_score, dry_run=flags["dry_run"],
        )  # fmt: skip
        say(f"{flags['into']}: {line}")
    failed, total = states["failed"], sum(states.values())
    if failed and failed == total:
        raise InputError(f"none of the {total} clips could be sorted")
    if failed:
        raise PartialFailure(f"{failed} of {total} clips could not be sorted")


def _undo(into: str, *, quiet: bool) -> None:
    """Put back what was moved."""
    opt.start_messages(quiet=quiet)
    from actcli.data.placing import settle, undo
    from actcli.data.sort_journal import Journal, find_journal
    from actcli.render.console import printable, say

    find_journal(into)
    with Journal(into) as journal:
        settle(journal, ())
        done, left = undo(journal)
    for entry, reason in left:
        log.warning("%s: stays: %s", printable(entry.target), reason)
    if not quiet:
        say(f"{into}: {len(done)} moved back")
    if left:
        raise PartialFailure(f"{len(left)} of {len(done) + len(left)} clips were not moved back")
