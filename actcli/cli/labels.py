"""`actcli labels`: lists of labels, looked at before they are used."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli import options as opt
from actcli.cli import streams
from actcli.cli.models import Format, record_format
from actcli.errors import GateError, UsageError

if TYPE_CHECKING:
    from actcli.data.label_lint import Finding, LabelEntry
    from actcli.data.labels import LabelSet

log = logging.getLogger("actcli.cli.labels")


def _bundled_lists() -> Iterable[str]:
    from actcli.data.labels import bundled_lists

    return bundled_lists()


Labels = Annotated[
    str | None,
    opt.option("--labels", "-l", panel="Labels", help='Words, as in "run,jump,sit down".'),
]
LabelsFile = Annotated[
    str | None,
    opt.option(
        "--labels-file", "-L", panel="Labels", autocompletion=opt.complete(_bundled_lists),
        help="One a line, label<TAB>prompt for own prompts; or a bundled list: kinetics400, …",
    ),
]  # fmt: skip


def read_labels(flags: dict[str, Any]) -> LabelSet | None:
    """The labels that `--labels` or `--labels-file` give; None where neither does."""
    from actcli.data.labels import LabelSet

    if flags["labels"] is not None:
        return LabelSet.parse(flags["labels"])
    if flags["labels_file"] is not None:
        return LabelSet.open(flags["labels_file"], stdin=sys.stdin.buffer)
    return None


def group() -> None:
    """Look at lists of labels before they are used.

        actcli labels lint labels.txt
        actcli labels lint kinetics400 --model fast
        actcli labels lint --labels "open door,closed door"
    """  # fmt: skip


def lint(
    ctx: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="A label file, a bundled list such as kinetics400, or -.",
            autocompletion=opt.complete(_bundled_lists),
        ),
    ] = None,
    labels: Labels = None,
    template: streams.Template = None,
    similar: Annotated[
        float,
        opt.option(
            "--similar",
            panel="Labels",
            help="Cosine of two labels' texts from which they are told as one meaning.",
        ),
    ] = 0.95,
    sample: Annotated[
        list[str] | None,
        opt.option(
            "--sample",
            envvar=None,
            panel=opt.INPUT_PANEL,
            help="A folder or some clips: which labels none likes, and which win all; repeatable.",
        ),
    ] = None,
    limit: streams.Limit = None,
    strict: Annotated[
        bool, opt.option("--strict", panel=opt.OUTPUT_PANEL, help="Exit 5 if anything was found.")
    ] = False,
    format: Format = "auto",
    quiet: opt.Quiet = False,
    verbose: opt.Verbose = False,
    model: opt.Model = "default",
    backbone: opt.Backbone = None,
    frames: opt.Frames = 8,
    device: opt.Device = "auto",
    workers: opt.Workers = None,
    cache_dir: opt.CacheDir = None,
    no_cache: opt.NoCache = False,
) -> None:
    """Say which labels a model will mix up, misread or never choose, and what to do about it.

        actcli labels lint labels.txt
        actcli labels lint kinetics400 --model fast --format jsonl | jq .labels
        actcli labels lint labels.txt --sample videos/ --limit 200 --strict

    Without a downloaded model only the words are looked at; nothing is ever downloaded. Findings
    are advice, and the exit code stays 0; with --strict it is 5.
    """  # fmt: skip
    flags = dict(ctx.params)
    shape = record_format(format)
    if (file is None) == (labels is None):
        raise UsageError(
            "labels lint: takes a FILE or --labels" + (", not both" if file else ""),
            hint="actcli labels lint labels.txt",
        )
    if not 0 < similar <= 1:
        raise UsageError(f"--similar: not a cosine (got {similar:g}, expected above 0, at most 1)")
    streams.refuse_both(ctx, flags, "no_cache", "cache_dir")
    opt.start_messages(quiet=quiet, verbose=verbose)
    entries, source = _entries(file, labels)
    found, skipped = _look(entries, ctx, flags)
    for line in skipped:
        log.warning("%s", line)
    _write(found, source, shape)
    from actcli.render.console import say

    if not quiet:
        say(f"{source}: {len(entries)} labels, {len(found)} findings")
    if strict and found:
        raise GateError(f"{source}: {len(found)} findings in {len(entries)} labels (--strict)")


def _entries(file: str | None, labels: str | None) -> tuple[list[LabelEntry], str]:
    from actcli.data.label_lint import read_entries, split_entries
    from actcli.data.labels import label_lines

    if file is None:
        entries, source = split_entries(labels or ""), "--labels"
    else:
        # Not sys.stdin: its thread would hold its lock while Python ends.
        stdin = io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False))
        lines, source = label_lines(file, stdin=stdin)
        entries = read_entries(lines)
    if not entries:
        raise UsageError(f"{source}: labels are missing (got none)", hint="one label a line")
    return entries, source


def _look(
    entries: list[LabelEntry], ctx: typer.Context, flags: dict[str, Any]
) -> tuple[list[Finding], list[str]]:
    """All findings, and what could not be checked."""
    from actcli.config import ClassifyConfig, with_options
    from actcli.data.label_lint import in_order, lint_words
    from actcli.tasks.label_lint import ModelLint, lint_sample

    config = with_options(ClassifyConfig(), opt.task_options(ctx, flags) | {"offline": True})
    found = lint_words(entries, config.templates)
    checks = ModelLint(entries, config, flags["similar"])
    found += checks.findings(found)
    skipped = checks.skipped
    if flags["sample"]:
        if any(one.kind == "duplicate" for one in found):
            raise UsageError("--sample: some labels are there twice, which clips can't tell apart")
        more, why, num_failed = lint_sample(entries, config, _sample(flags))
        found, skipped = found + more, skipped + why
        if num_failed:
            skipped.append(f"{num_failed} clips of the sample could not be read")
    return in_order(found), skipped


def _sample(flags: dict[str, Any]) -> Any:
    from actcli.data.inputs import expand_inputs

    lists = [name for name in flags["sample"] if _is_list(name)]
    videos = [name for name in flags["sample"] if not _is_list(name)]
    return expand_inputs(videos, limit=flags["limit"], lists=lists)


def _is_list(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in (".csv", ".jsonl", ".ndjson", ".parquet")


def _write(found: list[Finding], source: str, shape: str) -> None:
    from actcli.render.console import make_console
    from actcli.render.labels import finding_lines, print_findings
    from actcli.render.sinks import StreamSink

    if shape == "table":
        print_findings(make_console(), found, source)
        return
    sink = StreamSink(sys.stdout)
    for line in finding_lines(found, source):
        sink.write(line + "\n")


SUBCOMMANDS: dict[str, Callable[..., Any]] = {"lint": lint}
