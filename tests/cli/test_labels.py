"""`actcli labels lint`, from the shell's side."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.txt"
    path.write_text("walk left\nwalk right\nPlayingGuitar\n")
    return path


def test_lint_writes_a_record_a_finding_and_exits_with_0(cli: Cli, bad: Path) -> None:
    done = cli("labels", "lint", bad)
    assert done.code == 0
    first, *others = done.records
    assert first == {
        "schema": "actcli.label_finding/1", "kind": "opposites", "source": str(bad),
        "lines": [1, 2], "labels": ["walk left", "walk right"], "message": first["message"],
        "suggestion": first["suggestion"], "value": None,
    }  # fmt: skip
    assert [record["kind"] for record in others] == ["joined-words", "unknown-words"]
    assert done.err == f"{bad}: 3 labels, 3 findings\n"


def test_strict_makes_findings_a_missed_gate(cli: Cli, bad: Path) -> None:
    done = cli("labels", "lint", bad, "--strict", "-q")
    assert done.code == 5
    assert done.err == f"error: {bad}: 3 findings in 3 labels (--strict)\n"
    assert cli("labels", "lint", "--labels", "run,jump", "--strict").code == 0


def test_lint_prints_a_table_by_kind(cli: Cli, bad: Path) -> None:
    out = cli("labels", "lint", bad, "--format", "table").out
    assert f'{bad}:1,2: "walk left" / "walk right"' in " ".join(out.split())


def test_a_bundled_list_and_stdin_can_be_linted(cli: Cli) -> None:
    kinds = {record["kind"] for record in cli("labels", "lint", "hmdb51").records}
    assert kinds == {"overlap", "same-meaning", "unknown-words"}
    done = cli("labels", "lint", "-", stdin=b"run\nRUN\n")
    assert [record["kind"] for record in done.records] == ["duplicate"]


def test_a_sample_tells_labels_that_no_clip_likes(cli: Cli, videos: Path) -> None:
    done = cli("labels", "lint", "--labels", "run,jump,wave", "--sample", videos)
    assert (done.code, done.out) == (0, "")


@pytest.mark.parametrize("args", [(), ("hmdb51", "-l", "run"), ("hmdb51", "--similar", "2")])
def test_lint_refuses_what_contradicts(cli: Cli, args: tuple[str, ...]) -> None:
    assert cli("labels", "lint", *args).code == 2


def test_a_label_file_that_is_not_there_is_exit_2(cli: Cli) -> None:
    assert cli("labels", "lint", "gone.txt").code == 2
