"""The same once more with ten times the examples, and none of those that the default run has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_ten_times_as_many_examples() -> None:
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    words += ["--ignore", __file__, str(Path(__file__).parent)]
    done = subprocess.run(
        words, env=os.environ | {"ACTCLI_FUZZ": "10"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:]
