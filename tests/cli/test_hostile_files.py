"""Files that are damaged or forged, as a user meets them: a sentence, a code, and no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open

from actcli.cache_file import FILE_NAME
from actcli.demo import HEAD_PATH
from tests.cli.conftest import Cli, Outcome

DEEP = "[" * 100_000
RECORD = {"schema": "actcli.prediction/1", "input": "a.mp4", "ok": True, "start": "x", "end": []}


def check(done: Outcome, *codes: int) -> str:
    """One `error:` line and perhaps a hint."""
    assert done.code in codes, done.err
    assert "Traceback" not in done.err
    assert sum(line.startswith("error: ") for line in done.err.splitlines()) == 1
    return done.err


def test_a_damaged_cache_is_set_aside_and_said_on_stderr(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 100)
    done = cli("classify", videos / "run.mp4", "-l", "run,jump", "--cache-dir", tmp_path)
    assert done.code == 0
    assert "warning: the cache was damaged" in done.err
    assert (tmp_path / FILE_NAME).read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize("size", [0, 7, 8, 1000, -1])
def test_a_checkpoint_that_was_cut_off(cli: Cli, videos: Path, tmp_path: Path, size: int) -> None:
    (tmp_path / "x.safetensors").write_bytes(HEAD_PATH.read_bytes()[:size])
    for words in (["classify", videos, "-l", "a,b", "--model"], ["models", "show"]):
        check(cli(*words, tmp_path / "x.safetensors"), 4)


def test_a_checkpoint_with_a_flipped_bit(cli: Cli, videos: Path, tmp_path: Path) -> None:
    content = bytearray(HEAD_PATH.read_bytes())
    content[-5] ^= 4
    (tmp_path / "x.safetensors").write_bytes(content)
    for name in ("run", "jump"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.mp4").write_bytes((videos / f"{name}.mp4").read_bytes())
    done = cli("fewshot", videos, "--support", tmp_path, "--model", tmp_path / "x.safetensors")
    assert "its digest differs" in check(done, 4)


def test_a_table_with_a_flipped_bit(cli: Cli, videos: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    assert cli("embed", videos / "run.mp4", "-o", path).code == 0
    with safe_open(path, "numpy") as file:
        assert "digest" in file.metadata()
    assert cli("classify", "--embeddings", path, "-l", "run,jump").code == 0
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)
    assert "its digest differs" in check(cli("classify", "--embeddings", path, "-l", "a,b"), 4)


@pytest.mark.parametrize(
    "content",
    [
        DEEP,
        "[1]",
        '{"a":' * 100_000,
        "\0",
        "path,label\na," + "9" * 5000,
        json.dumps(RECORD) + "\n",
    ],
)
def test_text_files_of_any_kind(cli: Cli, videos: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    clip = videos / "run.mp4"
    check(cli("eval", path), 2, 4)
    check(cli("data", "check", path), 2, 4)
    check(cli("classify", "--list", path, "-l", "a,b"), 2, 4)
    check(cli("classify", clip, "-l", "run,jump", "--calibration", path), 2, 4)
    check(cli("classify", clip, "-l", "run,jump", "-o", path, "--skip-done"), 2, 4)
    check(cli("eval", path, "--truth", path), 2, 4)
    check(cli("eval", "compare", path, path), 2, 4)


def test_a_journal_of_nonsense_moves_nothing(cli: Cli, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "sorted"
    folder.mkdir()
    base = {"schema": "actcli.sorted/1", "state": "done", "action": "move"}
    lines = [DEEP, json.dumps(base | {"from": "a\0b", "to": "../victim"}),
             json.dumps(base | {"from": "\ud800", "to": "../victim"}),
             json.dumps(base | {"from": str(tmp_path / "stolen"), "to": "../victim"}),
             json.dumps(base | {"from": str(tmp_path / "stolen"), "to": str(victim)})]  # fmt: skip
    (folder / "sorted.jsonl").write_text("\n".join(lines) + "\n")
    done = cli("sort", "--undo", "--into", folder)
    assert "Traceback" not in done.err
    assert victim.read_text() == "mine"
    assert not (tmp_path / "stolen").exists()
