"""One run of `actcli eval`: flags to a request, its result to a table or a record, then gates."""

from __future__ import annotations

import sys
from typing import Any, Final

import typer
from rich.console import Console

from actcli.cli import options as opt
from actcli.config import EvalConfig, with_options
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
from actcli.tasks.evaluate import Evaluation, log
from actcli.tasks.score_file import score_file

_GATES: Final = {
    "min_top1": "top1", "min_top5": "top5", "min_mean_class": "mean_class", "min_map": "map",
    "max_ece": "ece",
}  # fmt: skip


def compare_files(files: list[str], console: Console, format: str) -> None:
    """Two results side by side, as a table or as a record."""
    if len(files) != 2:
        raise UsageError(f"compare: takes two results (got {len(files)})",
                         hint="actcli eval compare a.json b.json")  # fmt: skip
    names = (files[0], files[1])
    found = compare(*names)
    if _wants_table(format):
        print_comparison(console_for_rows(console), found, names)
    else:
        typer.echo(to_json(comparison_record(found, names)))


def _wants_table(format: str) -> bool:
    return format == "table" or (format == "auto" and is_terminal(sys.stdout))


def score(ctx: typer.Context, flags: dict[str, Any], _: Console) -> EvalResult:
    """A file of predictions; no model is used."""
    for name in ("model", "protocol", "lists", "views", "template", "frames", "set_"):
        if opt.is_typed(ctx, name):
            raise UsageError(f"--{name.strip('_')}: the predictions are made (--truth)")
    several = flags["multi_label"]
    truth = read_manifest(flags["truth"], root=flags["root"], split=flags["split"], several=several)
    return score_file(flags["what"][0], truth, _config(ctx, flags), several=several)


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
    task = Evaluation(_request(ctx, flags), DownloadView(console, enabled=not flags["quiet"]))
    log.info("%s/%d on %d videos", task.plan.protocol, task.plan.version, len(task.plan.refs))
    wanted = wants_progress(quiet=bool(flags["quiet"]))
    with ProgressBar(console, total=len(task.plan.refs), enabled=wanted) as bar:
        for event in task.stream():
            if isinstance(event, EvalResult):
                return event
            if event.what == "video":
                bar.advance(failed=event.failure is not None)
            if event.failure is not None:
                name = printable(event.failure.ref.id)
                log.warning("%s: %s", name, event.failure.error.message)
    raise AssertionError("a stream ends with its result")


def write(flags: dict[str, Any], result: EvalResult, console: Console) -> None:
    record = eval_record(result)
    if flags["output"] not in (None, "-"):
        write_json(flags["output"], record)
    if _wants_table(flags["format"]):
        print_eval(console_for_rows(console), result)
    elif flags["output"] in (None, "-") or flags["format"] == "json":
        typer.echo(to_json(record))


def conclude(flags: dict[str, Any], result: EvalResult) -> None:
    """Raise GateError for a gate that was missed, else PartialFailure where videos were."""
    missed = []
    for flag, metric in _GATES.items():
        wanted = flags[flag]
        if wanted is None:
            continue
        got = result.value(metric)
        if got is None:
            raise UsageError(f"--{flag.replace('_', '-')}: this result has no {metric}")
        if got > wanted if flag == "max_ece" else got < wanted:
            missed.append(f"{metric} {got:.4f} (expected {wanted:g} or "
                          f"{'less' if flag == 'max_ece' else 'more'})")  # fmt: skip
    if missed:
        raise GateError(f"missed: {', '.join(missed)}; {result.coverage}")
    if result.coverage.failures and not flags["allow_missing"]:
        raise PartialFailure(f"{result.coverage} could be used",
                             hint="--allow-missing takes that as it is (exit 0)")  # fmt: skip
