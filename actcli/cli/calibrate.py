"""`actcli calibrate`: labelled videos to a temperature and thresholds."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli import decisions, machines, reporting, streams
from actcli.cli import options as opt
from actcli.errors import PartialFailure, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actcli.config import ClassifyConfig
    from actcli.data.labels import LabelSet
    from actcli.types import VideoRef

DATA_PANEL = "Data"


def command(
    ctx: typer.Context,
    videos: Annotated[
        str,
        typer.Argument(metavar="LABELLED", help="DIR/<label>/*.mp4, or a list of labelled videos."),
    ],
    output: Annotated[
        str,
        opt.option(
            "--output",
            "-o",
            panel=opt.OUTPUT_PANEL,
            help="cal.json for --calibration; of a checkpoint also NEW.safetensors with it inside.",
        ),
    ],
    root: Annotated[
        str | None, opt.option("--root", panel=DATA_PANEL, help="Where the videos of lists are.")
    ] = None,
    split: Annotated[
        str | None, opt.option("--split", panel=DATA_PANEL, help="Which rows, if there are splits.")
    ] = None,
    labels_file: Annotated[
        str | None,
        opt.option(
            "--labels-file",
            "-L",
            panel=DATA_PANEL,
            help="Labels to score against; videos of others show none of these. "
            "[default: the checkpoint's, or all that videos have]",
        ),
    ] = None,
    report: reporting.Report = None,
    template: streams.Template = None,
    glob: streams.Glob = None,
    multi_label: decisions.MultiLabel = False,
    frame_weights: decisions.FrameWeights = False,
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
    devices: machines.Devices = None,
    precision: opt.Precision = "auto",
    batch_size: opt.BatchSize = None,
    workers: opt.Workers = None,
    cache_dir: opt.CacheDir = None,
    no_cache: opt.NoCache = False,
    offline: opt.Offline = False,
    require_license: opt.RequireLicense = None,
    seed: opt.Seed = 0,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
) -> None:
    """Fit what makes scores probabilities, on one half of labelled videos; measure on the other.

        actcli calibrate labelled.csv --model default -o cal.json
        actcli classify videos/ -L labels.txt --calibration cal.json --reject
        actcli calibrate labelled/ --model run/ -o calibrated.safetensors

    A calibration holds for its model, labels and prompts. Videos of labels that --labels-file
    leaves out tell what none of these looks like; without at least 20 of them, each label is left
    out in turn.
    """  # fmt: skip
    flags = dict(ctx.params)
    console = opt.start_messages(quiet=quiet, verbose=verbose)
    from actcli.render.calibration import print_calibration
    from actcli.render.console import make_console, say
    from actcli.render.download import DownloadView
    from actcli.tasks.calibrate import Calibrating, check_target, save_calibration

    check_target(output, model)
    reporting.check_report(report, output=output, reads=[videos])
    labels, refs = _labels(flags), _videos(flags)
    view = DownloadView(console, enabled=not quiet)
    found = Calibrating(refs, labels, _config(ctx, flags), view).run(seed=seed)
    save_calibration(output, found.calibration, model)
    for failure in found.failures:
        say(f"left out: {failure.ref.id}: {failure.error.message}")
    print_calibration(make_console(), found.calibration)
    if report is not None:
        from actcli.render.records import run_record
        from actcli.render.report.calibration import calibration_page
        from actcli.render.report.page import write_report

        write_report(report, calibration_page(found.calibration, run_record(found.run)))
    if found.failures:
        raise PartialFailure(f"{len(found.failures)} videos could not be read")


def _config(ctx: typer.Context, flags: dict[str, Any]) -> ClassifyConfig:
    from actcli.config import ClassifyConfig, with_options

    options = decisions.with_decisions(flags, opt.task_options(ctx, flags))
    return with_options(ClassifyConfig(), options)


def _labels(flags: dict[str, Any]) -> LabelSet | None:
    from actcli.data.labels import LabelSet

    name = flags["labels_file"]
    return None if name is None else LabelSet.open(name, stdin=sys.stdin.buffer)


def _videos(flags: dict[str, Any]) -> Sequence[VideoRef]:
    """The labelled videos, one for each label of a video."""
    from actcli.data.manifest import read_manifest

    found = read_manifest(
        flags["videos"], root=flags["root"], split=flags["split"], glob=flags["glob"],
        several=bool(flags["multi_label"]),
    )  # fmt: skip
    if not found.refs:
        raise UsageError(f"{flags['videos']}: no videos")
    return found.refs
