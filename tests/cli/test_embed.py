"""`actcli embed`, `classify --embeddings` and `--shard` as a shell sees them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import LABELS, Cli

pytest.importorskip("pyarrow")


def alike(one: Any, other: Any) -> bool:
    """Whether two JSON values differ in nothing but the last digits of numbers, and in `cached`."""
    if isinstance(one, dict) and isinstance(other, dict):
        same = one.keys() == other.keys()
        return same and all(alike(one[key], other[key]) for key in one if key != "cached")
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-5
    return bool(one == other)


@pytest.mark.parametrize("output", ["t.parquet", "t.safetensors", "t/"])
def test_records_of_a_table_are_those_of_the_videos(
    cli: Cli, videos: Path, tmp_path: Path, output: str
) -> None:
    table = f"{tmp_path}/{output}"
    given = [videos, videos / "notes.txt", videos / "none.mp4"]
    done = cli("embed", *given, "-o", table)
    assert (done.code, done.out) == (3, "")
    assert "2 of 5 videos could not be embedded" in done.err
    from_videos = cli("classify", *given, "-l", LABELS)
    from_table = cli("classify", "--embeddings", table, "-l", LABELS)
    assert len(from_table.records) == 5
    assert (from_videos.code, from_table.code) == (3, 3)
    assert alike(from_table.records, from_videos.records)


@pytest.mark.parametrize("format", ["csv", "tsv", "json", "srt", "label-studio", "fiftyone"])
def test_every_format_is_written_from_a_table(
    cli: Cli, videos: Path, tmp_path: Path, format: str
) -> None:
    given = videos / "run.mp4" if format == "srt" else videos  # which holds one video
    cli("embed", given, "-o", tmp_path / "t.parquet", "--window", 0.5)
    words = ["-l", LABELS, "-f", format]
    cli("classify", given, "--window", 0.5, "-l", "x,y")  # into the cache
    from_videos = cli("classify", given, "--window", 0.5, *words).out
    from_table = cli("classify", "--embeddings", tmp_path / "t.parquet", *words).out
    if format == "json":
        from_table, from_videos = (text.partition('"run"')[0] for text in (from_table, from_videos))
    assert from_table == from_videos


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([], 2, "VIDEO"),
        (["a.mp4"], 2, "-o: missing"),
        (["a.mp4", "-o", "x.csv"], 2, "names no table"),
        (["a.mp4", "-o", "x.parquet", "--skip-done"], 2, "only folders"),
        (["a.mp4", "-o", "no/such/x.parquet"], 2, "does not exist"),
        (["a.parquet", "-o", "a.parquet"], 2, "written over a VIDEO"),
        (["a.mp4", "-o", "x.parquet", "--dtype", "int8"], 2, "--dtype"),
        (["a.mp4", "-o", "x.parquet", "--shard", "4/4"], 2, "--shard"),
        (["a.mp4", "-o", "x.parquet", "--model", "demo-fewshot", "--pool"], 2, "--pool"),
        (["a.mp4", "-o", "x.parquet"], 4, "the video could not be embedded"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_embedded_is_told(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("embed", *args)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--embeddings", "none.parquet"], 4, "no such file"),
        (["--embeddings", "notes.txt"], 4, "no Parquet file"),
        (["--embeddings", "run.mp4", "a.mp4"], 2, "takes no VIDEO"),
        (["--embeddings", "run.mp4", "--glob", "*"], 2, "--glob"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_no_table_is_told(
    cli: Cli, videos: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(videos)
    done = cli("classify", *args, "-l", LABELS)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_a_folder_is_continued_with_what_is_missing(cli: Cli, videos: Path, tmp_path: Path) -> None:
    table = f"{tmp_path}/t/"
    cli("embed", videos / "run.mp4", videos / "notes.txt", "-o", table)
    done = cli("embed", videos, videos / "notes.txt", "-o", table, "--skip-done")
    assert (done.code, len(list((tmp_path / "t").iterdir()))) == (3, 2)
    assert "1 of 4 videos" in done.err
    again = cli("embed", videos, videos / "notes.txt", "-o", table, "--skip-done")
    assert "nothing to do: all 4 videos are in the table" in again.err
    names = [r["input"] for r in cli("classify", "--embeddings", table, "-l", LABELS).records]
    assert sorted(Path(name).stem for name in names) == ["jump", "notes", "run", "wave"]


def test_windows_of_a_folder_are_continued(cli: Cli, videos: Path, tmp_path: Path) -> None:
    words = ["-o", f"{tmp_path}/t/", "--window", 0.5, "--skip-done"]
    cli("embed", videos / "run.mp4", *words)
    cli("embed", videos, *words)
    found = cli("classify", "--embeddings", tmp_path / "t", "-l", LABELS).records
    expected = cli("classify", videos, "--window", 0.5, "-l", LABELS).records
    keys = [[(r["input"], r["start"]) for r in records] for records in (found, expected)]
    assert sorted(keys[0]) == sorted(keys[1])


@pytest.mark.parametrize("more", [["--frames", 4], ["--pool"], ["--dtype", "float16"]])
def test_a_folder_that_was_made_otherwise_is_not_continued(
    cli: Cli, videos: Path, tmp_path: Path, more: list[Any]
) -> None:
    words = ["embed", videos, "-o", f"{tmp_path}/t/"]
    cli(*words)
    assert "holds a table already" in cli(*words).err
    done = cli(*words, "--skip-done", *more)
    assert done.code == 2
    assert "was made otherwise" in done.err


def test_a_dry_run_lists_what_is_left(cli: Cli, videos: Path, tmp_path: Path) -> None:
    table = f"{tmp_path}/t/"
    cli("embed", videos / "run.mp4", "-o", table)
    done = cli("embed", videos, "-o", table, "--skip-done", "--dry-run")
    assert [Path(line).stem for line in done.out.splitlines()] == ["jump", "wave"]
    assert "would embed 2 videos" in done.err


def test_results_of_a_table_are_continued(cli: Cli, videos: Path, tmp_path: Path) -> None:
    cli("embed", videos, "-o", tmp_path / "t.parquet")
    words = ["classify", "--embeddings", tmp_path / "t.parquet", "-l", LABELS]
    words += ["-o", tmp_path / "p.jsonl"]
    cli(*words, "--limit", 1)
    assert "would classify 2 videos" in cli(*words, "--skip-done", "--dry-run").err
    assert cli(*words, "--skip-done").code == 0
    lines = (tmp_path / "p.jsonl").read_text().splitlines()
    assert [Path(json.loads(line)["input"]).stem for line in lines] == ["jump", "run", "wave"]
    assert "nothing to do" in cli(*words, "--skip-done").err


def test_results_of_another_table_are_not_continued(cli: Cli, videos: Path, tmp_path: Path) -> None:
    words = ["-l", LABELS, "-o", tmp_path / "p.jsonl"]
    for name, more in (("a", []), ("b", ["--dtype", "float16"])):
        cli("embed", videos, "-o", tmp_path / f"{name}.parquet", *more)
    cli("classify", "--embeddings", tmp_path / "a.parquet", *words)
    done = cli("classify", "--embeddings", tmp_path / "b.parquet", *words, "--skip-done")
    assert (done.code, "other conditions" in done.err) == (2, True)


@pytest.mark.parametrize("command", ["classify", "fewshot", "table", "windows"])
def test_shards_together_are_the_whole_run(
    cli: Cli, videos: Path, tmp_path: Path, command: str
) -> None:
    if command == "fewshot":
        for name in ("run", "jump"):
            (tmp_path / name).mkdir()
            os.link(videos / f"{name}.mp4", tmp_path / name / "0.mp4")
        words = ["fewshot", videos, "--support", tmp_path]
    elif command == "classify":
        words = ["classify", videos, "-l", LABELS]
    else:
        cut = ["--window", 0.5] if command == "windows" else []
        cli("embed", videos, "-o", tmp_path / "t.parquet", *cut)
        words = ["classify", "--embeddings", tmp_path / "t.parquet", "-l", LABELS]
    cli(*words)  # into the cache
    parts = [cli(*words, "--shard", f"{i}/4") for i in range(4)]
    assert {part.code for part in parts} == {0}
    found = "".join(part.out for part in parts).splitlines()
    assert sorted(found) == sorted(cli(*words).out.splitlines())


def test_tables_of_shards_are_read_as_one(cli: Cli, videos: Path, tmp_path: Path) -> None:
    for i in range(4):
        assert cli("embed", videos, "-o", f"{tmp_path}/t/{i}/", "--shard", f"{i}/4").code == 0
    found = cli("classify", "--embeddings", tmp_path / "t", "-l", LABELS).records
    assert sorted(Path(r["input"]).stem for r in found) == ["jump", "run", "wave"]


def test_a_list_on_stdin_is_sharded_while_it_comes(cli: Cli, videos: Path) -> None:
    lines = b"".join(os.fsencode(videos / f"{name}.mp4") + b"\n" for name in LABELS.split(","))
    parts = [cli("classify", "-", "-l", LABELS, "--shard", f"{i}/2", stdin=lines) for i in (0, 1)]
    assert sum(len(part.records) for part in parts) == 3


def test_without_pyarrow_the_extra_is_named(
    cli: Cli, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for words in (
        ["embed", videos, "-o", tmp_path / "t.parquet"],
        ["classify", "--embeddings", videos / "run.mp4", "-l", LABELS],
    ):
        done = cli(*words)
        assert (done.code, 'pip install "actcli[parquet]"' in done.err) == (4, True)
    assert cli("embed", videos, "-o", tmp_path / "t.safetensors").code == 0


INTERRUPTED = """
import os, signal
import actcli.cli.embed_session as session
from actcli.cli import main

class Writer(session.FolderWriter):
    def write(self, row):
        super().write(row)
        if row.ref.id.endswith("run.mp4"):
            os.kill(os.getpid(), signal.SIGINT)

session.FolderWriter = Writer
main()
"""


def test_ctrl_c_keeps_the_rows_so_far(videos: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", INTERRUPTED, "embed", str(videos), "-o", f"{tmp_path}/t/"]
    env = os.environ | {"ACTCLI_MODEL": "demo", "ACTCLI_WORKERS": "0", "ACTCLI_NO_CACHE": "1"}
    done = subprocess.run(words, env=env, check=False, capture_output=True, text=True)
    from actcli.tables.reading import open_table

    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert open_table(str(tmp_path / "t")).num_rows == 2
