"""One run of `actcli embed`: rows to their table, progress to stderr, counts to a code."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from actcli.cli.session import Session
from actcli.cli.stopping import unwinding_may_take
from actcli.data.inputs import count_known
from actcli.errors import InputError, ManifestError, PartialFailure, UsageError, VideoError
from actcli.render.console import print_name, printable
from actcli.render.download import DownloadView
from actcli.render.progress import ProgressBar, wants_progress
from actcli.render.records import rounded
from actcli.render.resume import Done
from actcli.render.sinks import check_output
from actcli.tables.parquet import load_pyarrow
from actcli.tables.reading import EmbeddingTable, open_folder
from actcli.tables.rows import Row
from actcli.tables.tensor_file import TensorWriter
from actcli.tables.writing import FileWriter, FolderWriter, TableWriter
from actcli.tasks.embed import Embedding, RunningEmbedding, check_same
from actcli.types import Failure, VideoRef
from actcli.windows import goes_on

log = logging.getLogger("actcli.cli.embed_session")

_COMPLETE_S = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a table goes, and what is there already."""

    path: Path
    kind: Literal["folder", "parquet", "safetensors"]
    earlier: EmbeddingTable | None = None
    """What `--skip-done` continues."""


def choose_target(output: str, *, skip_done: bool) -> Target:
    """What `-o` means.

    Raises UsageError for what can't be written, ResourceError where pyarrow is missing.
    """
    path = Path(output)
    if output.endswith(("/", os.sep)) or path.is_dir():
        load_pyarrow()
        return _folder(path, skip_done=skip_done)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("parquet", "safetensors"):
        raise UsageError(
            f'-o {output}: the suffix "{path.suffix}" names no table (expected .parquet, '
            ".safetensors, or a folder that ends in /)",
            hint=f"-o {path.with_suffix('.parquet')}",
        )
    if skip_done:
        raise UsageError(
            "--skip-done: a file is there whole or not at all, only folders can be continued",
            hint=f"-o {path.with_suffix('')}/",
        )
    check_output(path, example="clips.parquet")
    if path.exists() and not path.is_file():
        raise UsageError(f"-o {output}: is not a regular file", hint="-o clips.parquet")
    if kind == "parquet":
        load_pyarrow()
        return Target(path, "parquet")
    return Target(path, "safetensors")


def _folder(path: Path, *, skip_done: bool) -> Target:
    if not any(path.glob("part-*.parquet")):
        nearest = next(above for above in (path, *path.absolute().parents) if above.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK):
            raise UsageError(f"-o {path}: can't be written to ({nearest})")
        return Target(path, "folder")
    if not skip_done:
        raise UsageError(
            f"-o {path}: holds a table already", hint="--skip-done continues it, or another -o"
        )
    return Target(path, "folder", open_folder(path))


@dataclass(slots=True)
class Tally:
    """A video counts once, however many windows it has."""

    ok: int = 0
    failed: int = 0
    failed_before: int = 0
    """Of those skipped."""
    skipped: int = 0
    written: int = 0
    _last: Row | None = field(default=None, repr=False)

    def begins(self, result: Row | Failure) -> bool:
        """Whether a result is the first of its video."""
        before, self._last = self._last, result if isinstance(result, Row) else None
        return not isinstance(result, Row) or not goes_on(before, result)

    def conclude(self) -> None:
        """Raise PartialFailure or InputError if some or all videos failed."""
        total, failed = self.ok + self.failed + self.skipped, self.failed + self.failed_before
        if self.skipped and not self.written:
            log.warning("nothing to do: all %d videos are in the table", self.skipped)
        if not failed:
            return
        if self.ok or self.skipped:
            raise PartialFailure(f"{failed} of {total} videos could not be embedded")
        which = "the video" if total == 1 else f"none of the {total} videos"
        raise InputError(f"{which} could {'not ' if total == 1 else ''}be embedded")


@dataclass(slots=True)
class EmbedSession(Session):
    """What one run was asked for, and how far it is.

    make_task: the `Embedding`, once its model may be downloaded
    """

    make_task: Callable[[DownloadView], Any]
    target: Target = field(kw_only=True)
    tally: Tally = field(default_factory=Tally)

    def run(self) -> None:
        """Embed what the flags name and write it where they say.

        Raises PartialFailure or InputError at the end if some or all videos failed.
        """
        with ExitStack() as stack:
            refs = self._refs(stack)
            done = self._earlier_rows()
            if self.flags["dry_run"]:
                missing = self._missing_model()
                self._list(self._left(refs, done), missing or self.config.model)
                return
            if done is not None and not self._has_windows:
                left = self._left(refs, done)
                refs, done = list(left) if isinstance(refs, list) else left, None
            task: Embedding = self.make_task(
                DownloadView(self.console, enabled=not self.flags["quiet"])
            )
            if self.target.earlier is not None:
                task.check_continues(self.target.earlier.info, self.target.earlier.name)
            if refs != []:
                self._embed(task, refs, done)
            elif not self.tally.skipped:
                log.warning("no videos in this shard: nothing is written")
        self.tally.conclude()

    def _earlier_rows(self) -> Done | None:
        if self.target.earlier is None:
            return None
        done = Done()
        for key in self.target.earlier.keys():  # noqa: SIM118
            raw, shown = key["input_bytes"], key["input"]
            name = shown if raw is None else raw.decode("utf-8", "surrogateescape")
            done.add(name, key["ok"], rounded(key["trim_start"]), rounded(key["trim_end"]))
        self.tally.failed_before = done.num_failed
        return done

    def _left(self, refs: Iterable[VideoRef], done: Done | None) -> Iterator[VideoRef]:
        for ref in refs:
            if done is not None and not self._has_windows and done.take(ref):
                self.tally.skipped += 1
            else:
                yield ref

    def _list(self, refs: Iterable[VideoRef], model: str) -> None:
        names = [ref.id for ref in refs]
        for name in names:
            print_name(name)
        log.warning("would embed %d videos with %s into %s", len(names), model, self.target.path)

    def _embed(self, task: Embedding, refs: Iterable[VideoRef], done: Done | None) -> None:
        total = count_known(refs) if isinstance(refs, list) else None
        wanted = wants_progress(quiet=self.flags["quiet"])
        with (
            task.start(refs) as running,
            ProgressBar(self.console, total=total, enabled=wanted) as bar,
            ExitStack() as stack,
        ):
            if self.target.earlier is not None:
                check_same(self.target.earlier.info, running.info, self.target.earlier.name)
            writer = self._table(running)
            if self.target.kind == "folder":  # what waits to be written is minutes of work
                stack.enter_context(unwinding_may_take(_COMPLETE_S))
            stack.callback(writer.close)
            try:
                for row in running.rows(refs):
                    self._take(row, writer, done, bar)
            except (VideoError, ManifestError) as error:  # --on-error stop, or a bad line
                if self.tally.written and self.target.kind == "folder":
                    message = f"stopped: {error.message}"
                    raise PartialFailure(message, hint=error.hint) from error
                raise
            writer.finish()

    def _take(
        self, row: Row | Failure, writer: TableWriter, done: Done | None, bar: ProgressBar
    ) -> None:
        is_new, is_failed = self.tally.begins(row), isinstance(row, Failure)
        if is_new:
            bar.advance(failed=is_failed)
        if done is not None and done.take(row.ref):
            self.tally.skipped += is_new
            return
        self.tally.written += 1
        self.tally.failed += is_failed
        self.tally.ok += is_new and not is_failed
        writer.write(row)
        said = [row.error.message] if isinstance(row, Failure) else row.warnings
        for text in said:
            log.warning("%s: %s", printable(row.ref.id), text)

    def _table(self, running: RunningEmbedding) -> TableWriter:
        path, info, find = self.target.path, running.info, running.find_shape
        if self.target.kind == "folder":
            return FolderWriter(path, info, find)
        kind = FileWriter if self.target.kind == "parquet" else TensorWriter
        return kind(path, info, find)
