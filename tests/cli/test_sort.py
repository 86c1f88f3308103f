"""`actcli sort`, from the shell's side."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import LABELS, Cli


@pytest.fixture
def clips(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `clips` of this folder: run, jump and wave, under names that say nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    for number, label in enumerate(LABELS.split(",")):
        shutil.copy(videos / f"{label}.mp4", tmp_path / f"clips/{number}.mp4")
    return tmp_path / "clips"


def tree(folder: Path) -> list[str]:
    """All files below a folder but the journal."""
    found = (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != "sorted.jsonl")


SORTED = ["jump/1.mp4", "run/0.mp4", "wave/2.mp4"]


def test_clips_are_copied_by_default_and_records_say_where(cli: Cli, clips: Path) -> None:
    done = cli("sort", "clips", "--labels", LABELS)
    assert (done.code, tree(Path("sorted"))) == (0, SORTED)
    assert len(tree(clips)) == 3
    first = done.records[0]
    assert (first["schema"], first["input"], first["label"]) == (
        "actcli.prediction/1", "clips/0.mp4", "run"
    )  # fmt: skip
    assert (first["to"], first["action"], first["placed"], first["problem"]) == (
        str(Path("sorted/run/0.mp4").resolve()), "copy", "placed", None
    )  # fmt: skip
    assert done.err.endswith("sorted: 3 copied\n")


def test_a_second_run_does_nothing(cli: Cli, clips: Path) -> None:
    cli("sort", "clips", "-l", LABELS)
    done = cli("sort", "clips", "-l", LABELS)
    assert {record["placed"] for record in done.records} == {"already"}
    assert tree(Path("sorted")) == SORTED


def test_a_dry_run_writes_nothing(cli: Cli, clips: Path) -> None:
    done = cli("sort", "clips", "-l", LABELS, "--dry-run", "--move")
    assert [Path(record["to"]).parent.name for record in done.records] == ["run", "jump", "wave"]
    assert done.err.endswith("sorted: 3 would be moved\n")
    assert not Path("sorted").exists()
    assert len(tree(clips)) == 3


def test_moved_clips_come_back(cli: Cli, clips: Path) -> None:
    assert cli("sort", "clips", "-l", LABELS, "--move").code == 0
    assert (tree(clips), tree(Path("sorted"))) == ([], SORTED)
    again = cli("sort", "clips", "-l", LABELS, "--move")
    assert (again.code, again.out) == (0, "")
    back = cli("sort", "--undo")
    assert (back.code, back.err) == (0, "sorted: 3 moved back\n")
    assert (len(tree(clips)), tree(Path("sorted"))) == (3, [])


def test_a_folder_is_sorted_into_itself(cli: Cli, clips: Path) -> None:
    assert cli("sort", "clips", "-l", LABELS, "--move", "--into", "clips").code == 0
    assert tree(clips) == SORTED
    assert cli("sort", "clips", "-l", LABELS, "--move", "--into", "clips").out == ""


def test_what_cannot_be_read_stays_and_is_exit_3(cli: Cli, clips: Path) -> None:
    (clips / "3.mp4").write_text("no video")
    done = cli("sort", "clips", "-l", LABELS, "--move")
    assert (done.code, tree(clips)) == (3, ["3.mp4"])
    assert "warning: clips/3.mp4: stays: not a video" in done.err
    assert done.records[-1]["placed"] == "failed"
    assert cli("sort", "clips", "-l", LABELS, "--move").code == 4


def test_clips_below_the_score_stay_or_go_where_they_are_told_to(cli: Cli, clips: Path) -> None:
    done = cli("sort", "clips", "-l", LABELS, "--min-score", "1")
    assert {record["placed"] for record in done.records} == {"unsure"}
    assert "3 below 1 stay" in done.err
    cli("sort", "clips", "-l", LABELS, "--min-score", "1", "--unsure", "look", "--symlink")
    assert all(path.is_symlink() for path in Path("sorted/look").iterdir())
    assert len(tree(Path("sorted"))) == 3


def test_a_terminal_gets_a_line_a_clip(cli: Cli, clips: Path) -> None:
    done = cli("sort", "clips", "-l", LABELS, "--format", "table", "--link")
    assert "clips/0.mp4 → sorted/run/0.mp4" in done.out
    assert Path("sorted/run/0.mp4").samefile(clips / "0.mp4")


def test_paths_on_stdin_are_sorted_each_once(cli: Cli, clips: Path) -> None:
    paths = b"clips/0.mp4\nclips/../clips/0.mp4\nclips/2.mp4\n"
    done = cli("sort", "-", "-l", LABELS, "--move", stdin=paths)
    assert (done.code, tree(Path("sorted"))) == (0, ["run/0.mp4", "wave/2.mp4"])


@pytest.mark.parametrize(
    "args",
    [
        ("-l", LABELS),
        ("clips",),
        ("clips", "-l", LABELS, "--copy", "--move"),
        ("clips", "--undo"),
        ("clips", "-l", LABELS, "--into", "clips/0.mp4"),
        ("clips", "-l", LABELS, "--unsure", "a/b"),
        ("clips", "-l", LABELS, "--min-score", "7"),
    ],
)
def test_what_contradicts_is_exit_2(cli: Cli, clips: Path, args: tuple[str, ...]) -> None:
    assert cli("sort", *args).code == 2
    assert len(tree(clips)) == 3


def test_undo_of_nothing_is_exit_4(cli: Cli, clips: Path) -> None:
    assert cli("sort", "--undo", "--into", "clips").code == 4


def test_no_clip_goes_through_a_folder_that_is_a_link(cli: Cli, clips: Path) -> None:
    (clips.parent / "elsewhere").mkdir()
    (clips.parent / "out").mkdir()
    (clips.parent / "out/run").symlink_to(clips.parent / "elsewhere")
    done = cli("sort", clips, "--labels", LABELS, "--into", "out")
    assert (done.code, tree(clips.parent / "elsewhere")) == (3, [])
    assert "is a link" in done.err
