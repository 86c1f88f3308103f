"""Runs the command line in this process, on real file descriptors, with drawn clips as input."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from actcli.cli import app
from actcli.demo.clips import write_clip

LABELS = "run,jump,wave"


@dataclass(frozen=True)
class Outcome:
    """What a shell sees of a command."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Cli = Callable[..., Outcome]


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run.mp4, jump.mp4, wave.mp4 and notes.txt."""
    folder = tmp_path_factory.mktemp("videos")
    for number, label in enumerate(LABELS.split(",")):
        write_clip(folder / f"{label}.mp4", label, seed=100 + number)
    (folder / "notes.txt").write_text("no video")
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all, so that most commands compute little."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Commands send the package's messages to stderr; other tests look for them elsewhere."""
    root = logging.getLogger("actcli")
    before = root.level, root.propagate, root.handlers[:]
    yield
    root.setLevel(before[0])
    root.propagate, root.handlers[:] = before[1:]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], cache: Path) -> Cli:
    monkeypatch.setenv("ACTCLI_CACHE_DIR", str(cache))
    monkeypatch.setenv("ACTCLI_MODEL", "demo")
    monkeypatch.setenv("ACTCLI_WORKERS", "0")
    monkeypatch.setenv("COLUMNS", "100")

    def run(*args: object, stdin: bytes = b"") -> Outcome:
        read, write = os.pipe()
        os.write(write, stdin)
        os.close(write)
        capfd.readouterr()
        with os.fdopen(read) as pipe, monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", pipe)
            try:
                app([str(arg) for arg in args], prog_name="actcli")
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run
