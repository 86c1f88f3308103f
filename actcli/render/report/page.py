"""From the values of a report to its file: templates, styles and script in one HTML text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from actcli import __version__
from actcli.drafts import draft_of
from actcli.render.console import printable
from actcli.render.records import plain_value
from actcli.render.report.collector import ReportCollector
from actcli.render.report.conditions import conditions_of
from actcli.render.report.model import Page, Strip, Tile, Videos
from actcli.render.report.numbers import count
from actcli.render.report.support import make_support
from actcli.render.sinks import storage_errors
from actcli.types import VideoRef

_HERE: Final = "actcli.render.report"
_BREAKS: Final = re.compile(r"([/\\_])")
_UNSAFE_IN_SCRIPT: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&'"}


def write_report(path: str | Path, page: Page) -> None:
    """Write a report; an older file stays whole until the new one is.

    Raises ResourceError if the disk won't have it.
    """
    text = render_page(page)
    with storage_errors(str(path)), draft_of(Path(path)) as draft:
        draft.write_text(text, encoding="utf-8")


def render_page(page: Page) -> str:
    """The whole file as text, every name in it escaped and printable."""
    script = asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return _environment().get_template("page.html").render(
        page=page, policy=policy, script=Markup(script), style=Markup(asset("report.css")),
        island=island(_data(page)), record=_readable(page.record),
    )  # fmt: skip


def videos_page(
    collector: ReportCollector,
    run: Mapping[str, Any],
    strips: Mapping[VideoRef, Strip] | None = None,
    *,
    support: Mapping[str, Any] | None = None,
    notes: tuple[str, ...] = (),
) -> Page:
    """The report of `classify` or `fewshot`.

    run:     of `actcli.render.records.run_record`
    strips:  pictures of the videos that `collector.wanted` names
    support: of `actcli.render.support.support_record`, where there were examples
    """
    videos, command = collector.videos(strips), str(run["command"])
    labels = count(len(run["labels"]), "label")
    what = count(sum(collector.counts.values()), "video") if videos else "Examples"
    return Page(
        title=f"{what} against {labels}" if videos else f"Examples of {labels}",
        command=command, subtitle=f"actcli {command} with {run['model']}",
        tiles=_tiles(collector.counts, videos), conditions=tuple(conditions_of(run)), record=run,
        notes=notes, videos=videos, support=None if support is None else make_support(support),
    )  # fmt: skip


def _tiles(counts: Mapping[str, int], videos: Videos | None) -> tuple[Tile, ...]:
    if videos is None:
        return ()
    tiles = [Tile("videos", f"{sum(counts.values()):,}"), Tile("classified", f"{counts['ok']:,}")]
    if counts["failed"]:
        tiles.append(Tile("failed", f"{counts['failed']:,}", is_bad=True))
    known = [row[6] for row in videos.rows if row[6] is not None]
    if known:
        share = f"{100 * sum(known) / len(known):.1f}\u202f%"
        tiles.append(Tile("right", share, f"{sum(known):,} of {len(known):,} with a known target"))
    tiles.append(Tile("labels found", f"{len({row[1] for row in videos.rows if row[1]}):,}"))
    return tuple(tiles)


def _data(page: Page) -> dict[str, Any]:
    """What the script needs: the rows of the table, and the windows of films."""
    if page.videos is None:
        return {"rows": [], "films": {}}
    films = {card.id: card.film.data for card in page.videos.cards if card.film is not None}
    return {"rows": page.videos.rows, "films": films}


def island(value: Any) -> Markup:
    """JSON for a script element: nothing in it can end the element or begin another."""
    text = json.dumps(_safe(plain_value(value)), separators=(",", ":"))
    return Markup(text.translate(_UNSAFE_IN_SCRIPT))


def _readable(record: Mapping[str, Any]) -> Markup:
    return escape(json.dumps(_safe(plain_value(record)), indent=1, ensure_ascii=False))


def _safe(value: Any) -> Any:
    """The value with control characters and broken bytes of its texts spelled out."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(key)): _safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_safe(item) for item in value]
    return value


@cache
def asset(name: str) -> str:
    """A style sheet or script of the package."""
    return (files(_HERE) / "assets" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    def load(name: str) -> str:
        return (files(_HERE) / "templates" / name).read_text(encoding="utf-8")

    made = Environment(
        loader=FunctionLoader(load), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_printed,
    )  # fmt: skip
    made.globals["version"] = __version__
    made.filters["breakable"] = _breakable
    return made


def _printed(value: object) -> object:
    """What a template prints: texts without control characters, markup of ours as it is."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(text: str) -> Markup:
    """A name that may be broken after its slashes and underlines."""
    return Markup(_BREAKS.sub(r"\1<wbr>", str(escape(printable(text)))))  # escaped before
