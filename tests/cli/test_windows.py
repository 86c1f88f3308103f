"""`classify --window`: records, tables, exports, continuing, and what can go wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.tasks.test_windows import make_film

LABELS = "run,wave,cartwheel,bow"
CUT = ("--window", "1", "--stride", "0.5")


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    make_film(path, ["run", "wave", "cartwheel"])
    return path


def test_one_record_a_window_with_its_seconds(cli: Cli, film: Path) -> None:
    records = cli("classify", film, "-l", LABELS, *CUT).records
    assert [r["start"] for r in records[:3]] == [0.0, 0.5, 1.0]
    assert [r["end"] for r in records[:3]] == [1.0, 1.5, 2.0]
    assert {(r["part"], r["input"]) for r in records} == {("window", str(film))}
    assert records[-1]["end"] == pytest.approx(records[0]["video_s"])


def test_the_stride_is_the_window_unless_given(cli: Cli, film: Path) -> None:
    records = cli("classify", film, "-l", LABELS, "--window", "2").records
    assert [r["start"] for r in records[:3]] == [0.0, 2.0, 4.0]


def test_a_video_in_windows_counts_once(cli: Cli, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    done = cli("classify", film, tmp_path / "none.mp4", "-l", LABELS, *CUT, "-o", out)
    assert done.code == 3
    assert "1 of 2 videos could not be classified" in done.err
    counts = json.loads((tmp_path / "a.run.json").read_text())["counts"]
    assert (counts["ok"], counts["failed"]) == (1, 1)
    assert counts["written"] == len(out.read_text().splitlines())


def test_segments_play_as_subtitles(cli: Cli, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.srt"
    done = cli("classify", film, "-l", LABELS, *CUT, "--segments", "-o", out)
    assert done.code == 0, done.err
    text = out.read_text()
    assert [text.count(label) for label in ("run", "wave", "cartwheel")] == [1, 1, 1]
    assert text.startswith("1\n00:00:00,000 --> ")


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_the_table_of_windows_fits_its_terminal(
    cli: Cli, film: Path, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    done = cli("classify", film, film, "-l", LABELS, *CUT, "--format", "table")
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert sum("windows" in line for line in lines) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--segments"], "--segments: is for windows"),
        (["--min-length", "1"], "--min-length: is for windows"),
        (["--window", "0"], "--window: Input should be greater than 0"),
        (["--window", "1", "--stride", "-1"], "--stride: Input should be greater than 0"),
        (["--window", "1", "--hysteresis", "2"], "--hysteresis"),
        (["--window", "1", "--min-length", "2"], "--min-length: is for --segments"),
        (["--window", "1", "-f", "jsonl", "-o", "x.mp4"], "has the suffix of a video"),
        (["--window", "1", "-f", "jsonl", "-o", "none/"], "-o none/: a folder takes srt"),
        (["--window", "nan"], "--window"),
    ],
)
def test_settings_that_mean_nothing_are_refused(
    cli: Cli, film: Path, words: list[str], message: str
) -> None:
    done = cli("classify", film, "-l", LABELS, *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_several_videos_for_one_file_are_refused_before_any_is_read(
    cli: Cli, film: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.srt"
    done = cli("classify", film, tmp_path / "b.mp4", "-l", LABELS, *CUT, "-o", out)
    assert (done.code, out.exists()) == (2, False)
    assert "--format srt: holds one video (got 2)" in done.err


def test_windows_without_number_are_refused_at_once(cli: Cli, film: Path) -> None:
    done = cli("classify", film, "-l", LABELS, "--window", "1", "--stride", "1e-6")
    assert done.code == 4
    assert done.records[0]["error"]["kind"] == "too_large"


def test_that_no_segment_was_found_is_said(cli: Cli, film: Path) -> None:
    done = cli("classify", film, "-l", LABELS, *CUT, "--segments", "--min-length", "100")
    assert (done.code, done.out) == (0, "")
    assert "no segments" in done.err


def test_one_of_several_devices_is_the_device(cli: Cli, film: Path) -> None:
    done = cli("classify", film, "-l", LABELS, "--devices", "nonsense")
    assert done.code == 2
    assert "unknown device" in done.err


def test_what_is_there_already_is_not_written_again(cli: Cli, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    words = ("classify", film, film, "-l", LABELS, *CUT, "-o", out)
    assert cli(*words).code == 0
    whole = out.read_text()
    out.write_text("".join(whole.splitlines(keepends=True)[:5]) + '{"schema":"actcli.pre')
    done = cli(*words, "--skip-done")
    assert done.code == 0
    assert "dropped a torn last line" in done.err
    assert records_without_cache(out.read_text()) == records_without_cache(whole)
    assert "nothing to do: all 2 videos" in cli(*words, "--skip-done").err


def records_without_cache(text: str) -> list[dict[str, object]]:
    return [json.loads(line) | {"cached": None} for line in text.splitlines()]


def test_other_windows_are_not_appended_to_a_file(cli: Cli, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    assert cli("classify", film, "-l", LABELS, *CUT, "-o", out).code == 0
    done = cli("classify", film, "-l", LABELS, "--window", "2", "-o", out, "--skip-done")
    assert done.code == 2
    assert "window_s (was 1.0, now 2.0)" in done.err


def test_explaining_adds_a_similarity_for_each_frame(cli: Cli, film: Path) -> None:
    (record,) = cli("classify", film, "-l", LABELS, "--explain").records
    for item in record["top"]:
        assert len(item["frame_similarity"]) == len(record["frames_s"]) == 8


def test_a_run_over_a_long_film_that_is_interrupted_keeps_its_windows(tmp_path: Path) -> None:
    film, out = tmp_path / "film.mp4", tmp_path / "a.jsonl"
    make_film(film, ["run", "wave"] * 20)
    words = [
        sys.executable, "-m", "actcli", "classify", film, "-l", LABELS, "--model", "demo",
        "--window", "1", "--stride", "0.1", "-o", out, "--cache-dir", tmp_path / "cache",
        "--batch-size", "1", "-q",
    ]  # fmt: skip
    process = subprocess.Popen(words, stderr=subprocess.PIPE, env=os.environ)
    deadline = time.monotonic() + 60
    while not out.exists() or out.read_bytes().count(b"\n") < 20:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["start"] for r in records] == pytest.approx([0.1 * i for i in range(len(records))])
    done = subprocess.run([*words, "--skip-done"], capture_output=True, check=True)
    starts = [json.loads(line)["start"] for line in out.read_text().splitlines()]
    assert done.stdout == b""
    assert starts == sorted(set(starts))
    assert starts[-1] > 80
