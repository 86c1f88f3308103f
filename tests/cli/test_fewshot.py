"""`actcli fewshot` at the command line: what it writes where, and its exit codes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from actcli.demo.clips import write_clip
from tests.cli.conftest import Cli

LABELS = ("climb", "push-up")


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of three clips in support/, and a query clip of each beside it."""
    root = tmp_path_factory.mktemp("examples")
    for c, label in enumerate(LABELS):
        folder = root / "support" / label
        folder.mkdir(parents=True)
        for i in range(3):
            write_clip(folder / f"{i}.mp4", label, seed=2000 + 10 * c + i)
        write_clip(root / f"{label}.mp4", label, seed=2100 + c)
    return root


def queries(examples: Path) -> list[Path]:
    return [examples / f"{label}.mp4" for label in LABELS]


def test_records_go_to_stdout_and_what_the_examples_are_worth_to_stderr(
    cli: Cli, examples: Path
) -> None:
    done = cli("fewshot", *queries(examples), "--support", examples / "support")
    assert done.code == 0, done.err
    assert [(r["label"], r["method"], r["model"]) for r in done.records] == [
        (label, "clip", "demo") for label in LABELS
    ]
    assert "examples: 6 clips of 2 classes (3 each); clip, otam, words" in done.err
    assert "leave-one-out: " in done.err
    assert "too few examples to tell" in done.err


def test_quiet_says_nothing(cli: Cli, examples: Path) -> None:
    done = cli("fewshot", queries(examples)[0], "-s", examples / "support", "-q")
    assert (done.code, done.err, len(done.records)) == (0, "", 1)


def test_saved_classes_classify_the_same(cli: Cli, examples: Path, tmp_path: Path) -> None:
    file, clips = tmp_path / "moves.safetensors", queries(examples)
    one_step = cli("fewshot", *clips, "-s", examples / "support", "--save", file)
    assert f"saved: {file}" in one_step.err
    later = cli("classify", *clips, "--model", file)
    assert later.code == 0, later.err
    for one, other in zip(one_step.records, later.records, strict=True):
        assert one["top"] == other["top"]
        assert other["model"] == str(file)


def test_what_a_saved_file_decides_a_flag_may_change_and_no_default_does(
    cli: Cli, examples: Path, tmp_path: Path
) -> None:
    file, clip = tmp_path / "moves.safetensors", queries(examples)[0]
    cli("fewshot", "-s", examples / "support", "--save", file, "--frames", 5)
    frames = {
        flags: len(cli("classify", clip, "--model", file, *flags).records[0]["frames_s"])
        for flags in ((), ("--frames", "3"))
    }
    assert frames == {(): 5, ("--frames", "3"): 3}


def test_a_report_is_a_file_of_numbers(cli: Cli, examples: Path, tmp_path: Path) -> None:
    report = tmp_path / "worth.json"
    done = cli("fewshot", "-s", examples / "support", "--report", report, "--matcher", "mean")
    assert (done.code, done.out) == (0, "")
    record = json.loads(report.read_text())
    assert record["schema"] == "actcli.support/1"
    assert record["classes"] == {"climb": 3, "push-up": 3}
    told = record["leave_one_out"]
    assert told["tried"] == 6
    assert told["interval"][0] <= told["accuracy"] <= told["interval"][1]
    assert set(told["other_matchers"]) == {"otam", "bimhm", "diag"}
    assert record["run"]["config"]["matcher"] == "mean"


def test_classes_are_listed_added_and_dropped(cli: Cli, examples: Path, tmp_path: Path) -> None:
    file = tmp_path / "moves.safetensors"
    cli("fewshot", "-s", examples / "support", "--save", file)
    shutil.copytree(examples / "support/climb", tmp_path / "more/wall climb")
    done = cli(
        "fewshot", "--update", file, "-s", tmp_path / "more", "--drop", "climb", "--save", file
    )
    assert done.code == 0, done.err
    assert "dropped: climb" in done.err
    assert "added: wall climb" in done.err
    shown = cli("models", "show", file, "--format", "table")
    assert shown.code == 0, shown.err
    assert "  push-up (3)" in shown.out
    assert "  wall climb (3)" in shown.out
    assert re.search(r"^backbone +demo", shown.out, re.MULTILINE)
    record = json.loads(cli("models", "show", file).out)
    assert record["labels"] == ["push-up", "wall climb"]


def test_a_bad_example_is_exit_3_and_named(cli: Cli, examples: Path, tmp_path: Path) -> None:
    shutil.copytree(examples / "support", tmp_path / "s")
    (tmp_path / "s/climb/0.mp4").write_text("no video")
    done = cli("fewshot", queries(examples)[0], "-s", tmp_path / "s")
    assert done.code == 3
    assert f"left out: {tmp_path / 's/climb/0.mp4'}" in done.err
    assert "error: 1 example could not be used" in done.err
    assert len(done.records) == 1


def test_no_usable_example_is_exit_4(cli: Cli, examples: Path, tmp_path: Path) -> None:
    for label in LABELS:
        (tmp_path / "s" / label).mkdir(parents=True)
        (tmp_path / "s" / label / "0.mp4").write_text("no video")
    clip, file = queries(examples)[0], tmp_path / "f.safetensors"
    done = cli("fewshot", clip, "-s", tmp_path / "s", "--save", file)
    assert (done.code, done.out) == (4, "")
    assert "no example that can be read" in done.err
    assert not file.exists()


def test_a_bad_query_is_exit_3_in_its_place(cli: Cli, examples: Path, tmp_path: Path) -> None:
    done = cli("fewshot", tmp_path / "no.mp4", queries(examples)[0], "-s", examples / "support")
    assert done.code == 3
    assert [record["ok"] for record in done.records] == [False, True]


def test_a_run_is_continued_and_refused_under_other_examples(
    cli: Cli, examples: Path, tmp_path: Path
) -> None:
    out, clips = tmp_path / "p.jsonl", queries(examples)
    cli("fewshot", clips[0], "-s", examples / "support", "-o", out)
    again = cli("fewshot", *clips, "-s", examples / "support", "-o", out, "--skip-done")
    assert again.code == 0, again.err
    assert len(out.read_text().splitlines()) == 2
    shutil.copytree(examples / "support", tmp_path / "s")
    (tmp_path / "s/climb/0.mp4").unlink()
    other = cli("fewshot", *clips, "-s", tmp_path / "s", "-o", out, "--skip-done")
    assert other.code == 2
    assert "made under other conditions" in other.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["clip.mp4"], "--support: missing"),
        (["-s", "no"], "no"),
        (["-s", "{s}", "--save", "x.bin"], "must end in .safetensors"),
        (["-s", "{s}", "--save", "no/x.safetensors"], "does not exist"),
        (["-s", "{s}", "--report", "x.txt"], "must end in .json"),
        (["-s", "{s}", "--matcher", "dtw"], "--matcher"),
        (["-s", "{s}", "--text-weight", "1.5"], "--text-weight"),
        (["-s", "{s}", "--text-weight", "much"], "--text-weight"),
        (["-s", "{s}", "--append"], "--append: goes with --update"),
        (["-s", "{s}", "--drop", "climb"], "--drop: goes with --update"),
        (["-s", "{s}", "--compact"], "--compact: goes with --save"),
        (["-s", "{s}", "-o", "p.csv"], "no videos to write results of"),
        (["-s", "{s}", "--update", "x.safetensors", "--model", "demo"], "contradicts --model"),
        (["-s", "{s}", "--backbone", "demo"], "--backbone: is for checkpoints"),
        (["-s", "l.csv", "x.mp4", "-o", "l.csv"], "--output: would be written over"),
        (["-s", "{s}", "x.mp4", "-o", "x.csv", "--report", "x.run.json"], "run record of"),
        (["-s", "{s}", "x.safetensors", "--save", "./x.safetensors"], "over the file of VIDEO"),
        (["x.mp4", "--model", "x.safetensors"], "actcli classify clip.mp4 --model x.safetensors"),
    ],
)  # fmt: skip
def test_wrong_use_is_told_and_nothing_is_written(
    cli: Cli, examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    args: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = cli("fewshot", *(arg.replace("{s}", str(examples / "support")) for arg in args))
    assert done.code in (2, 4)
    assert said in done.err
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncated", "tampered", "newer"])
def test_a_damaged_file_is_refused_and_left_alone(
    cli: Cli, examples: Path, tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "moves.safetensors"
    cli("fewshot", "-s", examples / "support", "--save", file)
    content = file.read_bytes()
    changed = {
        "truncated": content[:-10],
        "tampered": content[:-1] + bytes([content[-1] ^ 1]),
        "newer": content.replace(b"actcli.checkpoint/1", b"actcli.checkpoint/2"),
    }[damage]
    file.write_bytes(changed)
    for command in (
        ("classify", queries(examples)[0], "--model", file),
        ("fewshot", "--update", file, "-s", examples / "support", "--save", file),
    ):
        done = cli(*command)
        assert (done.code, done.out) == (4, "")
        assert str(file) in done.err
        assert "Traceback" not in done.err
    assert file.read_bytes() == changed  # fmt: skip


def test_a_dry_run_lists_and_computes_nothing(cli: Cli, examples: Path) -> None:
    done = cli("fewshot", *queries(examples), "-s", examples / "support", "--dry-run")
    assert done.code == 0
    assert done.out.splitlines() == list(map(str, queries(examples)))
    assert "would classify 2 videos by 6 examples with demo" in done.err


def test_order_pairs_are_warned_of_where_the_matcher_is_blind(
    cli: Cli, examples: Path, tmp_path: Path
) -> None:
    for one, other in (("climb", "sit down"), ("push-up", "stand up")):
        shutil.copytree(examples / "support" / one, tmp_path / "s" / other)
    blind = cli("fewshot", "-s", tmp_path / "s", "--matcher", "mean")
    assert "differ only in the order of time, which --matcher mean can't see" in blind.err
    assert "order of time" not in cli("fewshot", "-s", tmp_path / "s").err
