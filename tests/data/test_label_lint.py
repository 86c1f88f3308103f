"""Labels looked at by their words alone."""

from __future__ import annotations

import pytest

from actcli.data.label_lint import KINDS, Finding, lint_words, read_entries, split_entries
from actcli.data.labels import LabelSet, bundled_lists
from actcli.data.near_names import contained_names, is_slip, near_names
from actcli.data.opposites import state_pairs


def lint(*lines: str, template: str = "a video of {}") -> list[Finding]:
    return lint_words(read_entries(lines), (template,))


def told(*lines: str) -> dict[str, list[tuple[str, ...]]]:
    """Labels of the findings by kind."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for one in lint(*lines):
        found.setdefault(one.kind, []).append(tuple(entry.name for entry in one.entries))
    return found


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (("Playing Guitar", "playing  guitar"), "duplicate"),
        (("run", "Running"), "near-duplicate"),
        (("T-shirt folding", "T shirt folding"), "near-duplicate"),
        (("guitar playing", "playing the guitar"), "near-duplicate"),
        (("sit down", "stand up"), "opposites"),
        (("open door", "closed door"), "opposites"),
        (("full cup", "empty cup"), "states"),
        (("drinking", "drinking beer"), "overlap"),
        (("petting animal (not cat)",), "negation"),
        (("pretending to throw",), "negation"),
        (("run,jump,wave,clap",), "one-line"),
        (("0 run", "1 jump", "2 wave"), "numbered"),
        (("17",), "no-words"),
        (("class_3",), "no-words"),
        (("跑步",), "script"),
        (("ApplyEyeMakeup",), "joined-words"),
        (("brush_hair",), "joined-words"),
        (("a video of running",), "template"),
        (("run\ta photo of a video of a run",), "template"),
        (("sprint\ta person runs", "jog\tA person runs"), "same-prompt"),
    ],
)
def test_each_kind_of_trouble_is_told(lines: tuple[str, ...], kind: str) -> None:
    assert list(told(*lines)) == [kind]


@pytest.mark.parametrize(
    "lines",
    [
        ("run", "jump", "sit down"),
        ("making tea", "making a cake"),
        ("testing", "tasting beer"),
        ("showing a photo of something to the camera",),
        ("pushing something, something and something",),
        ("push up", "pull up"),
        ("100 metre race",),
        ("café dancing",),
    ],
)
def test_what_is_right_is_not_told(lines: tuple[str, ...]) -> None:
    assert told(*lines) == {}


def test_findings_name_lines_labels_and_what_to_do() -> None:
    found = lint("# names", "", "run", "jump", "RUN")
    assert [(f.kind, [e.line for e in f.entries]) for f in found] == [("duplicate", [3, 5])]
    assert found[0].suggestion


def test_a_pair_is_told_once_by_what_is_worst_about_it() -> None:
    assert list(told("open door", "opened doors", "close door")) == ["near-duplicate", "opposites"]


def test_words_read_otherwise_are_shown_as_they_are_read() -> None:
    assert 'is read as "apply eye makeup"' in lint("ApplyEyeMakeup")[0].message


def test_own_prompts_of_one_label_come_together() -> None:
    entries = read_entries(["run\ta", "run\tb", "jump", "jump"])
    assert [(e.name, e.line, e.prompts) for e in entries] == [
        ("run", 1, ("a", "b")), ("jump", 3, ()), ("jump", 4, ())
    ]  # fmt: skip


def test_labels_between_commas_are_numbered() -> None:
    entries = split_entries('run, "jump, then land"')
    assert [(entry.name, entry.line) for entry in entries] == [("run", 1), ("jump, then land", 2)]


@pytest.mark.parametrize("name", bundled_lists())
def test_bundled_lists_hold_no_near_duplicates_and_no_opposites(name: str) -> None:
    entries = read_entries(LabelSet.bundled(name).names)
    kinds = {found.kind for found in lint_words(entries, ("a video of {}",))}
    assert kinds <= {"overlap", "negation"}
    assert kinds <= set(KINDS)


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("guitar", "giutar", True),
        ("guitar", "gutar", True),
        ("guitar", "guitar", False),
        ("guitar", "guitarra", False),
        ("boxing", "boring", True),
        ("walk", "klaw", False),
    ],
)
def test_a_slip_is_one_letter(one: str, other: str, is_one: bool) -> None:
    assert is_slip(one, other) == is_slip(other, one) == is_one


def test_near_names_say_in_what_they_differ() -> None:
    found = near_names(["play guitar", "playing giutar", "guitar play", "x-ray", "xray"])
    assert found == [
        ("play guitar", "playing giutar", "one letter"),
        ("play guitar", "guitar play", "the order of words"),
        ("x-ray", "xray", "capitals, joining or punctuation"),
    ]


def test_contained_names_keep_the_order_of_words() -> None:
    assert contained_names(["arm", "left arm", "charm", "arm left"]) == [
        ("arm", "left arm"), ("arm", "arm left")
    ]  # fmt: skip


def test_states_are_no_directions() -> None:
    assert state_pairs(["clap with one hand", "clap with two hands", "run", "walk"]) == [
        ("clap with one hand", "clap with two hands")
    ]
