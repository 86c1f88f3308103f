"""`actcli eval`: numbers under named protocols, with their conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli import options as opt
from actcli.cli import reporting, streams
from actcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


DATA_PANEL = "Data"
PROTOCOL_PANEL = "Protocol"
GATE_PANEL = "Gates (exit 5 if missed)"


def _protocols() -> Iterable[str]:
    return ("zero-shot", "zero-shot-ep1", "zero-shot-ep2", "closed-set", "few-shot",
            "base-to-novel", "all-way", "custom")  # fmt: skip


def _datasets() -> Iterable[str]:
    return ("ucf101", "hmdb51", "kinetics400", "kinetics600", "ssv2", "kinetics100", "ssv2_full",
            "ssv2_small", "compare")  # fmt: skip


def _gate(flag: str, what: str) -> Any:
    return opt.option(flag, panel=GATE_PANEL, help=what, min=0.0, max=1.0)


def command(
    ctx: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="WHAT...",
            autocompletion=opt.complete(_datasets),
            help="A dataset by name, a labelled list or folder, a file of predictions with "
            "--truth, or: compare A.json B.json.",
        ),
    ],
    root: Annotated[
        str | None, opt.option("--root", panel=DATA_PANEL, help="Where the videos are.")
    ] = None,
    lists: Annotated[
        str | None,
        opt.option("--lists", panel=DATA_PANEL, help="Where official lists are, if not in --root."),
    ] = None,
    split: Annotated[
        str | None,
        opt.option("--split", panel=DATA_PANEL, help="One split only: test2, val, …"),
    ] = None,
    truth: Annotated[
        str | None,
        opt.option("--truth", panel=DATA_PANEL, help="What WHAT's predictions should have been."),
    ] = None,
    multi_label: Annotated[
        bool,
        opt.option("--multi-label", panel=DATA_PANEL, help="--truth has a row for each label."),
    ] = False,
    labels_file: Annotated[
        str | None,
        opt.option(
            "--labels-file",
            "-L",
            panel=DATA_PANEL,
            help="All labels to choose from, where the list doesn't have them all.",
        ),
    ] = None,
    min_coverage: Annotated[
        float,
        opt.option(
            "--min-coverage",
            panel=DATA_PANEL,
            min=0.0,
            max=1.0,
            help="Share of the videos that must be readable for a number.",
        ),
    ] = 0.99,
    allow_missing: Annotated[
        bool,
        opt.option("--allow-missing", panel=DATA_PANEL, help="Give a number whatever is missing."),
    ] = False,
    unofficial: Annotated[
        bool,
        opt.option(
            "--unofficial", panel=DATA_PANEL, help="Take lists that are not the published ones."
        ),
    ] = False,
    protocol: Annotated[
        str | None,
        opt.option(
            "--protocol",
            "-p",
            panel=PROTOCOL_PANEL,
            autocompletion=opt.complete(_protocols),
            help="zero-shot, zero-shot-ep1, zero-shot-ep2, closed-set, few-shot, base-to-novel, "
            "all-way or custom. [default: the dataset's usual one]",
        ),
    ] = None,
    views: Annotated[
        str,
        opt.option(
            "--views", panel=PROTOCOL_PANEL, help="Clips x crops, as in 4x3; scores are averaged."
        ),
    ] = "1x1",
    practice: Annotated[
        str,
        opt.option(
            "--practice",
            panel=PROTOCOL_PANEL,
            autocompletion=opt.complete(lambda: ("honest", "published")),
            help="published repeats what published code does wrong, and says so.",
        ),
    ] = "honest",
    way: Annotated[
        int, opt.option("--way", panel=PROTOCOL_PANEL, help="Classes of an episode.")
    ] = 5,
    shot: Annotated[
        int, opt.option("--shot", panel=PROTOCOL_PANEL, help="Examples of each class.")
    ] = 1,
    queries: Annotated[
        int, opt.option("--queries", panel=PROTOCOL_PANEL, help="Queries of each class.")
    ] = 1,
    episodes: Annotated[
        int, opt.option("--episodes", panel=PROTOCOL_PANEL, help="Different episodes.")
    ] = 10_000,
    part: Annotated[
        str,
        opt.option("--part", panel=PROTOCOL_PANEL, help="train, val or test classes of a split."),
    ] = "test",
    shots: Annotated[
        str,
        opt.option("--shots", panel=PROTOCOL_PANEL, help="Examples of each class, for all-way."),
    ] = "2,4,8,16",
    template: streams.Template = None,
    min_top1: Annotated[float | None, _gate("--min-top1", "Least top-1, 0 to 1.")] = None,
    min_top5: Annotated[float | None, _gate("--min-top5", "Least top-5.")] = None,
    min_mean_class: Annotated[
        float | None, _gate("--min-mean-class", "Least mean class accuracy.")
    ] = None,
    min_map: Annotated[float | None, _gate("--min-map", "Least mean average precision.")] = None,
    max_ece: Annotated[float | None, _gate("--max-ece", "Largest calibration error.")] = None,
    format: Annotated[
        str,
        opt.option(
            "--format",
            "-f",
            panel=opt.OUTPUT_PANEL,
            autocompletion=opt.complete(lambda: ("auto", "table", "json")),
            help="auto, table or json; auto is a table on a terminal.",
        ),
    ] = "auto",
    output: Annotated[
        str | None,
        opt.option("--output", "-o", panel=opt.OUTPUT_PANEL, help="Write the result there, JSON."),
    ] = None,
    report: reporting.Report = None,
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    frames: opt.Frames = 8,
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
    """Measure a model under a named protocol, with all that the number depends on.

        actcli eval ucf101 --root data/ucf101 --model runs/a --min-top1 0.70 -o ucf.json
        actcli eval hmdb51 --root data/hmdb51 --protocol few-shot --shot 5 --model fast
        actcli eval val.csv --model runs/a --report val.html
        actcli eval preds.jsonl --truth val.csv
        actcli eval compare a.json b.json

    Videos come out of the cache in a second evaluation. No number is given without its coverage;
    exit 3 where some videos could not be used, 5 where a gate was missed. What each protocol is,
    and what papers report under it, is in docs/protocols.md.
    """  # fmt: skip
    flags = dict(ctx.params)
    for one, other in (("no_cache", "cache_dir"), ("quiet", "verbose")):
        streams.refuse_both(ctx, flags, one, other)
    if format not in ("auto", "table", "json"):
        raise UsageError(f'--format: "{format}" is unknown (expected auto, table or json)')
    console = opt.start_messages(quiet=bool(flags["quiet"]), verbose=bool(flags["verbose"]))
    from actcli.cli import evaluation_session as session

    if what[0] == "compare":
        session.compare_files(ctx, flags, console)
        return
    if len(what) > 1:
        raise UsageError(f"WHAT: one at a time (got {', '.join(what)})")
    run = session.score if truth is not None else session.evaluate
    result = run(ctx, flags, console)
    session.write(flags, result, console)
    reporting.write_eval_report(report, result, console, quiet)
    session.conclude(flags, result)
