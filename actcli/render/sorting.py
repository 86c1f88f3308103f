"""What became of sorted clips as text: records of predictions with their place, or lines."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from actcli.data.placing import SortedClip
from actcli.render.console import is_unicode, printable
from actcli.render.records import to_json, to_record
from actcli.types import Failure

_DONE: Final = {"copy": "copied", "link": "linked", "symlink": "linked", "move": "moved"}


def sorted_line(clip: SortedClip, action: str) -> str:
    """The record of the prediction, with `to`, `action`, `placed` and `problem`.

    placed: placed, already (its content was there), unsure (it stays) or failed
    """
    more: dict[str, Any] = {
        "to": clip.to,
        "action": action,
        "placed": clip.state,
        "problem": clip.problem,
    }
    return to_json(to_record(clip.result) | more)


def print_sorted(console: Console, clip: SortedClip, folder: str) -> None:
    """One line on a terminal: which clip, its label and score, where it is."""
    name, result = printable(clip.result.ref.id), clip.result
    arrow = "→" if is_unicode(console) else "->"
    if isinstance(result, Failure) or clip.state == "failed":
        line = Text(f"{name}: stays: {printable(clip.problem or '')}", style="red")
    elif clip.to is None:
        line = Text(f"{name}: stays: {printable(result.label)} {result.score:.2f}", style="dim")
    else:
        shown = os.path.join(folder, os.path.relpath(clip.to, os.path.realpath(folder)))
        line = Text(f"{name} {arrow} {printable(shown)} ").append(f"{result.score:.2f}", "dim")
        if clip.state == "already":
            line.append(" (was there)", "dim")
    console.print(line, soft_wrap=True)


def summary(states: Counter[str], action: str, *, min_score: float, dry_run: bool) -> str:
    """All in one line: "12 copied, 3 there already, 2 below 0.5 stay, 1 failed"."""
    done = f"would be {_DONE[action]}" if dry_run else _DONE[action]
    parts = [f"{states['placed']} {done}"]
    if states["already"]:
        stay = ", left where they are" if action == "move" else ""
        parts.append(f"{states['already']} there already{stay}")
    if states["unsure"]:
        parts.append(f"{states['unsure']} below {min_score:g} stay (--min-score, --unsure FOLDER)")
    if states["failed"]:
        parts.append(f"{states['failed']} failed and stay")
    return "; ".join(parts)
