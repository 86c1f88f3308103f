"""Options of the commands that read videos and write a result for each, and what contradicts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from typing import Annotated, Any

import typer

from actcli.cli.options import INPUT_PANEL, OUTPUT_PANEL, complete, formats, is_typed, option
from actcli.errors import UsageError, flag_of


def _template_sets() -> Iterable[str]:
    from actcli.data.prompts import TEMPLATE_SETS

    return TEMPLATE_SETS


Videos = Annotated[
    list[str] | None,
    typer.Argument(metavar="VIDEO...", help="Files, folders, tars, URIs, or - for paths on stdin."),
]
Template = Annotated[
    list[str] | None,
    option(
        "--template", "-t", envvar=None, panel="Labels", autocompletion=complete(_template_sets),
        help="A prompt with {} for the label, or a named set; repeatable.",
    ),
]  # fmt: skip
Null = Annotated[bool, option("--null", "-0", panel=INPUT_PANEL, help="Paths on stdin end in NUL.")]
StdinVideo = Annotated[
    bool, option("--stdin-video", panel=INPUT_PANEL, help="Stdin is one video's bytes.")
]
Glob = Annotated[
    str | None, option("--glob", panel=INPUT_PANEL, help="Which files of a folder, as in '*.mp4'.")
]
Limit = Annotated[
    int | None, option("--limit", panel=INPUT_PANEL, help="Stop after N videos.", min=1)
]
Shard = Annotated[
    str | None,
    option(
        "--shard", panel=INPUT_PANEL,
        help="Only part i of n of the videos, i/n from 0/n on: for job arrays.",
    ),
]  # fmt: skip
Lists = Annotated[
    list[str] | None,
    option(
        "--list", envvar=None, panel=INPUT_PANEL,
        help="Videos of a CSV, JSON Lines or Parquet file (path; start, end, label, id); "
        "repeatable.",
    ),
]  # fmt: skip
AllowRemote = Annotated[
    bool, option("--allow-remote", panel=INPUT_PANEL, help="Let lists and stdin name URIs too.")
]
Format = Annotated[
    str,
    option(
        "--format", "-f", panel=OUTPUT_PANEL, autocompletion=complete(formats),
        help="auto, table, jsonl, json, csv, tsv, srt, vtt, eaf, label-studio, fiftyone or "
        "activitynet; auto is a table on a terminal.",
    ),
]  # fmt: skip
Output = Annotated[
    str | None,
    option(
        "--output", "-o", panel=OUTPUT_PANEL,
        help="Write there; suffix = format. FOLDER/ is a file a video (srt, vtt, eaf).",
    ),
]  # fmt: skip
Top = Annotated[int, option("--top", "-k", panel=OUTPUT_PANEL, help="Labels per video.")]
SkipDone = Annotated[
    bool, option("--skip-done", panel=OUTPUT_PANEL, help="Continue where -o ends.")
]
OnError = Annotated[
    str,
    option(
        "--on-error", panel=OUTPUT_PANEL,
        autocompletion=complete(lambda: ("continue", "stop")),
        help="continue or stop at the first video that can't be read.",
    ),
]  # fmt: skip
DryRun = Annotated[
    bool, option("--dry-run", panel=OUTPUT_PANEL, help="Only list what would be classified.")
]


def check_streams(ctx: typer.Context, flags: dict[str, Any]) -> None:
    """Refuse flags that contradict each other; a typed one wins over one from the environment."""
    videos, stdin_video = flags["videos"] or [], flags["stdin_video"]
    if stdin_video and (videos or flags.get("lists")):
        raise UsageError("--stdin-video: takes no VIDEO nor --list", hint="drop one of the two")
    if sys.stdin.isatty() and (stdin_video or "-" in videos or flags["labels_file"] == "-"):
        with redirect_stdout(sys.stderr):
            print(ctx.get_help())
        raise UsageError("-: stdin is a terminal", hint="pipe paths into it: find . | actcli ...")
    for one, other in (("no_cache", "cache_dir"), ("quiet", "verbose")):
        refuse_both(ctx, flags, one, other)
    if flags["labels_file"] == "-" and ("-" in videos or stdin_video):
        raise UsageError("--labels-file -: stdin can't hold both the videos and the labels")
    if flags["null"] and "-" not in videos and is_typed(ctx, "null"):
        raise UsageError(
            "--null: is for paths on stdin", hint="find . -print0 | actcli classify -0 -"
        )
    if flags["output"] == "-":
        flags["output"] = None
    if flags["output"] is None and flags["skip_done"]:
        if is_typed(ctx, "skip_done"):
            raise UsageError("--skip-done: continues a file", hint="name it with -o FILE")
        flags["skip_done"] = False


def refuse_both(ctx: typer.Context, flags: dict[str, Any], one: str, other: str) -> None:
    """Raise UsageError if both flags were typed; else the typed one wins."""
    if not (flags[one] and flags[other]):
        return
    typed = [name for name in (one, other) if is_typed(ctx, name)]
    if len(typed) == 2:
        raise UsageError(f"{flag_of(one)}: contradicts {flag_of(other)}")
    flags[other if one in typed or not typed else one] = None


def refuse_same_file(
    flags: dict[str, Any], *, reads: Sequence[str] = (), writes: Sequence[str] = ()
) -> None:
    """Raise UsageError if a file would be written over that another flag reads or writes.

    reads, writes:  flags that name files, besides `-o` with its sidecar and the videos
    """
    from actcli.render.files import sidecar_path

    written = [(flag_of(flag), flags[flag]) for flag in ("output", *writes) if flags[flag]]
    if os.path.basename(flags["output"] or ""):
        written.append(("the run record of --output", str(sidecar_path(flags["output"]))))
    others = [(flag_of(flag), flags[flag]) for flag in reads if flags[flag]]
    others += [("VIDEO", video) for video in flags["videos"] or () if video != "-"]
    others += [("--list", name) for name in flags.get("lists") or ()]
    taken: dict[str, str] = {}
    for flag, path in written:
        other = taken.setdefault(os.path.realpath(path), flag)
        if other != flag:
            raise UsageError(f"{flag}: is the file of {other} too ({path})")
    from actcli.data.walk import VIDEO_SUFFIXES

    for flag, path in written:
        # Folders and lists name videos that are not known yet.
        if os.path.splitext(path)[1][1:].lower() in VIDEO_SUFFIXES:
            raise UsageError(f"{flag}: has the suffix of a video ({path})", hint="-o preds.jsonl")
    for flag, path in others if taken else ():
        other = taken.get(os.path.realpath(path), flag)
        if {flag, other} not in ({flag}, {"--save", "--update"}):
            raise UsageError(f"{other}: would be written over the file of {flag} ({path})")
