"""Results as rows of text cells, for CSV and TSV: flat columns, one whole line a record.

CSV quotes as RFC 4180 does, so a line break inside a name stays inside its quotes. TSV has no
quotes: tab, line break and backslash are written \\t, \\n, \\r and \\\\, as by jq's `@tsv`. A CSV
cell that a spreadsheet would take for a formula gets a leading apostrophe.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal

from actcli.render.records import to_record
from actcli.types import Failure, Prediction

Dialect = Literal["csv", "tsv"]

# Full-width signs are formulas too, in some languages of spreadsheets.
_SIGNS: Final = r"[=+\-@\t\r\n＝＋－＠]"
_FORMULA = re.compile(f"'*{_SIGNS}")
_GUARDED = re.compile(f"'+{_SIGNS}")
_NUMBER = re.compile(r"-\d+(\.\d+)?")
_NEEDS_QUOTES = re.compile(r'[,"\r\n]|^\s|\s$')
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escape: char for char, escape in _ESCAPES.items()}


REJECT_COLUMNS: Final = ("abstained", "confidence")
SEVERAL_COLUMNS: Final = ("labels",)
_SEPARATOR: Final = ";"
"""Between the labels of a cell; one that a label holds itself is doubled."""


def columns(top: int, extra: Sequence[str] = ()) -> list[str]:
    """Names of the columns for the `top` best labels of each video.

    extra: REJECT_COLUMNS or SEVERAL_COLUMNS, at the end, where the run asked for what they hold
    """
    further = [f"{name}_{rank}" for rank in range(2, top + 1) for name in ("label", "score")]
    ends = ("error_kind", "error", *extra)
    return ["input", "ok", "start", "end", "label", "score", *further, *ends]


def to_cells(result: Prediction | Failure, top: int, extra: Sequence[str] = ()) -> list[str]:
    """The cells of one result, in the order of `columns`."""
    record = to_record(result)
    scored = [
        cell for item in record.get("top", [])[:top] for cell in (item["label"], item["score"])
    ]
    scored += [None] * (2 * top - len(scored))
    error = record.get("error", {})
    head = [record["input"], record["ok"], record["start"], record["end"]]
    ends = (error.get("kind"), error.get("message"), *(record.get(name) for name in extra))
    return [_text(cell) for cell in (*head, *scored, *ends)]


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, list):
        return _SEPARATOR.join(str(one).replace(_SEPARATOR, 2 * _SEPARATOR) for one in cell)
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
    is_formula = _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def unguard(cell: str) -> str:
    """The cell as it was before `guard`."""
    return cell[1:] if _GUARDED.match(cell) else cell


def unescape(cell: str) -> str:
    """The text of a TSV cell."""
    return re.sub(r"\\[\\tnr]", lambda match: _UNESCAPES[match[0]], cell)
