"""`actcli demo`, `actcli doctor`, the help and the completion."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


def test_demo_writes_a_labelled_set_and_says_what_to_type_next(cli: Cli, tmp_path: Path) -> None:
    done = cli("demo", tmp_path / "d", "--per-class", "1", "--set", "pairs", "--seed", "5")
    assert (done.code, done.out) == (0, "")
    assert "actcli classify" in done.err
    labels = (tmp_path / "d/labels.txt").read_text().splitlines()
    assert len(labels) == 10
    assert len(list((tmp_path / "d/query").glob("*/*.mp4"))) == 10
    assert len(list((tmp_path / "d/support").glob("*/*.mp4"))) == 50


def test_demo_leaves_a_folder_with_files_alone(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    done = cli("demo", tmp_path)
    assert done.code == 2
    assert "--force" in done.err
    assert os.listdir(tmp_path) == ["thesis.txt"]


@pytest.mark.parametrize(
    ("args", "code"),
    [(["d", "--set", "singel"], 2), (["d", "--per-class", "0"], 2), (["file"], 2),
     (["file/below"], 4), ([], 2)],
)  # fmt: skip
def test_demo_refuses_wrong_use(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    done = cli("demo", *args)
    assert done.code == code
    assert "Traceback" not in done.err


def test_doctor_names_versions_and_decodes_a_clip(cli: Cli) -> None:
    done = cli("doctor")
    assert done.code == 0, done.err
    assert "libavcodec" in done.out
    assert re.search(r"built-in clip: 8 frames of \d\.\d s", done.out)
    assert "FAILED" not in done.out


def test_a_broken_part_does_not_hide_the_others(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = cli("doctor", "--cache-dir", tmp_path / "file")
    assert done.code == 4
    assert "FAILED" in done.out
    assert "built-in clip: 8 frames" in done.out


@pytest.mark.parametrize(
    "args", [[], ["classify"], ["demo"], ["doctor"], ["models"], ["models", "pull"]]
)
def test_help_states_the_exit_codes(cli: Cli, args: list[str]) -> None:
    done = cli(*args, "--help")
    assert done.code == 0
    assert "3 finished" in " ".join(done.out.split())


def test_the_version_is_printed(cli: Cli) -> None:
    assert re.fullmatch(r"actcli \d+\.\d+\.\d+\n", cli("--version").out)


def test_an_unknown_command_is_exit_2(cli: Cli) -> None:
    done = cli("clasify")
    assert done.code == 2
    assert "classify" in done.err


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("classify --model d", "demo"), ("classify --labels-file kin", "kinetics400"),
     ("classify --format js", "jsonl"), ("classify --template act", "actionclip"),
     ("demo d --set p", "pairs"),
     ("models pull ViT-B-16/o", "ViT-B-16/openai")],
)  # fmt: skip
def test_the_shell_completes_names(typed: str, offered: str) -> None:
    env = os.environ | {
        "_ACTCLI_COMPLETE": "complete_bash",
        "COMP_WORDS": f"actcli {typed}",
        "COMP_CWORD": str(len(typed.split())),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from actcli.cli import main; main()"],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert offered in done.stdout.split()


def test_the_cache_is_described_verified_and_emptied(
    cli: Cli, videos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    there = ("--cache-dir", folder)
    assert cli("cache", "info", *there).code == 4
    assert not folder.exists()  # looking makes none
    assert cli("classify", videos, "-l", "run,jump", *there).code == 0
    (record,) = cli("cache", "info", *there).records
    assert (record["schema"], record["embeddings"]) == ("actcli.cache/1", 5)
    table = cli("cache", "info", *there, "-f", "table")
    assert "embeddings    5, the oldest of " in table.out
    assert cli("cache", "verify", *there).out == "5 embeddings read, 0 damaged\n"
    assert cli("cache", "clear", *there).code == 2
    assert cli("cache", "clear", "--older-than", "1", *there).out == "0 embeddings forgotten\n"
    assert cli("cache", "clear", "--yes", *there).out == "5 embeddings forgotten\n"
    (record,) = cli("cache", "info", *there).records
    assert (record["embeddings"], record["digests"], record["oldest"]) == (0, 0, None)


def test_damaged_embeddings_are_dropped_with_exit_3(cli: Cli, videos: Path, tmp_path: Path) -> None:
    there = ("--cache-dir", tmp_path)
    assert cli("classify", videos, "-l", "run,jump", *there).code == 0
    with sqlite3.connect(tmp_path / "embeddings.sqlite") as db:
        db.execute("UPDATE embeddings SET meta = 'x'")
    db.close()
    done = cli("cache", "verify", *there)
    assert (done.code, done.out) == (3, "5 embeddings read, 5 damaged\n")
