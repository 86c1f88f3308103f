"""Findings of lint, and sorted clips, as text."""

from __future__ import annotations

import io
import json
from collections import Counter

from rich.console import Console

from actcli.data.label_lint import Finding, LabelEntry
from actcli.data.placing import SortedClip
from actcli.errors import VideoError
from actcli.render.console import make_console
from actcli.render.labels import finding_lines, print_findings
from actcli.render.sorting import print_sorted, sorted_line, summary
from actcli.types import Failure, VideoRef


def console() -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return make_console(stream), stream


def findings(count: int) -> list[Finding]:
    return [
        Finding("no-words", (LabelEntry(f"{i}\x1b", i),), "no words", "name it", 0.1234567)
        for i in range(1, count + 1)
    ]


def test_of_many_findings_of_a_kind_the_first_ten_are_shown_with_a_count() -> None:
    to, stream = console()
    print_findings(to, findings(12), "labels.txt")
    lines = stream.getvalue().splitlines()
    assert lines[0].split() == ["no-words", "12", "name", "it"]
    assert lines[1].strip() == 'labels.txt:1: "1\\x1b"  no words'
    assert lines[-1].strip() == "and 2 more (--format jsonl names all)"
    assert len(lines) == 12


def test_a_finding_is_one_record() -> None:
    [line] = finding_lines(findings(1), "labels.txt")
    record = json.loads(line)
    assert (record["labels"], record["lines"], record["value"]) == (["1\x1b"], [1], 0.123457)


def test_a_clip_that_stays_says_why() -> None:
    failure = Failure(VideoRef("a\x1b.mp4"), VideoError("not_video", "not a video"))
    clip = SortedClip(failure, None, "failed", "not a video")
    to, stream = console()
    print_sorted(to, clip, "out")
    assert stream.getvalue() == "a\\x1b.mp4: stays: not a video\n"
    record = json.loads(sorted_line(clip, "move"))
    assert (record["ok"], record["to"], record["placed"]) == (False, None, "failed")


def test_the_summary_counts_everything_that_happened() -> None:
    states = Counter({"placed": 2, "already": 1, "unsure": 3, "failed": 4})
    assert summary(states, "move", min_score=0.5, dry_run=False) == (
        "2 moved; 1 there already, left where they are; "
        "3 below 0.5 stay (--min-score, --unsure FOLDER); 4 failed and stay"
    )
    assert summary(Counter(), "copy", min_score=0.5, dry_run=True) == "0 would be copied"
