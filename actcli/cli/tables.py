"""`classify --embeddings`: the rows of a table in the place of videos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli.options import INPUT_PANEL, is_typed, option
from actcli.errors import UsageError, flag_of

if TYPE_CHECKING:
    from actcli.cli.session import Session
    from actcli.tables.info import TableInfo
    from actcli.tables.reading import TableRows
    from actcli.tasks.classify import Classification

Embeddings = Annotated[
    str | None,
    option(
        "--embeddings", envvar=None, panel=INPUT_PANEL,
        help="A table of actcli embed instead of VIDEO: FILE or FOLDER/. New labels, no decoding.",
    ),
]  # fmt: skip
_OF_VIDEOS = ("null", "glob", "lists", "allow_remote", "devices", "backend", "ray_address")


def open_rows(ctx: typer.Context, flags: dict[str, Any]) -> TableRows | None:
    """The rows of `--embeddings`, if it was given.

    Raises UsageError beside videos and options of videos, InputError for what is no table.
    """
    if flags["embeddings"] is None:
        return None
    if flags["videos"] or flags["stdin_video"]:
        raise UsageError("--embeddings: takes no VIDEO", hint="drop one of the two")
    for name in _OF_VIDEOS:
        if flags.get(name) and is_typed(ctx, name):
            raise UsageError(f"{flag_of(name)}: is for videos (got --embeddings)")
    from actcli.tables.reading import TableRows, open_table

    return TableRows(open_table(flags["embeddings"]))


def window_options(info: TableInfo, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a run with the windows of a table, where none were asked for."""
    if info.windows is None or "window_s" in options:
        return options
    return {name: value for name, value in info.windows.items() if value} | options


def classification_of(rows: TableRows) -> Callable[..., Classification]:
    """What makes the task for the rows of a table; its arguments are those of `Classification`."""
    from functools import partial

    from actcli.tasks.table_classification import TableClassification

    return partial(TableClassification, rows)


def table_session(rows: TableRows, *args: Any) -> Session:
    """A session that classifies the rows of a table; args as of `Session`."""
    from actcli.cli.session import Session
    from actcli.data.shards import only_shard
    from actcli.types import VideoRef

    @dataclass(slots=True)
    class TableSession(Session):
        rows: TableRows = field(kw_only=True)

        def _refs(self, stack: ExitStack) -> Iterable[VideoRef]:
            refs: Iterator[VideoRef] = islice(self.rows.refs(), self.flags["limit"])
            has_windows = self.rows.table.info.windows is not None
            return only_shard(refs, self.flags["shard"], whole_videos=has_windows)

        def _write_all(self, task: Any, refs: Any, writer: Any, total: Any, done: Any) -> None:
            is_whole = not any(self.flags[name] for name in ("limit", "shard", "skip_done"))
            if is_whole and not self._has_windows:
                total = self.rows.table.num_rows
            Session._write_all(self, task, refs, writer, total, done)

    return TableSession(*args, rows=rows)
