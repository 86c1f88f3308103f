"""What lint found in labels as text: lines for a terminal, records for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from rich.console import Console
from rich.text import Text

from actcli.data.label_lint import Finding
from actcli.render.console import printable
from actcli.render.records import rounded, to_json

FINDING_SCHEMA: Final = "actcli.label_finding/1"
_SHOWN: Final = 10
_NAMED: Final = 3


def finding_lines(findings: Iterable[Finding], source: str) -> Iterator[str]:
    """One JSON record a finding."""
    for found in findings:
        yield to_json(
            {
                "schema": FINDING_SCHEMA,
                "kind": found.kind,
                "source": source,
                "lines": [entry.line for entry in found.entries],
                "labels": [entry.name for entry in found.entries],
                "message": found.message,
                "suggestion": found.suggestion,
                "value": rounded(found.value),
            }
        )


def print_findings(console: Console, findings: Sequence[Finding], source: str) -> None:
    """Kind by kind, one line a finding; of a kind the first ten, and how many more there are."""
    for kind, group in groupby(findings, key=lambda found: found.kind):
        of_kind = list(group)
        suggestions = {found.suggestion for found in of_kind}
        head = Text(kind, "bold yellow").append(f"  {len(of_kind)}", "dim")
        if len(suggestions) == 1:
            head.append(f"  {printable(of_kind[0].suggestion)}", "dim")
        console.print(head, soft_wrap=True)
        for found in of_kind[:_SHOWN]:
            _print_one(console, found, source, with_suggestion=len(suggestions) > 1)
        if len(of_kind) > _SHOWN:
            rest = f"  and {len(of_kind) - _SHOWN} more (--format jsonl names all)"
            console.print(rest, style="dim")


def _print_one(console: Console, found: Finding, source: str, *, with_suggestion: bool) -> None:
    names = " / ".join(f'"{printable(entry.name)}"' for entry in found.entries[:_NAMED])
    if len(found.entries) > _NAMED:
        names += f" and {len(found.entries) - _NAMED} more"
    places = ",".join(str(entry.line) for entry in found.entries[:_NAMED])
    line = Text(f"  {printable(source)}:{places}: ", "dim")
    line.append(names, "none").append(f"  {printable(found.message)}", "none")
    if with_suggestion:
        line.append(f"; {printable(found.suggestion)}", "dim")
    console.print(line, soft_wrap=True)
