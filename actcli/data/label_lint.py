"""What is wrong with labels, as far as their words alone tell: no model, no videos.

A label file is read more leniently here than by `LabelSet`, which refuses what this reports.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from actcli.data.near_names import (
    contained_names,
    near_names,
)
from actcli.data.opposites import order_pairs, state_pairs
from actcli.data.prompts import TEMPLATE_SETS, fill
from actcli.wording import clean_label, same_label_key

KINDS: Final = (
    "duplicate", "same-prompt", "near-duplicate", "same-meaning", "opposites", "states", "negation",
    "overlap", "one-line", "numbered", "no-words", "script", "joined-words", "template",
    "long-prompt", "unknown-words", "never-liked", "wins-everything",
)  # fmt: skip
"""Every kind of finding, in the order in which they are told."""

_MEDIUM = r"(?:video|photo|clip|footage|picture|recording|image|film)s?(?: clip)?"
_TWO_MEDIA = re.compile(
    rf"\b{_MEDIUM} (?:of|showing) (?:an? |the )?{_MEDIUM} (?:of|showing)\b", re.I
)
_REPEATED = re.compile(r"\b((?:\w+ ){2,})\1", re.I)
_NUMBERED = re.compile(r"\d+\s*[\s.,:;)]\s*(?=\D)(\S.*)")
_ID = re.compile(r"(class|label|action|category|cls|id|[a-z])?[ _.#-]*\d+", re.I)
_NEGATED = re.compile(
    r"\b(not|no|never|without|cannot|pretending|pretend|failing|almost|nothing)\b|n't\b", re.I
)
_MANY_COMMAS: Final = 3


@dataclass(frozen=True, slots=True)
class LabelEntry:
    """A label as it stands in its file."""

    name: str
    line: int
    """From 1; of `--labels`, the number of the label."""
    prompts: tuple[str, ...] = ()
    """Its own; where there are none, templates apply."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a label, or two labels together, should be looked at for."""

    kind: str
    """One of KINDS."""
    entries: tuple[LabelEntry, ...]
    message: str
    suggestion: str
    value: float | None = None
    """What was measured, where something was."""


def read_entries(lines: Iterable[str]) -> list[LabelEntry]:
    """Labels of a file, also those that are there twice; prompts of one label come together."""
    entries: list[LabelEntry] = []
    places: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        name, *own = (" ".join(cell.split()) for cell in line.split("\t"))
        if not name or name == "#" or name.startswith("# "):
            continue
        prompts = tuple(prompt for prompt in own if prompt)
        earlier = places.get(name)
        if prompts and earlier is not None and entries[earlier].prompts:
            found = entries[earlier]
            entries[earlier] = LabelEntry(name, found.line, found.prompts + prompts)
            continue
        places.setdefault(name, len(entries))
        entries.append(LabelEntry(name, number, prompts))
    return entries


def split_entries(text: str) -> list[LabelEntry]:
    """Labels of "run,jump,sit down"; one with a comma is in double quotes."""
    cells = [cell for row in csv.reader(io.StringIO(text), skipinitialspace=True) for cell in row]
    names = [" ".join(cell.split()) for cell in cells]
    return [LabelEntry(name, number) for number, name in enumerate(filter(None, names), start=1)]


def lint_words(entries: Sequence[LabelEntry], templates: Sequence[str]) -> list[Finding]:
    """All findings that the words of labels give, in the order of KINDS and of the file."""
    found = [*_lint_lists(entries), *_lint_pairs(entries)]
    for entry in entries:
        found += _lint_one(entry, templates)
    return in_order(found)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by kind, then by line."""
    return sorted(findings, key=lambda f: (KINDS.index(f.kind), f.entries[0].line))


def _lint_lists(entries: Sequence[LabelEntry]) -> Iterator[Finding]:
    groups: dict[str, list[LabelEntry]] = {}
    for entry in entries:
        groups.setdefault(same_label_key(entry.name), []).append(entry)
    for group in groups.values():
        if len(group) > 1:
            yield Finding("duplicate", tuple(group), "the same label twice", "keep one of each")
    by_prompt: dict[str, list[LabelEntry]] = {}
    for entry in entries:
        for prompt in entry.prompts:
            by_prompt.setdefault(prompt.casefold(), []).append(entry)
    for prompt, group in by_prompt.items():
        if len({entry.name for entry in group}) > 1:
            message = (
                f'have the same prompt "{prompt}", so their scores are equal as far as it goes'
            )
            yield Finding(
                "same-prompt", tuple(group), message, "write a prompt of its own for each"
            )
    numbered = [entry for entry in entries if _NUMBERED.fullmatch(entry.name)]
    if len(numbered) >= max(2, len(entries) * 2 // 3):
        match = _NUMBERED.fullmatch(numbered[0].name)
        assert match is not None
        yield Finding(
            "numbered", tuple(numbered),
            f"{len(numbered)} of {len(entries)} labels begin with a number, read as a word",
            f'leave numbers out: "{match[1]}"',
        )  # fmt: skip


def _lint_pairs(entries: Sequence[LabelEntry]) -> Iterator[Finding]:
    first: dict[str, LabelEntry] = {}
    for entry in entries:
        first.setdefault(same_label_key(entry.name), entry)
    by_name = {entry.name: entry for entry in first.values()}
    names = list(by_name)

    def pair(one: str, other: str) -> tuple[LabelEntry, LabelEntry]:
        return by_name[one], by_name[other]

    told: set[frozenset[str]] = set()
    for one, other in order_pairs(names):
        told.add(frozenset((one, other)))
        yield Finding(
            "opposites", pair(one, other),
            "differ in direction or state, which frame averaging can't see",
            "give examples (actcli fewshot) or train (actcli finetune); or make them one label",
        )  # fmt: skip
    for one, other in state_pairs(names):
        if frozenset((one, other)) in told:
            continue
        told.add(frozenset((one, other)))
        yield Finding(
            "states", pair(one, other),
            "differ in one word of state, manner or number, which zero-shot scores hardly tell",
            "give examples (actcli fewshot), or write prompts that say what is seen",
        )  # fmt: skip
    for one, other, why in near_names(names):
        if frozenset((one, other)) in told:
            continue
        told.add(frozenset((one, other)))
        yield Finding(
            "near-duplicate", pair(one, other), f"differ only in {why}", "keep one, or say more"
        )
    for one, other in contained_names(names):
        if frozenset((one, other)) not in told:
            yield Finding(
                "overlap", pair(one, other), "the longer one has all words of the shorter",
                "say of the shorter one what it is besides, or leave it out",
            )  # fmt: skip


def _lint_one(entry: LabelEntry, templates: Sequence[str]) -> Iterator[Finding]:
    name, words = entry.name, clean_label(entry.name)
    letters = [char for char in name if char.isalpha()]
    if name.count(",") >= _MANY_COMMAS and not entry.prompts:
        yield Finding(
            "one-line", (entry,), f"one label with {name.count(',')} commas",
            "one label a line; or --labels with the commas",
        )  # fmt: skip
    if not letters or (len(letters) == 1 and len(words) <= 2) or _ID.fullmatch(name):
        yield Finding(
            "no-words", (entry,), "no words that say what happens", "name the action in words"
        )
        return
    if not entry.prompts:
        if any(not unicodedata.name(char, "").startswith("LATIN") for char in letters):
            yield Finding(
                "script", (entry,), "not in Latin letters, which most text towers read only",
                "use English words, or a model that was trained on this language",
            )  # fmt: skip
        if words != name and words.casefold() != name.casefold():
            yield Finding(
                "joined-words",
                (entry,),
                f'is read as "{words}"',
                f'write "{words}" if that is right',
            )
    yield from _lint_template(entry, templates)
    if negated := _NEGATED.search(name):
        yield Finding(
            "negation", (entry,), f'"{negated[0]}" is hardly heeded: it scores as without it',
            "say what is seen instead; or give examples (actcli fewshot)",
        )  # fmt: skip


def _lint_template(entry: LabelEntry, templates: Sequence[str]) -> Iterator[Finding]:
    prompts = [fill(prompt, entry.name) for prompt in entry.prompts or templates]
    for prompt in prompts:
        if _TWO_MEDIA.search(prompt) or _REPEATED.search(prompt):
            bare = _without_template(entry.name)
            yield Finding(
                "template", (entry,), f'says it twice: "{prompt}"',
                f'write "{bare}": the template says the rest' if bare else "say it once",
            )  # fmt: skip
            return


def _without_template(name: str) -> str | None:
    """The label without what a template would say before it; None if it begins otherwise."""
    starts = {t.partition("{}")[0].strip() for group in TEMPLATE_SETS.values() for t in group}
    for start in sorted(filter(None, starts), key=len, reverse=True):
        if name.casefold().startswith(f"{start.casefold()} "):
            return name[len(start) + 1 :]
    return None
