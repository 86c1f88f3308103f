"""What a machine can do to a run: disks, memory, clocks, streams, and files that go away."""

from __future__ import annotations

import errno
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import LABELS, Cli, Outcome

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")

PROGRAM = [sys.executable, "-m", "actcli"]


def shell(line: str, cwd: Path, **more: str) -> Outcome:
    """A line of sh, in which $A is the program."""
    done = subprocess.run(
        ["sh", "-c", line], cwd=cwd, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | {"A": shlex.join(PROGRAM), "ACTCLI_MODEL": "demo"} | more,
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def is_one_sentence(err: str) -> bool:
    """An error, maybe with a hint, after warnings."""
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    return [line.partition(": ")[0] for line in lines] in (["error"], ["error", "hint"])


@pytest.fixture
def many(videos: Path, tmp_path: Path) -> Path:
    """Forty clips, all cached after the first three."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(40):
        label = LABELS.split(",")[number % 3]
        shutil.copy(videos / f"{label}.mp4", folder / f"{number:02d}.mp4")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that holds 32 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("needs root, who may mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def records_in(path: Path) -> list[str]:
    """Inputs of the whole records of a file."""
    lines = path.read_bytes().splitlines(keepends=True)
    return [json.loads(line)["input"] for line in lines if line.endswith(b"\n")]


def test_a_disk_that_fills_up_is_told_and_the_run_goes_on_when_there_is_room(
    cli: Cli, many: Path, small_disk: Path
) -> None:
    filler, out = small_disk / "filler", small_disk / "out.jsonl"
    filler.write_bytes(bytes(16 << 10))
    full = cli("classify", many, "-l", LABELS, "-o", out, "-q")
    assert full.code == 4
    assert is_one_sentence(full.err)
    assert "No space left on device" in full.err
    assert 0 < len(records_in(out)) < 40
    filler.unlink()
    assert cli("classify", many, "-l", LABELS, "-o", out, "-q", "--skip-done").code == 0
    assert records_in(out) == [str(path) for path in sorted(many.iterdir())]


@pytest.mark.parametrize("name", ["table.parquet", "table/", "table.safetensors"])
def test_a_table_on_a_full_disk_leaves_nothing_half(
    cli: Cli, videos: Path, small_disk: Path, name: str
) -> None:
    if "safe" not in name:
        pytest.importorskip("pyarrow")
    (small_disk / "filler").write_bytes(bytes(28 << 10))
    done = cli("embed", videos, "-o", f"{small_disk}/{name}", "-q")
    assert done.code == 4
    assert is_one_sentence(done.err)
    assert [path.name for path in small_disk.rglob("*") if path.is_file()] == ["filler"]


def test_a_report_on_a_full_disk_leaves_the_results(
    cli: Cli, videos: Path, tmp_path: Path, small_disk: Path
) -> None:
    out = tmp_path / "out.jsonl"
    done = cli("classify", videos, "-l", LABELS, "-o", out, "--report", small_disk / "a.html", "-q")
    assert done.code == 4
    assert is_one_sentence(done.err)
    assert (len(records_in(out)), os.listdir(small_disk)) == (3, [])


def test_a_cache_on_a_full_disk_costs_the_cache_alone(
    cli: Cli, videos: Path, small_disk: Path
) -> None:
    done = cli("classify", videos, "-l", LABELS, "--cache-dir", small_disk)
    assert (done.code, len(done.records)) == (0, 3)
    assert "cache" in done.err


@pytest.mark.slow
def test_a_limit_on_the_size_of_files_is_told(videos: Path, cache: Path, tmp_path: Path) -> None:
    line = f"ulimit -f 1; exec $A classify {videos}/*.mp4 -l {LABELS} -q --workers 0 --no-cache"
    done = shell(f"{line} --explain -o out.jsonl", tmp_path)
    assert done.code == 4
    assert is_one_sentence(done.err)
    assert "File too large" in done.err


class Failing(io.FileIO):
    """A file of results whose disk breaks after the first record."""

    def write(self, data: Any) -> int:
        if str(self.name).endswith("out.jsonl") and os.fstat(self.fileno()).st_size:
            raise OSError(errno.EIO, "Input/output error")
        return super().write(data)


def test_a_disk_that_breaks_keeps_what_was_written(
    cli: Cli, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(io, "FileIO", Failing)
        done = cli("classify", videos, "-l", LABELS, "-o", out, "-q")
    assert (done.code, is_one_sentence(done.err)) == (4, True)
    assert records_in(out) == [f"{videos}/jump.mp4"]
    assert cli("classify", videos, "-l", LABELS, "-o", out, "-q", "--skip-done").code == 0
    assert len(records_in(out)) == 3


@pytest.mark.parametrize("workers", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_a_video_that_cannot_be_read_is_a_failure(
    cli: Cli, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    """The first page of a process's memory is a file whose reading is an error of the disk."""
    (tmp_path / "broken.mp4").symlink_to("/proc/self/mem")
    files = [tmp_path / "broken.mp4", videos / "run.mp4"]
    done = cli("classify", *files, "-l", LABELS, "--workers", workers)
    assert (done.code, [one["ok"] for one in done.records]) == (3, [False, True])
    assert "Traceback" not in done.err


STDOUT = (
    "--help", "--version", "classify --help", "models list", "models path demo", "models show demo",
    "cache info", "labels lint l.txt -q", "classify v -l run,jump --dry-run",
    "classify v -l run,jump --format table", "data check v.csv --format jsonl",
    "data convert v.csv -o - --to tsv", "embed v -o t.safetensors --dry-run",
)  # fmt: skip


def _texts(videos: Path, folder: Path) -> None:
    (folder / "l.txt").write_text("run\nrun \n")
    (folder / "v").symlink_to(videos)
    (folder / "v.csv").write_text("path,label\nv/run.mp4,run\nv/jump.mp4,jump\n")


@pytest.mark.parametrize("words", [STDOUT[0], STDOUT[3]])
def test_a_full_disk_behind_stdout_is_told(videos: Path, tmp_path: Path, words: str) -> None:
    _texts(videos, tmp_path)
    done = shell(f"$A {words} > /dev/full", tmp_path)
    assert (done.code, is_one_sentence(done.err)) == (4, True), done.err


@pytest.mark.parametrize("words", [STDOUT[0], STDOUT[3]])
def test_nobody_who_reads_stdout_is_no_error(videos: Path, tmp_path: Path, words: str) -> None:
    _texts(videos, tmp_path)
    done = shell(f"{{ $A {words}; echo $? >&2; }} | true", tmp_path)
    assert done.err.split() == ["0"]


@pytest.mark.slow
@pytest.mark.parametrize("words", STDOUT)
def test_every_command_knows_broken_streams(
    videos: Path, cache: Path, tmp_path: Path, words: str
) -> None:
    _texts(videos, tmp_path)
    more = {"ACTCLI_CACHE": str(cache), "ACTCLI_WORKERS": "0"}
    shell("$A classify v/run.mp4 -l run", tmp_path, **more)  # makes the cache
    full = shell(f"$A {words} > /dev/full", tmp_path, **more)
    assert full.code == 4, full.err
    gone = shell(f"{{ $A {words}; echo $? >&2; }} | true", tmp_path, **more)
    assert gone.err.splitlines()[-1] == "0", gone.err
    assert "Traceback" not in full.err + gone.err
    for streams in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"):
        done = shell(f"$A {words} {streams}", tmp_path, **more)
        assert (done.code, "Traceback" in done.err) == (0, False), (streams, done.err)


@pytest.mark.parametrize("day_s", [86_400.0, -86_400.0])
def test_a_clock_that_jumps_by_a_day_changes_nothing(
    cli: Cli, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, day_s: float
) -> None:
    real, calls = time.time, [0]

    def jumping() -> float:
        calls[0] += 1
        return real() + (calls[0] // 3 % 2) * day_s

    before = cli("classify", videos, "-l", LABELS).records
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", jumping)
        patch.setattr(time, "time_ns", lambda: int(jumping() * 1e9))
        cached = ("--cache-dir", tmp_path / "cache")
        first = cli("classify", videos, "-l", LABELS, *cached)
        again = cli("classify", videos, "-l", LABELS, *cached)
        out = tmp_path / "t.safetensors"
        assert cli("embed", videos, "-o", out, *cached).code == 0
    assert calls[0] > 0
    assert [first.code, again.code] == [0, 0]
    for found in (first, again):
        assert [one["label"] for one in found.records] == [one["label"] for one in before]
    run = cli("classify", videos, "-l", LABELS, "-f", "json")
    assert json.loads(run.out)["run"]["timings"]["wall_s"] >= 0


def test_too_little_memory_is_told(videos: Path, tmp_path: Path) -> None:
    line = f"ulimit -v 1500000; exec $A classify {videos}/run.mp4 -l {LABELS} -q --workers 0"
    done = shell(line, tmp_path)
    assert (done.code, is_one_sentence(done.err)) == (4, True), done.err
    assert "out of memory" in done.err


def workers_of(number: int) -> list[int]:
    """Grandchildren: the fork server's children."""
    below = [
        int(child)
        for tasks in Path(f"/proc/{number}/task").glob("*/children")
        for child in tasks.read_text().split()
    ]
    found = []
    for one in below:
        for tasks in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in tasks.read_text().split()]
    return found


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_clip(many: Path) -> None:
    """As the kernel does where memory runs out."""
    names = f"{many}/00.mp4\n{many}/01.mp4\n"
    line = [*PROGRAM, "classify", "-", "-l", LABELS, "--no-cache", "--workers", "1", "-q"]
    process = subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"ACTCLI_MODEL": "demo"},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(names.encode())
    process.stdin.flush()
    first = process.stdout.readline()
    (worker,) = workers_of(process.pid)
    os.kill(worker, signal.SIGSTOP)
    process.stdin.write(f"{many}/02.mp4\n{many}/03.mp4\n".encode())
    process.stdin.close()
    time.sleep(0.3)
    os.kill(worker, signal.SIGKILL)
    rest = process.stdout.read()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    assert process.wait(30) == 3, err
    records = [json.loads(line) for line in (first + rest).splitlines()]
    assert [one["input"] for one in records] == [f"{many}/{n:02d}.mp4" for n in range(4)]
    assert [one["ok"] for one in records].count(False) == 1
    assert {one["error"]["kind"] for one in records if not one["ok"]} <= {"crashed", "too_large"}
    assert b"Traceback" not in err


def change_while_read(monkeypatch: pytest.MonkeyPatch, change: Callable[[str], object]) -> None:
    """Do something to a video after its content is known and before it is decoded."""
    from actcli.video import clips

    real = clips.read_clip

    def reading(ref: Any, *more: Any, **options: Any) -> Any:
        change(ref.path)
        return real(ref, *more, **options)

    monkeypatch.setattr(clips, "read_clip", reading)


def test_a_video_that_goes_while_it_is_read_is_a_failure(
    cli: Cli, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        change_while_read(patch, lambda path: path.endswith("01.mp4") and os.unlink(path))
        files = [many / "00.mp4", many / "01.mp4", many / "02.mp4"]
        done = cli("classify", *files, "-l", LABELS, "--cache-dir", tmp_path / "cache")
    assert (done.code, [one["ok"] for one in done.records]) == (3, [True, False, True])
    assert done.records[1]["error"]["kind"] == "not_found"


def test_a_video_that_is_replaced_while_it_is_read_is_not_remembered_as_the_old_one(
    cli: Cli, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cached = tmp_path / "a.mp4", ("--cache-dir", tmp_path / "cache")
    shutil.copy(videos / "run.mp4", path)
    with monkeypatch.context() as patch:
        change_while_read(patch, lambda _: shutil.copy(videos / "wave.mp4", path))
        assert cli("classify", path, "-l", LABELS, *cached).records[0]["label"] == "wave"
    shutil.copy(videos / "run.mp4", path)
    assert cli("classify", path, "-l", LABELS, *cached).records[0]["label"] == "run"


@pytest.mark.parametrize("gone", ["folder", "file"])
def test_results_that_somebody_removes_are_missed(
    cli: Cli, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    """A run that says nothing would be believed."""
    out = tmp_path / "results" / "out.jsonl"
    out.parent.mkdir()

    def remove(path: str) -> None:
        if path.endswith("39.mp4") and out.exists():
            shutil.rmtree(out.parent) if gone == "folder" else out.unlink()

    change_while_read(monkeypatch, remove)
    words = ("--no-cache", "--batch-size", "1", "-q")
    done = cli("classify", many, "-l", LABELS, "-o", out, *words)
    assert (done.code, is_one_sentence(done.err)) == (4, True), done.err
    assert str(tmp_path) in done.err


def test_a_working_directory_that_is_gone_is_told(videos: Path, tmp_path: Path) -> None:
    line = "mkdir gone; cd gone; rmdir ../gone; exec $A classify {} -l {} -o out.jsonl"
    done = shell(line.format(videos, LABELS), tmp_path)
    assert (done.code, is_one_sentence(done.err)) == (4, True), done.err
    assert "working directory" in done.err


def test_a_relative_path_stays_what_it_was_when_the_directory_goes_meanwhile(
    cli: Cli, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    change_while_read(monkeypatch, lambda _: shutil.rmtree(tmp_path / "gone", ignore_errors=True))
    done = cli("classify", videos / "run.mp4", "-l", LABELS, "-o", "out.jsonl", "--no-cache", "-q")
    assert (done.code, is_one_sentence(done.err)) == (4, True), done.err


@pytest.mark.slow
def test_open_files_run_out_with_a_sentence(videos: Path, tmp_path: Path) -> None:
    line = f"ulimit -n 12; exec $A classify {videos} -l {LABELS} -q --no-cache"
    done = shell(line, tmp_path)
    assert "Traceback" not in done.err
    assert done.code in (0, 3, 4), done.err
