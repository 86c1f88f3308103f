"""`actcli finetune`: a small checkpoint from labelled videos."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from actcli.cli import options as opt
from actcli.cli import reporting, streams
from actcli.errors import UsageError

DATA_PANEL = "Data"
TRAIN_PANEL = "Training"
LEARN_PANEL = "Optimiser"
_OWN = "the method's"
PIXEL_PANEL = "Clips, where the image tower learns"
METHODS = ("motion-prompts", "actionclip", "clip-fsar")


def command(
    ctx: typer.Context,
    train: Annotated[
        str,
        typer.Argument(metavar="TRAIN", help="DIR/<label>/*.mp4, or a list of labelled videos."),
    ],
    output: Annotated[
        str,
        opt.option(
            "--output", "-o", panel=opt.OUTPUT_PANEL, help="Folder of the run; new or empty."
        ),
    ],
    val: Annotated[
        str | None,
        opt.option("--val", panel=DATA_PANEL, help="Labelled videos to measure on, as TRAIN."),
    ] = None,
    root: Annotated[
        str | None, opt.option("--root", panel=DATA_PANEL, help="Where the videos of lists are.")
    ] = None,
    split: Annotated[
        str | None,
        opt.option("--split", panel=DATA_PANEL, help="Which rows of TRAIN, if it has splits."),
    ] = None,
    val_split: Annotated[
        str | None,
        opt.option("--val-split", panel=DATA_PANEL, help="Which rows of --val, or of TRAIN."),
    ] = None,
    labels_file: Annotated[
        str | None,
        opt.option(
            "--labels-file",
            "-L",
            panel=DATA_PANEL,
            help="label<TAB>prompt for own prompts; names for lists of numbers.",
        ),
    ] = None,
    glob: streams.Glob = None,
    template: streams.Template = None,
    balance: Annotated[
        str,
        opt.option(
            "--balance",
            panel=DATA_PANEL,
            autocompletion=opt.complete(lambda: ("auto", "none", "classes")),
            help="classes draws each equally often; auto where one has 3 times another's clips.",
        ),
    ] = "auto",
    method: Annotated[
        str,
        opt.option(
            "--method",
            panel=TRAIN_PANEL,
            autocompletion=opt.complete(lambda: METHODS),
            help="motion-prompts, actionclip or clip-fsar (episodes).",
        ),
    ] = "motion-prompts",
    set_: opt.SetOption = None,
    epochs: Annotated[
        int, opt.option("--epochs", panel=TRAIN_PANEL, help="Times that each clip is shown.")
    ] = 50,
    steps: Annotated[
        int | None, opt.option("--steps", panel=TRAIN_PANEL, help="Optimiser steps, not epochs.")
    ] = None,
    batch_size: Annotated[
        int,
        opt.option(
            "--batch-size",
            panel=TRAIN_PANEL,
            show_default=_OWN,
            help="Clips of a batch, of all processes; clip-fsar has an episode each.",
        ),
    ] = 64,
    accumulate: Annotated[
        int,
        opt.option(
            "--accumulate", panel=TRAIN_PANEL, show_default=_OWN, help="Batches that make one step."
        ),
    ] = 1,
    patience: Annotated[
        int,
        opt.option(
            "--patience",
            panel=TRAIN_PANEL,
            help="Stop after N epochs without a better --val; 0 never.",
        ),
    ] = 0,
    resume: Annotated[
        bool, opt.option("--resume", panel=TRAIN_PANEL, help="Go on with the run in -o.")
    ] = False,
    save_every: Annotated[
        int,
        opt.option(
            "--save-every", panel=TRAIN_PANEL, help="Steps to go on from, besides ends of epochs."
        ),
    ] = 0,
    augment: Annotated[
        str,
        opt.option(
            "--augment",
            panel=PIXEL_PANEL,
            autocompletion=opt.complete(lambda: ("clip", "frame", "crop", "none")),
            show_default=_OWN,
            help="clip: crops, colours, RandAugment, one draw a clip; frame: one a frame, as "
            "published; crop; none.",
        ),
    ] = "clip",
    rand_ops: Annotated[
        int, opt.option("--rand-ops", panel=PIXEL_PANEL, help="RandAugment: operations; 0 is none.")
    ] = 2,
    rand_magnitude: Annotated[
        int, opt.option("--rand-magnitude", panel=PIXEL_PANEL, help="RandAugment: from 0 to 30.")
    ] = 9,
    flip: Annotated[
        str,
        opt.option(
            "--flip",
            panel=PIXEL_PANEL,
            autocompletion=opt.complete(lambda: ("auto", "on", "off")),
            show_default=_OWN,
            help="Mirror every second clip; auto unless labels say left or right.",
        ),
    ] = "auto",
    moments: Annotated[
        str,
        opt.option(
            "--moments",
            panel=PIXEL_PANEL,
            autocompletion=opt.complete(lambda: ("random", "fixed")),
            help="Frames drawn anew each time, or as classify takes them.",
        ),
    ] = "random",
    clips_held: Annotated[
        int | None,
        opt.option(
            "--clips-held",
            panel=PIXEL_PANEL,
            help="Passes kept for gradients, others computed again: less memory, more time.",
        ),
    ] = None,
    lr: Annotated[
        float,
        opt.option("--lr", panel=LEARN_PANEL, show_default=_OWN, help="Highest learning rate."),
    ] = 5e-4,
    weight_decay: Annotated[
        float,
        opt.option(
            "--weight-decay", panel=LEARN_PANEL, show_default=_OWN, help="Pulls weights to 0."
        ),
    ] = 0.05,
    schedule: Annotated[
        str,
        opt.option(
            "--schedule",
            panel=LEARN_PANEL,
            autocompletion=opt.complete(lambda: ("cosine", "multistep", "constant")),
            show_default=_OWN,
            help="cosine, multistep or constant, after the warm-up.",
        ),
    ] = "cosine",
    warmup: Annotated[
        float,
        opt.option("--warmup", panel=LEARN_PANEL, show_default=_OWN, help="Share of the steps."),
    ] = 0.05,
    clip_norm: Annotated[
        float | None,
        opt.option("--clip-norm", panel=LEARN_PANEL, show_default=_OWN, help="Longest gradient."),
    ] = 1.0,
    ema: Annotated[
        float | None,
        opt.option("--ema", panel=LEARN_PANEL, help="Keep a running mean of the weights: 0.999."),
    ] = None,
    precision: Annotated[
        str,
        opt.option(
            "--precision",
            panel=LEARN_PANEL,
            autocompletion=opt.complete(lambda: ("auto", "fp32", "bf16", "fp16")),
            help="Of steps; weights stay in fp32. auto is bf16 on a GPU.",
        ),
    ] = "auto",
    tensorboard: Annotated[
        bool,
        opt.option("--tensorboard", panel=opt.OUTPUT_PANEL, help="Also write for TensorBoard."),
    ] = False,
    report: reporting.Report = None,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    frames: opt.Frames = 8,
    views: Annotated[
        int,
        opt.option(
            "--views",
            panel=opt.SAMPLING_PANEL,
            help="Clips of each training video to choose from, taken from other moments.",
        ),
    ] = 1,
    stride: opt.Stride = None,
    max_pixels: opt.MaxPixels = 8192 * 8192,
    max_duration: opt.MaxDuration = 24 * 3600.0,
    timeout: opt.Timeout = 120.0,
    max_memory: opt.MaxMemory = 4096,
    sandbox: opt.Sandbox = "auto",
    model: opt.Model = "default",
    backbone: opt.Backbone = None,
    device: opt.Device = "auto",
    workers: opt.Workers = None,
    cache_dir: opt.CacheDir = None,
    no_cache: opt.NoCache = False,
    offline: opt.Offline = False,
    require_license: opt.RequireLicense = None,
    seed: opt.Seed = 0,
) -> None:
    """Train a small checkpoint on labelled videos, on top of a frozen model, or the model too.

        actcli finetune train/ --val val/ -o runs/a
        actcli finetune train.csv --val val.csv -o runs/a --epochs 20
        actcli finetune train.csv --val val.csv -o runs/a --epochs 20 --resume
        actcli finetune train/ -o runs/b --method actionclip --set head=Transf --set learn=head
        actcli classify new/*.mp4 --model runs/a

    Frozen, every video is embedded once and steps run on the embeddings; --set learn=all or image
    decodes clips anew instead. Defaults are the method's own. The folder gets best.safetensors (by
    --val), last.safetensors, log.jsonl, log.csv and what --resume needs. Prints the best's path.
    """  # fmt: skip
    flags = dict(ctx.params)
    for one, other in (("no_cache", "cache_dir"), ("quiet", "verbose")):
        streams.refuse_both(ctx, flags, one, other)
    if opt.is_typed(ctx, "epochs") and flags["steps"] is not None:
        raise UsageError("--epochs: contradicts --steps")
    if not output:
        raise UsageError("-o: names no folder", hint="-o runs/a")
    reporting.check_report(report, folder=output, reads=(p for p in (train, val) if p))
    flags["quiet"] = quiet = quiet or not is_main()
    console = opt.start_messages(quiet=bool(quiet), verbose=bool(verbose))
    from actcli.cli.training_session import run_training, training_task

    run_training(training_task(ctx, flags, console), console, flags)


def is_main() -> bool:
    """Whether this is the process, of those that torchrun started, that writes and shows."""
    return os.environ.get("RANK", "0") == "0"
