"""A checked list as a table and as records."""

import io
import json

from actcli.data.manifest import Manifest
from actcli.data.tally import Tally
from actcli.render.console import make_console
from actcli.render.data import check_lines, print_check
from actcli.types import VideoRef

ODD = "a\x1b[2J"
REFS = tuple(VideoRef(f"{label}.mp4", label=label) for label in ("run", "run", ODD))
MANIFEST = Manifest("list.csv", "csv", REFS, ("run", ODD), ("train",), ("train",) * 3, ("x",))


def checked(*failures):
    tally = Tally(MANIFEST.labels)
    for ref, failure in zip(REFS, failures, strict=True):
        tally.add(ref.label, failure)
    return tally


def printed(tally):
    stream = io.StringIO()
    print_check(make_console(stream), MANIFEST, tally)
    return stream.getvalue()


def test_labels_can_not_command_the_terminal():
    text = printed(checked(None, "truncated", None))
    assert "\x1b[2J" not in text
    assert r"a\x1b[2J" in text


def test_a_table_ends_with_the_sum_and_what_is_uneven():
    lines = printed(checked(None, None, None)).splitlines()
    assert lines[3].split() == ["2", "labels", "3", "0", "0"]
    assert lines[4].startswith("largest label 2 (run), smallest 1 (a")
    assert lines[6] == 'labels with none: "x"'


def test_records_are_whole_when_nothing_was_found():
    tally = checked("not_found", "not_found", "timeout")
    records = [json.loads(line) for line in check_lines(MANIFEST, tally, decoded=False)]
    assert [record["scope"] for record in records] == ["label", "label", "total"]
    total = records[-1]
    assert (total["found"], total["missing"], total["unreadable"]) == (0, 2, 1)
    assert total["imbalance"] is None
    assert total["with_none"] == ["run", ODD, "x"]
    assert (total["decoded"], total["splits"], total["list"]) == (False, ["train"], "list.csv")
