"""`actcli eval` at the command line: what it prints, its exit codes, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.eval import miniature


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> miniature.Pool:
    return miniature.draw_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture
def data(tmp_path: Path, pool: miniature.Pool) -> Path:
    """Six clips of three classes in folders, and one that is no video."""
    for action in ("jump", "run", "wave"):
        for i in (0, 1):
            pool.put(action, i, tmp_path / "data" / action / f"{i}.mp4")
    return tmp_path / "data"


def test_a_table_says_what_the_number_depends_on(cli: Cli, data: Path) -> None:
    done = cli("eval", data, "-f", "table")
    assert done.code == 0, done.err
    for expected in ("custom/1", "top-1", "mean class", "ECE", "6 of 6 clips", "demo (",
                     '"a video of {}"', "8 frames, 1x1 views, fp32", "lists: "):  # fmt: skip
        assert expected in done.out
    assert "top-5" not in done.out  # of three labels it says nothing


def test_a_table_fits_a_narrow_terminal(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = cli("eval", data, "-f", "table")
    numbers = [line for line in done.out.splitlines() if "top-1" in line or "ECE" in line]
    assert len(numbers) == 2
    assert all(len(line) <= 40 for line in numbers)


def test_the_record_on_stdout_and_in_the_file_are_one(cli: Cli, data: Path, tmp_path: Path) -> None:
    done = cli("eval", data, "-o", tmp_path / "a.json", "-f", "json")
    (record,) = done.records
    assert record == json.loads((tmp_path / "a.json").read_text())
    assert record["schema"] == "actcli.eval/1"
    assert record["coverage"] == {"expected": 6, "used": 6, "share": 1.0, "failures": []}
    (part,) = record["parts"]
    assert [clip[1] for clip in part["clips"]] == ["jump", "jump", "run", "run", "wave", "wave"]
    assert sum(clip[1] == clip[2] for clip in part["clips"]) == part["top1"]["count"]
    assert cli("eval", data, "-o", tmp_path / "b.json").out == ""


def test_unreadable_clips_are_named_and_refused_or_allowed(cli: Cli, data: Path) -> None:
    (data / "run/bad.mp4").write_bytes(b"\0" * 4000)
    done = cli("eval", data, "-f", "table")
    assert done.code == 4
    assert "6 of 7 clips can be used (85.7%, expected 99%)" in done.err
    assert done.out == ""  # no number without coverage
    some = cli("eval", data, "-f", "table", "--min-coverage", "0.8")
    assert (some.code, "6 of 7 clips" in some.out) == (3, True)
    allowed = cli("eval", data, "-f", "table", "--allow-missing")
    assert allowed.code == 0
    assert "6 of 7 clips: the others are missing or unreadable" in allowed.out


def test_gates_decide_the_exit_code(cli: Cli, data: Path) -> None:
    assert cli("eval", data, "--min-top1", "0.5", "-q").code == 0
    done = cli("eval", data, "--max-ece", "0", "-q")
    assert done.code == 5
    assert "missed: ece" in done.err
    assert len(done.records) == 1  # the number is given all the same
    assert cli("eval", data, "--min-top5", "0.5").code == 2
    assert cli("eval", data, "--min-top1", "1.5").code == 2
    assert cli("eval", data, "--min-top1", "nan").code == 2
    assert cli("eval", data, "--max-ece", "nan").code == 2


def test_predictions_of_classify_are_scored_without_a_model(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    file = tmp_path / "preds.jsonl"
    assert cli("classify", data, "--labels", "jump,run,wave", "-o", file).code == 0
    scored = cli("eval", file, "--truth", data, "-f", "json")
    measured = cli("eval", data, "-f", "json")
    parts = [record["parts"][0] for done in (scored, measured) for record in done.records]
    assert parts[0]["top1"] == parts[1]["top1"]
    # The file's scores are rounded by up to 5e-7, and each of the two errors by as much again.
    assert parts[0]["ece"] == pytest.approx(parts[1]["ece"], abs=1.5e-6)
    assert scored.records[0]["conditions"]["model"] == "demo"
    assert cli("eval", file, "--truth", data, "--model", "demo").code == 2
    assert cli("eval", data, "--multi-label").code == 2


def test_two_results_are_compared(cli: Cli, data: Path, tmp_path: Path) -> None:
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    assert cli("eval", data, "-o", a).code == 0
    assert cli("eval", data, "-o", b, "-t", "{} it is").code == 0
    table = cli("eval", "compare", a, b, "-f", "table")
    assert table.code == 0, table.err
    assert 'templates: ["a video of {}"] -> ["{} it is"]' in table.out
    assert "on the same 6 clips" in table.out
    (record,) = cli("eval", "compare", a, b).records
    assert record["schema"] == "actcli.eval_comparison/1"
    assert cli("eval", "compare", a).code == 2
    assert cli("eval", "compare", a, tmp_path / "no.json").code == 4


def test_episodes_are_told_with_their_interval(cli: Cli, data: Path) -> None:
    done = cli("eval", data, "-p", "few-shot", "--way", 2, "--episodes", 50, "-f", "table")
    assert done.code == 0, done.err
    assert "2-way 1-shot, " in done.out
    assert " different episodes" in done.out
    (record,) = cli("eval", data, "-p", "few-shot", "--way", 2, "--episodes", 50).records
    assert len(record["episodes"]["shares"]) == 50
    many = cli("eval", data, "-p", "few-shot", "--shot", 5, "--way", 2)
    assert many.code == 2
    assert "too few clips" in many.err


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["ucf101"], 2, "actcli eval ucf101 --root FOLDER"),
        (["ucf102"], 4, "did you mean"),
        (["ucf101", "--root", "/nowhere"], 4, "no such folder"),
        (["DATA", "--views", "4x5"], 2, "--views: not clips x crops"),
        (["DATA", "--shots", "a"], 2, "--shots: not numbers"),
        (["DATA", "--practice", "best"], 2, "--practice"),
        (["DATA", "more"], 2, "one at a time"),
        (["DATA", "--protocol", "custm"], 2, "unknown"),
        (["DATA", "-f", "csv"], 2, "unknown (expected auto, table or json)"),
        (["DATA", "--way", "1"], 2, "--way"),
        (["DATA", "--set", "matcher=x"], 2, "matcher"),
        (["DATA", "--model", "demo-fewshot"], 4, "--protocol few-shot, or all-way"),
        (["ssv2", "--protocol", "zero-shot", "--root", "."], 2, "is of ucf101, hmdb51"),
    ],
)
def test_flags_that_make_no_evaluation_are_refused(
    cli: Cli, data: Path, args: list[str], code: int, said: str
) -> None:
    done = cli("eval", *[data if arg == "DATA" else arg for arg in args])
    assert done.code == code, done.err
    assert said in done.err
    assert done.out == ""


def test_three_crops_need_a_model_that_crops(cli: Cli, data: Path) -> None:
    done = cli("eval", data, "--views", "2x3", "-f", "table")
    assert done.code == 0, done.err
    assert "2x3 views" in done.out


def test_few_shot_files_are_sent_to_classify(cli: Cli, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "moves.safetensors"
    assert cli("fewshot", "-s", data, "--save", file).code == 0
    done = cli("eval", data, "--model", file)
    assert done.code == 2
    assert "actcli eval preds.jsonl --truth LIST" in done.err


def test_a_dataset_is_checked_by_name(cli: Cli, tmp_path: Path, pool: miniature.Pool) -> None:
    root = miniature.ucf101(tmp_path, pool)
    next((root / "UCF-101/YoYo").iterdir()).unlink()
    done = cli("data", "check", "ucf101", "--root", root, "-f", "jsonl")
    assert done.code == 3
    total = done.records[-1]
    assert (total["videos"], total["found"], total["missing"]) == (24, 23, 1)
    assert "lists 8 videos of test1 (published: 3,783)" in done.err
    assert cli("data", "check", "ucf101").code == 2
    assert cli("data", "check", root / "UCF-101", "--lists", root).code == 2


def test_a_result_never_takes_the_place_of_what_was_read(
    cli: Cli, data: Path, tmp_path: Path
) -> None:
    rows = "path,label\n" + "\n".join(f"{p},{p.parent.name}" for p in data.rglob("*.mp4"))
    small = tmp_path / "small.csv"
    small.write_text(rows)
    clip = next(data.rglob("*.mp4"))
    preds = tmp_path / "p.jsonl"
    assert cli("classify", data, "-l", "run,jump,wave", "-o", preds).code == 0
    (tmp_path / "link.json").symlink_to(small)
    before = [path.read_bytes() for path in (small, clip, preds)]
    for args in (
        [small, "-o", small],
        [small, "-o", tmp_path / "link.json"],
        [data, "-o", clip],
        [preds, "--truth", small, "-o", preds],
        [preds, "--truth", small, "-o", small],
        [data, "-o", tmp_path / "no/such/folder.json"],
        [data, "-o", tmp_path],
    ):
        assert cli("eval", *args).code == 2
    assert [path.read_bytes() for path in (small, clip, preds)] == before


def test_a_pipe_is_written_into_and_stays_a_pipe(cli: Cli, data: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE)
    assert cli("eval", data, "-o", tmp_path / "pipe").code == 0
    out, _ = reader.communicate(timeout=30)
    assert json.loads(out)["schema"] == "actcli.eval/1"
    assert (tmp_path / "pipe").is_fifo()


def test_options_that_say_nothing_are_refused(cli: Cli, data: Path, tmp_path: Path) -> None:
    preds = tmp_path / "p.jsonl"
    assert cli("classify", data, "-l", "run,jump,wave", "-o", preds).code == 0
    for extra in (["--way", "3"], ["-L", "nope"], ["--protocol", "custom"], ["--lists", "x"]):
        assert cli("eval", preds, "--truth", data, *extra).code == 2
    assert cli("eval", "compare", "a", "b", "--min-top1", "0.5").code == 2
    assert cli("eval", data, "--lists", tmp_path).code == 2


def test_a_dataset_wins_over_a_folder_of_its_name_where_there_is_a_root(
    cli: Cli, tmp_path: Path, pool: miniature.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    miniature.ucf101(tmp_path / "ucf101", pool)
    monkeypatch.chdir(tmp_path)
    done = cli("eval", "ucf101", "--root", "ucf101", "--unofficial")
    assert done.code == 0, done.err
    assert done.records[0]["protocol"]["name"] == "zero-shot"
    check = cli("data", "check", "ucf101", "--root", "ucf101", "-f", "jsonl")
    assert check.records[-1]["videos"] == 24


def test_very_narrow_terminals_get_a_number_a_line(
    cli: Cli, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    done = cli("eval", data, "-f", "table")
    assert "all, 6 clips" in done.out
    assert "  top-1 " in done.out
