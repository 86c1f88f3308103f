"""Two processes that share every batch learn what one learns from the whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from actcli.errors import ResourceError, UsageError
from actcli.train.dist import Ranks, own_device, start_ranks

ROOT = Path(__file__).parents[2]


def train(processes: int, out: Path) -> dict[str, Any]:
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone",
             f"--nproc-per-node={processes}", "tests/train/two_processes.py", str(out)]  # fmt: skip
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_two_processes_have_the_losses_and_the_weights_of_one(tmp_path: Path) -> None:
    one, two = (train(count, tmp_path / f"{count}.json") for count in (1, 2))
    assert len(one["losses"]) == 8
    for a, b in zip(one["losses"], two["losses"], strict=True):
        assert b == pytest.approx(a, abs=1e-6)
    for a, b in zip(one["weights"], two["weights"], strict=True):
        assert b == pytest.approx(a, abs=1e-5)


@pytest.mark.parametrize(
    ("count", "wanted", "available", "expected"),
    [(1, 64, 100, 64), (1, 64, 10, 10), (2, 64, 11, 10), (3, 6, 100, 6)],
)
def test_a_batch_is_shared_equally(count: int, wanted: int, available: int, expected: int) -> None:
    assert Ranks(0, count).share(wanted, available) == expected


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(UsageError, match="3 processes can't share it") as caught:
        Ranks(0, 3).share(64, 100)
    assert caught.value.hint == "--batch-size 66"
    with pytest.raises(UsageError, match="too few"):
        Ranks(0, 4).share(64, 3)


def test_processes_that_cannot_meet_are_told() -> None:
    env = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "", "MASTER_PORT": ""}
    with pytest.raises(ResourceError, match="the 2 processes can't meet"), start_ranks("cpu", env):
        pass


@pytest.mark.parametrize(
    ("name", "env", "expected"),
    [("auto", {}, "auto"), ("auto", {"WORLD_SIZE": "2", "LOCAL_RANK": "1"}, "cpu"),
     ("cpu", {"WORLD_SIZE": "2"}, "cpu"), ("cuda:3", {"WORLD_SIZE": "2"}, "cuda:3")],
)  # fmt: skip
def test_each_process_takes_its_own_device(
    name: str, env: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert own_device(name, env) == expected
