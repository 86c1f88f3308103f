"""One run of `actcli eval`: flags to a request, its result to a table or a record, then gates."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, Final

import typer
from rich.console import Console

from actcli.cli import options as opt
from actcli.cli.reporting import check_report
from actcli.config import with_options
from actcli.config_train import EvalConfig
from actcli.data.labels import LabelSet
from actcli.data.manifest import read_manifest
from actcli.errors import GateError, PartialFailure, UsageError
from actcli.eval.compare import compare
from actcli.eval.plan import Request
from actcli.eval.result import EvalResult
from actcli.render.console import console_for_rows, is_terminal, printable
from actcli.render.download import DownloadView
from actcli.render.evaluation import (
    comparison_record,
    eval_record,
    print_comparison,
    print_eval,
)
from actcli.render.files import write_json
from actcli.render.progress import ProgressBar, wants_progress
from actcli.render.records import to_json
from actcli.render.sinks import StreamSink, check_output, storage_errors
from actcli.tasks.evaluate import Evaluation, log
from actcli.tasks.score_file import score_file

_GATES: Final = {
    "min_top1": "top1", "min_top5": "top5", "min_mean_class": "mean_class", "min_map": "map",
    "max_ece": "ece",
}  # fmt: skip


def compare_files(ctx: typer.Context, flags: dict[str, Any], console: Console) -> None:
    """Two results side by side, as a table or as a record."""
    _refuse_others(ctx, "compare", ("what", "output"))
    files = flags["what"][1:]
    if len(files) != 2:
        raise UsageError(
            f"compare: takes two results (got {len(files)})",
            hint="actcli eval compare a.json b.json",
        )
    check_target(flags, files)
    names = (files[0], files[1])
    found = compare(*names)
    record = comparison_record(found, names)
    _put(flags, console, record, lambda rows: print_comparison(rows, found, names))


def check_target(flags: dict[str, Any], reads: Iterable[str]) -> None:
    """Raise UsageError now for a file that could not be written later, or that is read as well."""
    target, reads = flags["output"], tuple(reads)
    has_file = target not in (None, "-")
    check_report(flags["report"], output=target if has_file else None, reads=reads)
    if not has_file:
        return
    check_output(target, example="result.json")
    own = os.path.realpath(target)
    for path in reads:
        if os.path.realpath(path) == own:
            raise UsageError(f"-o {target}: is read as well ({path})", hint="-o result.json")


def _put(
    flags: dict[str, Any], console: Console, record: dict[str, Any], show: Callable[[Console], None]
) -> None:
    """The record to its file; to stdout a table, or the record where it is in no file."""
    target, format = flags["output"], flags["format"]
    has_file = target not in (None, "-")
    if has_file:
        write_json(target, record)
    if format == "table" or (format == "auto" and is_terminal(sys.stdout)):
        with storage_errors("stdout"):
            show(console_for_rows(console))
            sys.stdout.flush()
    elif not has_file or format == "json":
        StreamSink(sys.stdout).write(to_json(record) + "\n")


def _refuse_others(ctx: typer.Context, what: str, used: Iterable[str]) -> None:
    """Raise UsageError for a typed option that says nothing to this sort of run."""
    common = {"format", "quiet", "verbose", "what", *used}
    for name in ctx.params:
        if name not in common and opt.is_typed(ctx, name):
            raise UsageError(f"--{name.strip('_').replace('_', '-')}: says nothing to {what}")


def score(ctx: typer.Context, flags: dict[str, Any], _: Console) -> EvalResult:
    """A file of predictions; no model is used."""
    used = ("truth", "multi_label", "root", "split", "min_coverage", "allow_missing", "output",
            "report")  # fmt: skip
    _refuse_others(ctx, "predictions, which are made (--truth)", (*used, *_GATES))
    path, several = flags["what"][0], flags["multi_label"]
    check_target(flags, (path, flags["truth"]))
    truth = read_manifest(flags["truth"], root=flags["root"], split=flags["split"], several=several)
    return score_file(path, truth, _config(ctx, flags), several=several)


def _request(ctx: typer.Context, flags: dict[str, Any]) -> Request:
    if flags["multi_label"]:
        raise UsageError("--multi-label: is for files of predictions (--truth)")
    names = None
    if flags["labels_file"] is not None:
        names = LabelSet.open(flags["labels_file"], stdin=sys.stdin.buffer)
    return Request(flags["what"][0], _config(ctx, flags), flags["root"], flags["lists"],
                   flags["split"], names)  # fmt: skip


def _config(ctx: typer.Context, flags: dict[str, Any]) -> EvalConfig:
    own = ("protocol", "practice", "way", "shot", "queries", "episodes", "part", "unofficial",
           "min_coverage", "allow_missing")  # fmt: skip
    for flag in _GATES:
        if flags[flag] is not None and math.isnan(flags[flag]):
            raise UsageError(f"--{flag.replace('_', '-')}: not a number")
    shared = {name: value for name, value in flags.items() if name != "views"}
    options = opt.task_options(ctx, shared) | {name: flags[name] for name in own}
    try:
        options["shots"] = tuple(int(part) for part in flags["shots"].split(","))
    except ValueError as error:
        raise UsageError(f"--shots: not numbers (got {flags['shots']!r}, expected 2,4,8,16)"
                         ) from error  # fmt: skip
    if opt.is_given(ctx, "views"):
        clips, _, crops = flags["views"].lower().partition("x")
        if not clips.isdecimal() or crops not in ("", "1", "3"):
            raise UsageError(
                f"--views: not clips x crops (got {flags['views']!r}, expected 1x1, 4x3 or 10x3)"
            )
        options |= {"num_views": int(clips), "num_crops": int(crops or 1)}
    return with_options(EvalConfig(), options)


def evaluate(ctx: typer.Context, flags: dict[str, Any], console: Console) -> EvalResult:
    """A model under a protocol; the bar shows videos, then episodes."""
    files = (flags["what"][0], flags["labels_file"])
    check_target(flags, (path for path in files if path))
    task = Evaluation(_request(ctx, flags), DownloadView(console, enabled=not flags["quiet"]))
    check_target(flags, (ref.path for ref in task.plan.refs))
    for flag, metric in _GATES.items():
        if flags[flag] is not None and metric not in task.metrics:
            raise UsageError(f"--{flag.replace('_', '-')}: this protocol gives no {metric} here")
    log.info("%s/%d on %d videos", task.plan.protocol, task.plan.version, len(task.plan.refs))
    wanted = wants_progress(quiet=bool(flags["quiet"]))
    with ExitStack() as stack:
        bars: dict[str, ProgressBar] = {}
        for event in task.stream():
            if isinstance(event, EvalResult):
                return event
            if event.what not in bars:
                stack.close()
                bar = ProgressBar(console, total=event.total, enabled=wanted, unit=event.what)
                bars[event.what] = stack.enter_context(bar)
            count = event.done - bars[event.what].num_done
            bars[event.what].advance(failed=event.failure is not None, count=count)
            if event.failure is not None:
                name = printable(event.failure.ref.id)
                log.warning("%s: %s", name, event.failure.error.message)
    raise AssertionError("a stream ends with its result")


def write(flags: dict[str, Any], result: EvalResult, console: Console) -> None:
    """The result to its file, and to stdout."""
    _put(flags, console, eval_record(result), lambda rows: print_eval(rows, result))


def conclude(flags: dict[str, Any], result: EvalResult) -> None:
    """Raise GateError for a gate that was missed, else PartialFailure where videos were."""
    missed = []
    for flag, metric in _GATES.items():
        wanted, got = flags[flag], result.value(metric)
        if wanted is None:
            continue
        if got is None:
            raise UsageError(f"--{flag.replace('_', '-')}: this result has no {metric}")
        is_most = flag == "max_ece"
        if not (got <= wanted if is_most else got >= wanted):  # a number that is none misses too
            side = "less" if is_most else "more"
            missed.append(f"{metric} {got:.4f} (expected {wanted:g} or {side})")
    if missed:
        raise GateError(f"missed: {', '.join(missed)}; {result.coverage}")
    if result.coverage.failures and not flags["allow_missing"]:
        raise PartialFailure(
            f"{result.coverage} could be used",
            hint="--allow-missing takes that as it is (exit 0)",
        )
