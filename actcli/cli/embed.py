"""`actcli embed`: videos to a table of embeddings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli import machines, streams
from actcli.cli import options as opt
from actcli.cli import windows as cut
from actcli.errors import UsageError

if TYPE_CHECKING:
    from actcli.tasks.embed import Embedding


def command(
    ctx: typer.Context,
    videos: streams.Videos = None,
    pool: Annotated[
        bool,
        opt.option(
            "--pool",
            panel=opt.OUTPUT_PANEL,
            help="One vector of length 1 a video, the mean over its frames and views, instead of "
            "one a frame.",
        ),
    ] = False,
    dtype: Annotated[
        str,
        opt.option(
            "--dtype",
            panel=opt.OUTPUT_PANEL,
            autocompletion=opt.complete(lambda: ("float32", "float16")),
            help="float32, or float16: half the size, the last digits gone.",
        ),
    ] = "float32",
    null: streams.Null = False,
    stdin_video: streams.StdinVideo = False,
    glob: streams.Glob = None,
    limit: streams.Limit = None,
    lists: streams.Lists = None,
    allow_remote: streams.AllowRemote = False,
    shard: streams.Shard = None,
    output: Annotated[
        str | None,
        opt.option(
            "--output",
            "-o",
            panel=opt.OUTPUT_PANEL,
            help="FOLDER/ takes part after part, each whole; FILE.parquet and (small sets) "
            "FILE.safetensors are there at the end, or not at all.",
        ),
    ] = None,
    skip_done: Annotated[
        bool,
        opt.option("--skip-done", panel=opt.OUTPUT_PANEL, help="Continue what is in -o FOLDER/."),
    ] = False,
    on_error: streams.OnError = "continue",
    dry_run: Annotated[
        bool,
        opt.option("--dry-run", panel=opt.OUTPUT_PANEL, help="Only list what would be embedded."),
    ] = False,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    frames: opt.Frames = 8,
    views: opt.Views = 1,
    stride: opt.Stride = None,
    decode: opt.Decode = "exact",
    window: cut.Window = None,
    shots: cut.Shots = False,
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
    r"""Keep embeddings of videos in a table, so that new labels cost a matrix product.

        actcli embed videos/ -o clips.parquet
        actcli embed videos/ -o clips/ --skip-done --pool --dtype float16
        actcli classify --embeddings clips/ --labels "run,jump,sit down"
        actcli embed - -o clips/$i/ --shard $i/8 < list.txt

    A row a video, or a window with --window: its name, times and embeddings, or why it failed. A
    folder of parts can be continued after a crash. Parquet needs: pip install "actcli\[parquet]".
    """  # fmt: skip
    flags = dict(ctx.params) | {"labels_file": None}
    if not flags["videos"] and not lists and not stdin_video:
        raise UsageError("VIDEO: missing", hint="actcli embed videos/ -o clips.parquet")
    streams.check_streams(ctx, flags)
    if flags["output"] is None:
        raise UsageError("-o: missing, a table is no text", hint="-o clips.parquet or -o clips/")
    console = opt.start_messages(quiet=bool(quiet), verbose=bool(verbose))
    from actcli.cli.embed_session import EmbedSession, choose_target
    from actcli.config import with_options
    from actcli.tasks.embed import EmbedConfig, Embedding

    target = choose_target(flags["output"], skip_done=flags["skip_done"])
    _refuse_inputs(flags)
    options = opt.task_options(ctx, flags) | {"pool": pool, "dtype": dtype}
    config = with_options(EmbedConfig(), options)

    def make_task(view: Any) -> Embedding:
        return Embedding(config, view)

    EmbedSession(flags, config, console, "", make_task, target=target).run()


def _refuse_inputs(flags: dict[str, Any]) -> None:
    written = os.path.realpath(flags["output"])
    for video in (*(flags["videos"] or ()), *(flags["lists"] or ())):
        if video != "-" and os.path.realpath(video) == written and not os.path.isdir(video):
            raise UsageError(f"-o: would be written over a VIDEO ({video})")
