"""Results as rows of text cells, for CSV and TSV: flat columns, one whole line a record.

CSV quotes as RFC 4180 does, so a line break inside a name stays inside its quotes. TSV has no
quotes: tab, line break and backslash are written \\t, \\n, \\r and \\\\, as by jq's `@tsv`. A CSV
cell that a spreadsheet would take for a formula gets a leading apostrophe.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from actcli.render.records import to_record
from actcli.types import Failure, Prediction

Dialect = Literal["csv", "tsv"]

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_NEEDS_QUOTES = re.compile(r'[,"\r\n]|^\s|\s$')
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escape: char for char, escape in _ESCAPES.items()}


def columns(top: int) -> list[str]:
    """Names of the columns for the `top` best labels of each video."""
    further = [f"{name}_{rank}" for rank in range(2, top + 1) for name in ("label", "score")]
    return ["input", "ok", "start", "end", "label", "score", *further, "error_kind", "error"]


def to_cells(result: Prediction | Failure, top: int) -> list[str]:
    """The cells of one result, in the order of `columns`."""
    record = to_record(result)
    scored = [
        cell for item in record.get("top", [])[:top] for cell in (item["label"], item["score"])
    ]
    scored += [None] * (2 * top - len(scored))
    error = record.get("error", {})
    head = [record["input"], record["ok"], record["start"], record["end"]]
    return [_text(cell) for cell in (*head, *scored, error.get("kind"), error.get("message"))]


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return _decimal(cell) if isinstance(cell, float) else str(cell)


def _decimal(value: float) -> str:
    """Without an exponent, which some spreadsheets read as text."""
    return f"{value:.6f}".rstrip("0").removesuffix(".") if value else "0"


def format_row(cells: Sequence[str], dialect: Dialect) -> str:
    """One line with its line feed."""
    if dialect == "tsv":
        return "\t".join(re.sub(r"[\\\t\n\r]", _escape, cell) for cell in cells) + "\n"
    return ",".join(_quote(guard(cell)) for cell in cells) + "\n"


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES[match[0]]


def _quote(cell: str) -> str:
    if not _NEEDS_QUOTES.search(cell):
        return cell
    return '"' + cell.replace('"', '""') + '"'


def guard(cell: str) -> str:
    """The cell as text, not as a formula: an apostrophe in front where a spreadsheet needs it."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def unguard(cell: str) -> str:
    """The cell as it was before `guard`."""
    return cell[1:] if _GUARDED.match(cell) else cell


def unescape(cell: str) -> str:
    """The text of a TSV cell."""
    return re.sub(r"\\[\\tnr]", lambda match: _UNESCAPES[match[0]], cell)
