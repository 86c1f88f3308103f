"""A checked list as text: a table of its labels, and the records of `--format jsonl`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from actcli.data.manifest import Manifest
from actcli.data.tally import Count, Tally
from actcli.errors import shorten_list
from actcli.render.console import printable
from actcli.render.records import rounded, to_json

CHECK_SCHEMA: Final = "actcli.data_check/1"


def check_lines(manifest: Manifest, tally: Tally, *, decoded: bool) -> Iterator[str]:
    """One JSON record for each label, and one for all together.

    decoded: whether frames were read, or only files looked for
    """
    for count in tally.counts:
        yield to_json(_record("label", count, decoded))
    largest, smallest = tally.largest, tally.smallest
    yield to_json(
        _record("total", tally.total, decoded)
        | {
            "list": manifest.source,
            "dialect": manifest.dialect,
            "splits": list(manifest.splits),
            "labels": len(manifest.labels),
            "largest": {"label": largest.label, "found": largest.found},
            "smallest": {"label": smallest.label, "found": smallest.found},
            "imbalance": rounded(tally.imbalance),
            "with_one_video": list(tally.labels_with(1)),
            "with_none": [*tally.labels_with(0), *manifest.empty],
        }
    )


def _record(scope: str, count: Count, decoded: bool) -> dict[str, Any]:
    return {
        "schema": CHECK_SCHEMA,
        "scope": scope,
        "label": count.label,
        "videos": count.num_videos,
        "found": count.found,
        "missing": count.missing,
        "unreadable": count.unreadable,
        "decoded": decoded,
    }


def print_check(console: Console, manifest: Manifest, tally: Tally) -> None:
    """A table, one label a row, with their sum, and below it how even they are."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("label", overflow="fold")
    for heading in ("found", "missing", "unreadable"):
        table.add_column(heading, justify="right", no_wrap=True)
    for count in tally.counts:
        is_whole = count.found == count.num_videos
        table.add_row(*_cells(count, count.label or ""), style=None if is_whole else "yellow")
    table.add_row(*_cells(tally.total, f"{len(tally.counts)} labels"), style="bold")
    console.print(table)
    for line in _balance(manifest, tally):
        console.print(printable(line), style="dim", soft_wrap=True)


def _cells(count: Count, name: str) -> tuple[str, ...]:
    return printable(name), *map(str, (count.found, count.missing, count.unreadable))


def _balance(manifest: Manifest, tally: Tally) -> Iterator[str]:
    """What of the numbers may surprise who trains on them."""
    largest, smallest = tally.largest, tally.smallest
    if tally.imbalance is not None and largest.found > smallest.found:
        yield (
            f"largest label {largest.found} ({largest.label}), smallest {smallest.found} "
            f"({smallest.label}): {tally.imbalance:.3g} to 1"
        )
    if one := tally.labels_with(1):
        yield f"labels with one video: {shorten_list(one)}"
    if none := (*tally.labels_with(0), *manifest.empty):
        yield f"labels with none: {shorten_list(none)}"
