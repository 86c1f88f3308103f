"""One run at the command line: results to their writer, progress to stderr, counts to a code."""

from __future__ import annotations

import io
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from rich.console import Console

from actcli.cli.counts import Counts
from actcli.cli.decisions import extra_columns
from actcli.cli.stopping import unwinding_may_take
from actcli.config import ClassifyConfig
from actcli.data.inputs import count_known, expand_inputs
from actcli.data.labels import LabelSet
from actcli.data.shards import only_shard
from actcli.errors import (
    ManifestError,
    ModelError,
    PartialFailure,
    ResourceError,
    UsageError,
    VideoError,
)
from actcli.render.console import console_for_rows, is_terminal, print_name, printable
from actcli.render.download import DownloadView
from actcli.render.exports.registry import EXPORTS, is_folder
from actcli.render.files import Format, choose_format, open_writer, write_sidecar
from actcli.render.models import size_text
from actcli.render.progress import ProgressBar, wants_progress
from actcli.render.records import run_record
from actcli.render.resume import Done, load_done
from actcli.render.table import TableWriter
from actcli.render.window_table import WindowTableWriter
from actcli.render.writer import ResultWriter
from actcli.tasks.models import describe_model, hub_settings
from actcli.tasks.settings import needed_model
from actcli.types import Failure, Prediction, Run, VideoRef

if TYPE_CHECKING:
    from actcli.eval.report import SupportReport

Result: TypeAlias = "SupportReport | Prediction | Failure"

log = logging.getLogger("actcli.cli.session")

_COMPLETE_S = 10.0


class Task(Protocol):
    """A run whose results a session writes."""

    @property
    def model_name(self) -> str:
        """The model, as records show it."""

    @property
    def labels(self) -> LabelSet:
        """What videos are scored against."""

    def run(self) -> Run:
        """The conditions of this run, as they stand now."""

    def stream(self, refs: Iterable[VideoRef]) -> Iterator[Result]:
        """One result for each ref, in order; before them there may be a report on examples."""


@dataclass(slots=True)
class Session:
    """What one run was asked for, and how far it is.

    flags: the command's parameters by name
    console: of stderr, shared by messages and the progress bar
    against: what videos are scored against, in words
    make_task: the task, once its model may be downloaded
    report: takes what a task says of its examples, and returns how many of them failed
    """

    flags: dict[str, Any]
    config: ClassifyConfig
    console: Console
    against: str
    make_task: Callable[[DownloadView], Task]
    report: Callable[[SupportReport], int] | None = None
    counts: Counts = field(default_factory=Counts)
    failed_examples: int = 0

    def run(self) -> None:
        """Classify what the flags name and write it where they say.

        Raises PartialFailure or InputError at the end if some or all videos failed.
        """
        path = self.flags["output"]
        shape = choose_format(self.flags["format"], path=path, is_terminal=is_terminal(sys.stdout))
        started = time.monotonic()
        with ExitStack() as stack:
            refs = self._refs(stack)
            self._refuse_several(shape, refs)
            missing = self._missing_model() if self.flags["dry_run"] else None
            if missing is not None:
                self._list(refs, missing)
                return
            task = self.make_task(DownloadView(self.console, enabled=not self.flags["quiet"]))
            done = self._done(shape, task)
            if self.flags["dry_run"]:
                left = refs if self._has_windows else self._remaining(refs, done)
                self._list(left, task.model_name)
                return
            if done is not None and not self._has_windows:
                left = self._remaining(refs, done)
                refs = list(left) if isinstance(refs, list) else left  # the bar counts what is left
                done = None
            stack.enter_context(_time_to_complete(shape))
            writer = self._writer(shape, task, stack)
            total = count_known(refs) if isinstance(refs, list) else None
            self._write_all(task, refs, writer, total, done)
            if self.config.windows.segments and not self.counts.written + self.counts.skipped:
                log.warning("no segments: none reached --threshold and --min-length")
            seconds = round(time.monotonic() - started, 3)
            record = self._record(task, timings={"wall_s": seconds})
            writer.finish(record)
            if path is not None and self.counts.written:
                write_sidecar(path, record)
        self.counts.conclude(self.failed_examples)

    def _refuse_several(self, shape: Format, refs: Iterable[VideoRef]) -> None:
        """Say now, not after hours, that a format holds one video a file."""
        path = self.flags["output"]
        if shape not in EXPORTS or not EXPORTS[shape].is_per_video or not isinstance(refs, list):
            return
        if len({(ref.id, ref.path) for ref in refs}) > 1 and (path is None or not is_folder(path)):
            raise UsageError(
                f"--format {shape}: holds one video (got {len(refs)})", hint="-o FOLDER/"
            )

    @property
    def _has_windows(self) -> bool:
        """Whether a video has many results; which of them are there is known only one by one."""
        return self.config.windows.window_s is not None

    def _refs(self, stack: ExitStack) -> Iterable[VideoRef]:
        if self.flags["stdin_video"]:
            return [_spool_stdin(stack)]
        videos, lists = self.flags["videos"] or (), self.flags.get("lists") or ()
        if not videos and not lists:
            return []
        stdin = None
        if "-" in videos and self.flags["labels_file"] != "-":
            # Not sys.stdin: a thread that waits on it would hold its lock while Python ends.
            stdin = io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False))
        refs = expand_inputs(
            videos,
            stdin=stdin,
            glob=self.flags["glob"],
            null_separated=self.flags["null"],
            limit=self.flags["limit"],
            lists=lists,
            allow_remote=self.flags.get("allow_remote", False),
        )
        return only_shard(refs, self.flags["shard"])

    def _missing_model(self) -> str | None:
        """The name of the model if a run would download it first; a dry run doesn't."""
        info = describe_model(needed_model(self.config), hub_settings())
        if info.folder is not None:
            return None
        if self.flags["skip_done"]:
            raise ModelError(
                f"{info.name}: not downloaded, so what is done already can't be told",
                hint=f"actcli models pull {info.name}",
            )
        log.warning("would first download %s (%s)", info.name, size_text(info) or "size unknown")
        return info.name

    def _record(self, task: Task, **more: Any) -> dict[str, Any]:
        """The conditions of the run, and of which file they are."""
        record = run_record(task.run(), counts=self.counts.record(), **more)
        if self.flags["output"] is not None:
            record["notes"]["output"] = os.path.basename(self.flags["output"])
        return record

    def _done(self, shape: Format, task: Task) -> Done | None:
        if not self.flags["skip_done"]:
            return None
        top, extra = self._top(task), extra_columns(self.config.decisions)
        done = load_done(self.flags["output"], shape, task.run(), top=top, extra=extra)
        self.counts.failed_before = done.num_failed
        return done

    def _top(self, task: Task) -> int:
        return min(self.config.top, len(task.labels))

    def _remaining(self, refs: Iterable[VideoRef], done: Done | None) -> Iterator[VideoRef]:
        for ref in refs:
            if done is not None and done.take(ref):
                self.counts.skip()
            else:
                yield ref

    def _list(self, refs: Iterable[VideoRef], model: str) -> None:
        """What a run would do: its inputs on stdout, the rest in one line on stderr."""
        names = [ref.id for ref in refs]
        for name in names:
            print_name(name)
        log.warning("would classify %d videos %s with %s", len(names), self.against, model)

    def _writer(self, shape: Format, task: Task, stack: ExitStack) -> ResultWriter:
        top, path = self._top(task), self.flags["output"]
        shown: dict[str, Any] = {"top": top, "extra": extra_columns(self.config.decisions)}
        if path is not None:
            append, run = self.flags["skip_done"], self._record(task)
            writer = open_writer(shape, path=path, append=append, run=run, **shown)
        elif shape == "table":
            kind = WindowTableWriter if self._has_windows else TableWriter
            writer = kind(console_for_rows(self.console), top=top)
        else:
            writer = open_writer(shape, stream=sys.stdout, **shown)
        stack.callback(writer.close)
        return writer

    def _write_all(
        self,
        task: Task,
        refs: Iterable[VideoRef],
        writer: ResultWriter,
        total: int | None,
        done: Done | None,
    ) -> None:
        """Write results as they come; an interrupted run keeps what it wrote.

        done: windows that are not to be written again
        """
        to_stdout = self.flags["output"] is None and not isinstance(writer, TableWriter)
        wanted = wants_progress(quiet=self.flags["quiet"], prints_rows=to_stdout)
        with ProgressBar(self.console, total=total, enabled=wanted) as bar:
            try:
                for result in task.stream(refs):
                    if isinstance(result, Prediction | Failure):
                        if done is not None and done.take(result.ref):
                            self.counts.skip(result)
                        else:
                            self._write(result, writer)
                        bar.show(result)
                    elif self.report is not None:
                        self.failed_examples = self.report(result)
            except (VideoError, ManifestError) as error:  # --on-error stop, or a bad line of a list
                if self.counts.written:
                    message = f"stopped: {error.message}"
                    raise PartialFailure(message, hint=error.hint) from error
                raise

    def _write(self, result: Prediction | Failure, writer: ResultWriter) -> None:
        self.counts.add(result)
        writer.write(result)
        name = printable(result.ref.id)
        if isinstance(result, Failure):
            if not isinstance(writer, TableWriter):  # whose row says it already
                log.warning("%s: %s", name, result.error.message)
            return
        for warning in result.warnings:
            log.warning("%s: %s", name, warning)


def _time_to_complete(shape: Format) -> AbstractContextManager[None]:
    """Lines are whole as they are; other formats are not until they are closed."""
    is_lines = shape in ("table", "jsonl", "csv", "tsv")
    return nullcontext() if is_lines else unwinding_may_take(_COMPLETE_S)


def _spool_stdin(stack: ExitStack) -> VideoRef:
    """Stdin as a file: containers keep their index at the end, so decoding must seek."""
    try:
        file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="actcli-stdin-"))  # noqa: SIM115
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
    except OSError as error:
        raise ResourceError(
            f"--stdin-video: can't keep the video ({error.strerror})",
            hint="set TMPDIR to a folder with more space",
        ) from error
    return VideoRef(file.name, id="-")
