"""`actcli classify`: videos against words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli import decisions, machines, reporting, streams, tables
from actcli.cli import options as opt
from actcli.cli import windows as cut
from actcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actcli.config import ClassifyConfig
    from actcli.data.labels import LabelSet
    from actcli.tables.reading import TableRows

LABEL_PANEL = "Labels"


def _bundled_lists() -> Iterable[str]:
    from actcli.data.labels import bundled_lists

    return bundled_lists()


def command(
    ctx: typer.Context,
    videos: streams.Videos = None,
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
    template: streams.Template = None,
    null: streams.Null = False,
    stdin_video: streams.StdinVideo = False,
    glob: streams.Glob = None,
    limit: streams.Limit = None,
    lists: streams.Lists = None,
    allow_remote: streams.AllowRemote = False,
    shard: streams.Shard = None,
    embeddings: tables.Embeddings = None,
    format: streams.Format = "auto",
    output: streams.Output = None,
    top: streams.Top = 5,
    skip_done: streams.SkipDone = False,
    on_error: streams.OnError = "continue",
    dry_run: streams.DryRun = False,
    report: reporting.Report = None,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    frames: opt.Frames = 8,
    views: opt.Views = 1,
    stride: opt.Stride = None,
    decode: opt.Decode = "exact",
    window: cut.Window = None,
    segments: cut.Segments = False,
    threshold: cut.Threshold = None,
    hysteresis: cut.Hysteresis = 0.1,
    min_length: cut.MinLength = 0.0,
    shots: cut.Shots = False,
    explain: cut.Explain = False,
    reject: decisions.Reject = False,
    reject_rule: decisions.RejectRule = None,
    target_false_accept: decisions.TargetFalseAccept = None,
    multi_label: decisions.MultiLabel = False,
    calibration: decisions.Calibration = None,
    frame_weights: decisions.FrameWeights = False,
    max_pixels: opt.MaxPixels = 8192 * 8192,
    max_duration: opt.MaxDuration = 24 * 3600.0,
    timeout: opt.Timeout = 120.0,
    max_memory: opt.MaxMemory = 4096,
    sandbox: opt.Sandbox = "auto",
    model: opt.Model = "default",
    backbone: opt.Backbone = None,
    set_: opt.SetOption = None,
    device: opt.Device = "auto",
    devices: machines.Devices = None,
    backend: machines.Backend = "local",
    ray_address: machines.RayAddress = None,
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
        actcli classify --embeddings clips.parquet -L other-labels.txt -o preds.jsonl
        actcli classify match.mp4 -L moves.txt --window 4 --stride 1 --segments -o match.srt

    `score` is a softmax over the labels you give: one of them always wins, unless you ask for
    --reject or --multi-label, and it is a probability only with a calibration (actcli calibrate).
    Labels that only time order tells apart (sit down / stand up) come out at chance.
    """  # fmt: skip
    flags = dict(ctx.params)
    if not flags["videos"] and not lists and not stdin_video and not embeddings:
        raise UsageError("VIDEO: missing", hint='actcli classify clip.mp4 --labels "run,jump"')
    streams.refuse_both(ctx, flags, "labels", "labels_file")
    streams.check_streams(ctx, flags)
    reads = ("labels_file", "embeddings", "calibration")
    streams.refuse_same_file(flags, reads=reads, writes=("report",))
    reporting.check_report(report)
    console = opt.start_messages(quiet=bool(flags["quiet"]), verbose=bool(flags["verbose"]))
    from actcli.cli.session import Session
    from actcli.tasks.classify import Classification

    rows = tables.open_rows(ctx, flags)
    labels_given, config = _labels(flags), _config(ctx, flags, rows)

    def make_task(view: Any) -> Classification:
        kind = Classification if rows is None else tables.classification_of(rows)
        task = kind(labels_given, config, view)
        if flags["template"] and task.is_few_shot:
            raise UsageError(
                f"--template: the words of {config.model} are in the file",
                hint="make it anew: actcli fewshot --support DIR --template ... --save FILE",
            )
        return task

    against = _against(labels_given, config)
    with reporting.run_report(flags, console) as page:
        given = (flags, config, console, against, page.watching(make_task))
        (Session(*given) if rows is None else tables.table_session(rows, *given)).run()


def _against(labels: LabelSet | None, config: ClassifyConfig) -> str:
    from actcli.data.prompts import build_prompts

    if labels is None:
        return "against the labels of the checkpoint"
    num_prompts = len(build_prompts(labels, config.templates)[0])
    return f"against {len(labels)} labels ({num_prompts} prompts each)"


def _labels(flags: dict[str, Any]) -> LabelSet | None:
    from actcli.data.labels import LabelSet

    if flags["labels"] is not None:
        return LabelSet.parse(flags["labels"])
    if flags["labels_file"] is not None:
        return LabelSet.open(flags["labels_file"], stdin=sys.stdin.buffer)
    return None


def _config(ctx: typer.Context, flags: dict[str, Any], rows: TableRows | None) -> ClassifyConfig:
    from actcli.config import ClassifyConfig, with_options

    options = opt.task_options(ctx, flags) | {"top": flags["top"]}
    options = decisions.with_decisions(flags, options)
    if rows is not None:
        options = tables.window_options(rows.table.info, options)
    return with_options(ClassifyConfig(), options)
