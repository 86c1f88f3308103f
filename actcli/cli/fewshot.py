"""`actcli fewshot`: videos against examples."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli import options as opt
from actcli.cli import streams
from actcli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from actcli.data.labels import LabelSet
    from actcli.eval.report import SupportReport
    from actcli.tasks.examples import Change
    from actcli.tasks.fewshot import FewShot
    from actcli.types import VideoRef

EXAMPLE_PANEL = "Examples"
METHOD_PANEL = "Comparison"
MATCHERS = ("mean", "otam", "bimhm", "diag")


def command(
    ctx: typer.Context,
    videos: streams.Videos = None,
    support: Annotated[
        str | None,
        opt.option(
            "--support",
            "-s",
            panel=EXAMPLE_PANEL,
            help="DIR/<label>/*.mp4, or a list of labelled videos (CSV, JSON Lines, …).",
        ),
    ] = None,
    root: Annotated[
        str | None,
        opt.option("--root", panel=EXAMPLE_PANEL, help="Where the videos of a list are."),
    ] = None,
    split: Annotated[
        str | None,
        opt.option("--split", panel=EXAMPLE_PANEL, help="Which rows of a list with splits."),
    ] = None,
    labels_file: Annotated[
        str | None,
        opt.option(
            "--labels-file",
            "-L",
            panel=EXAMPLE_PANEL,
            help="label<TAB>prompt for the words of a class; names for lists of numbers.",
        ),
    ] = None,
    save: Annotated[
        str | None,
        opt.option("--save", panel=EXAMPLE_PANEL, help="Keep the classes: classify --model FILE."),
    ] = None,
    update: Annotated[
        str | None,
        opt.option(
            "--update",
            panel=EXAMPLE_PANEL,
            help="Begin with this saved file; classes of the same name are replaced.",
        ),
    ] = None,
    append: Annotated[
        bool,
        opt.option(
            "--append", panel=EXAMPLE_PANEL, help="With --update: add to such classes instead."
        ),
    ] = False,
    drop: Annotated[
        str | None,
        opt.option("--drop", panel=EXAMPLE_PANEL, help='With --update: leave out "run,jump".'),
    ] = None,
    compact: Annotated[
        bool,
        opt.option("--compact", panel=EXAMPLE_PANEL, help="Save prototypes only: final, small."),
    ] = False,
    report: Annotated[
        str | None,
        opt.option(
            "--report",
            panel=EXAMPLE_PANEL,
            help="What the examples are worth: FILE.json; FILE.html is a page, with all results.",
        ),
    ] = None,
    matcher: Annotated[
        str | None,
        opt.option(
            "--matcher",
            panel=METHOD_PANEL,
            autocompletion=opt.complete(lambda: MATCHERS),
            help="otam (in order, anywhere), diag (in order, at the same pace), mean or bimhm "
            "(blind to order). [default: otam]",
        ),
    ] = None,
    text_weight: Annotated[
        str | None,
        opt.option(
            "--text-weight",
            panel=METHOD_PANEL,
            help="Share of the words in the score, 0 (pictures only) to 1; auto: up to 0.5, as "
            "far as the words alone name the examples. [default: auto; 0 with a trained head]",
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
    format: streams.Format = "auto",
    output: streams.Output = None,
    top: streams.Top = 5,
    skip_done: streams.SkipDone = False,
    on_error: streams.OnError = "continue",
    dry_run: streams.DryRun = False,
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
    """Name videos by a few example clips of each class, when words are not enough.

        actcli fewshot query/*.mp4 --support examples/
        actcli fewshot --support examples/ --save moves.safetensors
        actcli classify new/*.mp4 --model moves.safetensors
        actcli fewshot --update moves.safetensors --support more/ --drop wave --save moves.safetensors

    What the examples are worth is told on stderr: each one tried against the others. Prototypes are
    frame-wise means; by default frames are compared in order (otam), so that sitting down and
    standing up can be told apart.
    """  # noqa: E501  # fmt: skip
    flags = dict(ctx.params)
    _check(ctx, flags)
    console = opt.start_messages(quiet=bool(quiet), verbose=bool(verbose))
    from actcli.cli.reporting import run_report
    from actcli.cli.session import Session
    from actcli.config import FewShotConfig, with_options
    from actcli.tasks.fewshot import FewShot

    config = with_options(FewShotConfig(), opt.task_options(ctx, flags) | _options(flags))
    names, change = _names(flags), _change(flags)
    examples = _examples(flags, names)
    made: list[FewShot] = []

    def make_task(view: Any) -> FewShot:
        made.append(FewShot(examples, config, change, names=names, report=view))
        return made[0]

    page = run_report(flags, console)

    def tell(found: SupportReport) -> int:
        page.support = _tell(found, made[0], console, flags, is_page=page.is_wanted)
        return len(found.failures)

    against = f"by {len(examples)} example{'s' * (len(examples) != 1)}"
    with page:
        Session(flags, config, console, against, page.watching(make_task), tell).run()


def _check(ctx: typer.Context, flags: dict[str, Any]) -> None:
    streams.check_streams(ctx, flags)
    if not flags["support"] and not flags["update"]:
        hint = "actcli fewshot clip.mp4 --support examples/"
        if flags["model"].endswith(".safetensors"):
            hint += f"; a file of classes: actcli classify clip.mp4 --model {flags['model']}"
        raise UsageError("--support: missing", hint=hint)
    if flags["update"]:
        if opt.is_typed(ctx, "model"):
            raise UsageError("--update: contradicts --model, for the file names its model")
        flags["model"] = flags["update"]
    for name in ("append", "drop"):
        if flags[name] and not flags["update"]:
            raise UsageError(f"--{name}: goes with --update FILE")
    if flags["compact"] and not flags["save"]:
        raise UsageError("--compact: goes with --save FILE")
    if flags["output"] and not (flags["videos"] or flags["lists"] or flags["stdin_video"]):
        raise UsageError("-o: there are no videos to write results of", hint="or --save FILE?")
    streams.refuse_same_file(
        flags, reads=("support", "labels_file", "update"), writes=("save", "report")
    )
    from actcli.render.sinks import check_output

    for name, suffixes in (("save", (".safetensors",)), ("report", (".json", ".html"))):
        if flags[name] is None:
            continue
        if not flags[name].endswith(suffixes):
            expected = " or ".join(suffixes)
            raise UsageError(f"--{name} {flags[name]}: the name must end in {expected}")
        check_output(flags[name], flag=f"--{name}", example=f"{name}{suffixes[0]}")


def _options(flags: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {"top": flags["top"], "model": flags["model"]}
    if flags["matcher"] is not None:
        options["matcher"] = flags["matcher"]
    weight = flags["text_weight"]
    if weight is not None:
        try:
            options["text_weight"] = weight if weight == "auto" else float(weight)
        except ValueError as error:
            raise UsageError(
                f"--text-weight: not a share (got {weight!r}, expected 0-1 or auto)"
            ) from error
    return options


def _names(flags: dict[str, Any]) -> LabelSet | None:
    from actcli.data.labels import LabelSet

    return LabelSet.open(flags["labels_file"]) if flags["labels_file"] else None


def _change(flags: dict[str, Any]) -> Change:
    from actcli.data.labels import LabelSet
    from actcli.tasks.examples import Change

    drop = LabelSet.parse(flags["drop"], source="--drop").names if flags["drop"] else ()
    return Change(bool(flags["update"]), flags["append"], drop, flags["save"], flags["compact"])


def _examples(flags: dict[str, Any], names: LabelSet | None) -> tuple[VideoRef, ...]:
    from actcli.data.inputs import allow
    from actcli.tasks.examples import read_support

    if not flags["support"]:
        return ()
    own = None if names is None else names.names
    glob = flags["glob"] if os.path.isdir(flags["support"]) else None
    examples = read_support(
        flags["support"], root=flags["root"], split=flags["split"], names=own, glob=glob
    )
    return tuple(allow(ref) for ref in examples) if flags["allow_remote"] else examples


def _tell(
    found: SupportReport, task: FewShot, console: Console, flags: dict[str, Any], *, is_page: bool
) -> dict[str, Any]:
    """Say what the examples are worth, write it as JSON if wanted, and return its record."""
    from actcli.render.files import write_json
    from actcli.render.records import run_record
    from actcli.render.support import print_support, support_record

    if not flags["quiet"]:
        print_support(console, found)
    record = support_record(found, run_record(task.run()))
    if flags["report"] is not None and not is_page:
        write_json(flags["report"], record)
    return record
