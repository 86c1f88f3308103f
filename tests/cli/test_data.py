"""`actcli data`: lists checked and converted, from the shell's side."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def examples(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `examples` of labelled clips: two of run, one of sit down, in this folder."""
    monkeypatch.chdir(tmp_path)
    for name, place in (("run", "run/1"), ("wave", "run/2"), ("jump", "sit down/1")):
        target = tmp_path / "examples" / f"{place}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(videos / f"{name}.mp4", target)
    return tmp_path / "examples"


def test_check_counts_each_label_and_all(cli: Cli, examples: Path) -> None:
    done = cli("data", "check", "examples")
    assert (done.code, done.err) == (0, "")
    run, sit, total = done.records
    assert run == {
        "schema": "actcli.data_check/1", "scope": "label", "label": "run", "videos": 2,
        "found": 2, "missing": 0, "unreadable": 0, "decoded": True,
    }  # fmt: skip
    assert (sit["label"], sit["found"]) == ("sit down", 1)
    assert (total["scope"], total["label"], total["videos"], total["labels"]) == (
        "total", None, 3, 2
    )  # fmt: skip
    assert total["largest"] == {"label": "run", "found": 2}
    assert (total["imbalance"], total["with_one_video"]) == (2.0, ["sit down"])
    assert (total["list"], total["dialect"]) == ("examples", "folder")


def test_check_names_what_is_missing_and_what_is_unreadable(cli: Cli, examples: Path) -> None:
    (examples / "run/2.mp4").write_text("no video")
    (examples / "list.csv").write_text(
        "path,label\nrun/1.mp4,run\nrun/2.mp4,run\ngone.mp4,wave\nsit down/1.mp4,sit\n"
    )
    done = cli("data", "check", "examples/list.csv")
    assert done.code == 3
    counts = {r["label"]: (r["found"], r["missing"], r["unreadable"]) for r in done.records}
    assert counts == {"run": (1, 0, 1), "wave": (0, 1, 0), "sit": (1, 0, 0), None: (2, 1, 1)}
    assert "warning: examples/run/2.mp4: not a video" in done.err
    assert "warning: examples/gone.mp4: no such file\n" in done.err
    assert done.err.endswith("error: examples/list.csv: 2 of 4 videos can't be used\n")
    assert done.records[-1]["with_none"] == ["wave"]
    assert done.records[-1]["imbalance"] is None


def test_check_without_decoding_sees_files_only(cli: Cli, examples: Path) -> None:
    (examples / "run/2.mp4").write_text("no video")
    done = cli("data", "check", "examples", "--no-decode")
    assert done.code == 0
    assert {record["decoded"] for record in done.records} == {False}


def test_nothing_usable_is_exit_4_and_long_lists_are_cut(cli: Cli, examples: Path) -> None:
    rows = "".join(f"{number}.mp4\trun\n" for number in range(30))
    (examples / "list.txt").write_text(rows)
    done = cli("data", "check", "examples/list.txt")
    assert done.code == 4
    assert done.err.count("no such file") == 20
    assert "warning: and 10 more (-v names all)" in done.err
    assert "none of the 30 videos can be used" in done.err
    assert done.records[-1]["missing"] == 30
    assert cli("data", "check", "examples/list.txt", "-v").err.count("no such file") == 30
    quiet = cli("data", "check", "examples/list.txt", "-q")
    assert quiet.err.startswith("error: ")


def test_check_as_a_table(cli: Cli, examples: Path) -> None:
    (examples / "wave").mkdir()
    (examples / "sit down/2.mp4").write_text("no video")
    done = cli("data", "check", "examples", "-f", "table", "-q")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["label", "found", "missing", "unreadable"]
    assert lines[1:4] == [
        ["run", "2", "0", "0"], ["sit", "down", "1", "0", "1"], ["2", "labels", "3", "0", "1"]
    ]  # fmt: skip
    assert "largest label 2 (run), smallest 1 (sit down): 2 to 1" in done.out
    assert 'labels with one video: "sit down"' in done.out
    assert 'labels with none: "wave"' in done.out


def test_check_of_even_labels_says_nothing_about_them(cli: Cli, examples: Path) -> None:
    (examples / "run/2.mp4").rename(examples / "sit down/2.mp4")
    (examples / "sit down/3.mp4").write_bytes((examples / "run/1.mp4").read_bytes())
    (examples / "sit down/3.mp4").rename(examples / "run/3.mp4")
    done = cli("data", "check", "examples", "-f", "table")
    assert done.out.splitlines()[-1].split() == ["2", "labels", "4", "0", "0"]


def test_root_split_and_names_are_those_of_the_list(cli: Cli, examples: Path) -> None:
    Path("trainlist01.txt").write_text("run/1.mp4 1\n")
    Path("list.txt").write_text("run/1.mp4 1\n")
    Path("names.txt").write_text("sit down\nrun\n")
    refused = cli("data", "check", "list.txt", "--root", "examples")
    assert refused.code == 4
    assert "hint: --labels-file FILE" in refused.err
    done = cli("data", "check", "list.txt", "--root", "examples", "-L", "names.txt")
    assert [record["label"] for record in done.records] == ["run", None]
    assert cli("data", "check", "list.txt", "-L", "names.txt", "--split", "val").code == 2
    assert len(cli("data", "check", "examples", "--glob", "1.*").records) == 3


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["check", "nowhere"], 4, "nowhere: no such list or folder"),
        (["check", "examples", "-f", "csv"], 2, "--format: unknown format"),
        (["check", "examples", "--frames", "0"], 2, "--frames"),
        (["convert", "examples", "-o", "-"], 2, "hint: --to csv"),
        (["convert", "examples", "-o", "x.csv", "--to", "xml"], 2, '--to: "xml" is unknown'),
        (["convert", "nowhere", "-o", "x.csv"], 4, "no such list"),
        (["check"], 2, "LIST"),
        (["convert", "examples"], 2, "--output"),
    ],
)
def test_wrong_use_is_told(cli: Cli, examples: Path, args: list[str], code: int, said: str) -> None:
    done = cli("data", *args)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_convert_writes_a_list_that_is_the_same(cli: Cli, examples: Path) -> None:
    done = cli("data", "convert", "examples", "-o", "examples/list.csv")
    assert (done.code, done.out) == (0, "")
    assert done.err == "3 videos of 2 labels in examples/list.csv\n"
    text = Path("examples/list.csv").read_text()
    assert text == "path,label\nrun/1.mp4,run\nrun/2.mp4,run\nsit down/1.mp4,sit down\n"
    assert cli("data", "convert", "examples/list.csv", "-o", "a.jsonl", "-q").err == ""
    assert json.loads(Path("a.jsonl").read_text().splitlines()[0]) == {
        "path": "examples/run/1.mp4", "label": "run"
    }  # fmt: skip
    assert cli("data", "convert", "a.jsonl", "-o", "examples/b.csv").code == 0
    assert Path("examples/b.csv").read_text() == text
    assert [r["found"] for r in cli("data", "check", "a.jsonl").records] == [2, 1, 3]


def test_convert_to_stdout_is_seen_from_here(cli: Cli, examples: Path) -> None:
    done = cli("data", "convert", "examples", "-o", "-", "--to", "txt", "--glob", "1.*")
    assert (done.code, done.err) == (0, "")
    assert done.out == "examples/run/1.mp4\trun\nexamples/sit down/1.mp4\tsit down\n"


def test_convert_replaces_a_file_only_by_force(cli: Cli, examples: Path) -> None:
    Path("a.csv").write_text("precious")
    refused = cli("data", "convert", "examples", "-o", "a.csv")
    assert refused.code == 2
    assert "hint: --force" in refused.err
    assert Path("a.csv").read_text() == "precious"
    assert cli("data", "convert", "examples", "-o", "a.csv", "--force").code == 0
    assert Path("a.csv").read_text().startswith("path,label\n")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_a_check_orderly(videos: Path, tmp_path: Path) -> None:
    rows = (f"{videos}/run.mp4,run,{number / 1e4}\n" for number in range(3000))
    (tmp_path / "list.csv").write_text("path,label,start\n" + "".join(rows))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "actcli", "data", "check", tmp_path / "list.csv", "--workers", "1"],
        text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")


@pytest.mark.parametrize("args", [["data"], ["data", "check"], ["data", "convert"]])
def test_help_begins_with_examples_and_states_the_exit_codes(cli: Cli, args: list[str]) -> None:
    done = cli(*args, "--help")
    assert done.code == 0
    assert done.out.split("Usage:")[1].splitlines()[3].strip().startswith("actcli data ")
    assert "3 finished" in " ".join(done.out.split())


def test_the_shell_completes_formats() -> None:
    env = os.environ | {
        "_ACTCLI_COMPLETE": "complete_bash",
        "COMP_WORDS": "actcli data convert list.csv --to j",
        "COMP_CWORD": "5",
    }
    words = [sys.executable, "-c", "from actcli.cli import main; main()"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["jsonl"]
