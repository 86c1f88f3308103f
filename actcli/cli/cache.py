"""`actcli cache`: the embeddings that are kept, how many, whether they are whole, and out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.cli import options as opt
from actcli.cli.models import Format, record_format
from actcli.errors import PartialFailure, ResourceError, UsageError

if TYPE_CHECKING:
    from actcli.cache import Cache


def group() -> None:
    """Look at the cache of embeddings, check it, or empty it.

        actcli cache info
        actcli cache verify
        actcli cache clear --older-than 30
    """  # fmt: skip


def info(cache_dir: opt.CacheDir = None, format: Format = "auto") -> None:
    """Say where the cache is, how much is in it, and how large it may grow.

        actcli cache info
        actcli cache info --format jsonl | jq .bytes
    """  # fmt: skip
    shape = record_format(format)
    opt.start_messages(quiet=False)
    from actcli.render.caching import info_lines, info_record
    from actcli.render.records import to_json

    with _open(cache_dir) as cache:
        found = cache.info()
        if found is None:
            raise ResourceError(f"{cache.folder}: the cache can't be read")
    if shape == "table":
        for line in info_lines(found):
            typer.echo(line)
    else:
        typer.echo(to_json(info_record(found)))


def clear(
    older_than: Annotated[
        float | None,
        opt.option(
            "--older-than", panel=opt.OUTPUT_PANEL, min=0.0, help="Only what is older, in days."
        ),
    ] = None,
    yes: Annotated[
        bool, opt.option("--yes", "-y", panel=opt.OUTPUT_PANEL, help="Don't ask.")
    ] = False,
    cache_dir: opt.CacheDir = None,
) -> None:
    """Forget embeddings; the next run computes them anew.

        actcli cache clear --older-than 30
        actcli cache clear --yes

    Without --older-than everything goes, which is asked for first, or needs --yes in scripts.
    """  # fmt: skip
    opt.start_messages(quiet=False)
    import sys

    with _open(cache_dir) as cache:
        found = cache.info()
        if older_than is None and not yes and found is not None and found.embeddings:
            if not sys.stdin.isatty():
                raise UsageError("cache clear: forgets everything", hint="actcli cache clear --yes")
            typer.confirm(f"Forget all {found.embeddings:,} embeddings?", abort=True, err=True)
        moment = None if older_than is None else time.time() - older_than * 86_400
        typer.echo(f"{cache.clear(moment):,} embeddings forgotten")


def verify(cache_dir: opt.CacheDir = None) -> None:
    """Read every embedding, and drop those that were damaged.

        actcli cache verify

    Exit 3 if some were: the next run computes them anew.
    """  # fmt: skip
    opt.start_messages(quiet=False)
    with _open(cache_dir) as cache:
        count, dropped = cache.verify()
    typer.echo(f"{count:,} embeddings read, {dropped:,} damaged")
    if dropped:
        raise PartialFailure(f"{dropped:,} of {count:,} embeddings were damaged, and are dropped")


def _open(folder: str | None) -> Cache:
    """The cache, which is never made by looking at it."""
    from pathlib import Path

    from actcli.cache import default_folder, open_cache
    from actcli.cache_file import FILE_NAME

    path = default_folder() if folder is None else Path(folder).expanduser()
    if not (path / FILE_NAME).is_file():
        raise ResourceError(f"{path}: no cache there", hint="classify makes one: --cache-dir")
    cache = open_cache(str(path), enabled=True)
    if not cache.keeps:
        raise ResourceError(f"{path}: the cache can't be opened")
    return cache


SUBCOMMANDS: dict[str, Callable[..., Any]] = {"info": info, "clear": clear, "verify": verify}
