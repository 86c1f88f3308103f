"""`actcli classify`: videos against words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli import options as opt
from actcli.errors import InputError, PartialFailure, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actcli.config import ClassifyConfig
    from actcli.data.labels import LabelSet
    from actcli.types import VideoRef

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
            "--labels-file", "-L", panel=LABEL_PANEL, autocompletion=opt.complete(_bundled_lists),
            help="One a line, label<TAB>prompt for own prompts; or a bundled list: kinetics400, …",
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        opt.option(
            "--template", "-t", panel=LABEL_PANEL, autocompletion=opt.complete(_template_sets),
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
            "--format", "-f", panel=opt.OUTPUT_PANEL,
            autocompletion=opt.complete(lambda: opt.FORMATS),
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
            "--on-error", panel=opt.OUTPUT_PANEL,
            autocompletion=opt.complete(lambda: ("continue", "stop")),
            help="continue or stop at the first video that can't be read.",
        ),
    ] = "continue",
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
    _check(flags)
    from actcli.cli.session import Session

    label_set = _labels(flags)
    config = _config(flags)
    Session(flags, config, label_set).run()
