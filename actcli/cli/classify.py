"""`actcli classify`: videos against words."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli import options as opt
from actcli.errors import UsageError, flag_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actcli.config import ClassifyConfig
    from actcli.data.labels import LabelSet

LABEL_PANEL = "Labels"


def _bundled_lists() -> Iterable[str]:
    from actcli.data.labels import bundled_lists

    return bundled_lists()


def _template_sets() -> Iterable[str]:
    from actcli.data.prompts import TEMPLATE_SETS

    return TEMPLATE_SETS


def command(
    ctx: typer.Context,
    videos: Annotated[
        list[str] | None,
        typer.Argument(metavar="VIDEO...", help="Files, folders, or - for paths on stdin."),
    ] = None,
    labels: Annotated[
        str | None,
        opt.option("--labels", "-l", panel=LABEL_PANEL, help='Words, as in "run,jump,sit down".'),
    ] = None,
    labels_file: Annotated[
        str | None,
        opt.option(
            "--labels-file",
            "-L",
            panel=LABEL_PANEL,
            autocompletion=opt.complete(_bundled_lists),
            help="One a line, label<TAB>prompt for own prompts; or a bundled list: kinetics400, …",
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        opt.option(
            "--template",
            "-t",
            envvar=None,
            panel=LABEL_PANEL,
            autocompletion=opt.complete(_template_sets),
            help="A prompt with {} for the label, or a named set; repeatable.",
        ),
    ] = None,
    null: Annotated[
        bool, opt.option("--null", "-0", panel=opt.INPUT_PANEL, help="Paths on stdin end in NUL.")
    ] = False,
    stdin_video: Annotated[
        bool,
        opt.option("--stdin-video", panel=opt.INPUT_PANEL, help="Stdin is one video's bytes."),
    ] = False,
    glob: Annotated[
        str | None,
        opt.option("--glob", panel=opt.INPUT_PANEL, help="Which files of a folder, as in '*.mp4'."),
    ] = None,
    limit: Annotated[
        int | None, opt.option("--limit", panel=opt.INPUT_PANEL, help="Stop after N videos.", min=1)
    ] = None,
    format: Annotated[
        str,
        opt.option(
            "--format",
            "-f",
            panel=opt.OUTPUT_PANEL,
            autocompletion=opt.complete(opt.formats),
            help="auto, table, jsonl, json, csv or tsv; auto is a table on a terminal.",
        ),
    ] = "auto",
    output: Annotated[
        str | None,
        opt.option("--output", "-o", panel=opt.OUTPUT_PANEL, help="Write there; suffix = format."),
    ] = None,
    top: Annotated[
        int, opt.option("--top", "-k", panel=opt.OUTPUT_PANEL, help="Labels per video.")
    ] = 5,
    skip_done: Annotated[
        bool,
        opt.option("--skip-done", panel=opt.OUTPUT_PANEL, help="Continue where -o ends."),
    ] = False,
    on_error: Annotated[
        str,
        opt.option(
            "--on-error",
            panel=opt.OUTPUT_PANEL,
            autocompletion=opt.complete(lambda: ("continue", "stop")),
            help="continue or stop at the first video that can't be read.",
        ),
    ] = "continue",
    dry_run: Annotated[
        bool,
        opt.option("--dry-run", panel=opt.OUTPUT_PANEL, help="Only list what would be classified."),
    ] = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    frames: opt.Frames = 8,
    views: opt.Views = 1,
    stride: opt.Stride = None,
    max_pixels: opt.MaxPixels = 8192 * 8192,
    max_duration: opt.MaxDuration = 24 * 3600.0,
    timeout: opt.Timeout = 120.0,
    model: opt.Model = "default",
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
    """Score videos against words, with no training.

        actcli classify clip.mp4 --labels "run,jump,sit down"
        actcli classify videos/ --labels-file kinetics400 --top 5 -o preds.csv
        find . -name '*.mp4' -print0 | actcli classify -0 - -L labels.txt | jq -r .label

    `score` is a softmax over the labels you give, not a calibrated probability: one of them always
    wins. Labels that only time order tells apart (sit down / stand up) come out at chance.
    """  # fmt: skip
    flags = dict(ctx.params)
    if flags["stdin_video"] and flags["videos"]:
        raise UsageError("--stdin-video: takes no VIDEO arguments", hint="drop one of the two")
    if not flags["videos"] and not stdin_video:
        raise UsageError("VIDEO: missing", hint='actcli classify clip.mp4 --labels "run,jump"')
    if sys.stdin.isatty() and (stdin_video or "-" in flags["videos"] or labels_file == "-"):
        with redirect_stdout(sys.stderr):
            print(ctx.get_help())
        raise UsageError("-: stdin is a terminal", hint="pipe paths into it: find . | actcli ...")
    _check(ctx, flags)
    console = opt.start_messages(quiet=bool(flags["quiet"]), verbose=bool(flags["verbose"]))
    from actcli.cli.session import Session

    labels_given = _labels(flags)
    flags["top"] = min(flags["top"], len(labels_given))
    Session(flags, _config(flags), labels_given, console).run()


def _check(ctx: typer.Context, flags: dict[str, Any]) -> None:
    """Refuse flags that contradict each other; a typed one wins over one from the environment."""
    for one, other in (
        ("labels", "labels_file"),
        ("no_cache", "cache_dir"),
        ("quiet", "verbose"),
    ):
        if not (flags[one] and flags[other]):
            continue
        typed = [name for name in (one, other) if _is_typed(ctx, name)]
        if len(typed) == 2:
            raise UsageError(f"{flag_of(one)}: contradicts {flag_of(other)}")
        flags[other if one in typed or not typed else one] = None
    reads_paths = "-" in (flags["videos"] or [])
    if flags["labels_file"] == "-" and (reads_paths or flags["stdin_video"]):
        raise UsageError("--labels-file -: stdin can't hold both the videos and the labels")
    if flags["null"] and not reads_paths and _is_typed(ctx, "null"):
        raise UsageError(
            "--null: is for paths on stdin", hint="find . -print0 | actcli classify -0 -"
        )
    if flags["output"] == "-":
        flags["output"] = None
    if flags["output"] is None and flags["skip_done"]:
        if _is_typed(ctx, "skip_done"):
            raise UsageError("--skip-done: continues a file", hint="name it with -o FILE")
        flags["skip_done"] = False


def _is_typed(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _labels(flags: dict[str, Any]) -> LabelSet:
    from actcli.data.labels import LabelSet

    if flags["labels"] is not None:
        return LabelSet.parse(flags["labels"])
    if flags["labels_file"] is not None:
        return LabelSet.open(flags["labels_file"], stdin=sys.stdin.buffer)
    raise UsageError(
        "no labels to score against",
        hint='--labels "run,jump,sit down", or --labels-file FILE, or --labels-file kinetics400',
    )


def _config(flags: dict[str, Any]) -> ClassifyConfig:
    from actcli.config import ClassifyConfig, with_options
    from actcli.data.prompts import resolve_templates

    same = [
        "model",
        "top",
        "offline",
        "max_pixels",
        "device",
        "precision",
        "batch_size",
        "workers",
        "seed",
        "cache_dir",
        "on_error",
    ]
    options = {name: flags[name] for name in same} | {
        "templates": resolve_templates(flags["template"] or _templates_of_environment()),
        "num_frames": flags["frames"],
        "num_views": flags["views"],
        "stride_s": flags["stride"],
        "max_duration_s": flags["max_duration"],
        "timeout_s": flags["timeout"],
        "use_cache": not flags["no_cache"],
        "require_license": opt.licences(flags["require_license"]),
    }
    return with_options(ClassifyConfig(), options)


def _templates_of_environment() -> list[str]:
    """ACTCLI_TEMPLATE holds one template a line: they have spaces, at which Typer would split."""
    return [line for line in os.environ.get("ACTCLI_TEMPLATE", "").splitlines() if line.strip()]
