"""The second thread that hears of signals: what it does where the main thread does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

HEAD = """
import atexit, os, signal, sys, time
from actcli.cli import stopping
signal.signal(signal.SIGINT, signal.default_int_handler)
stopping.heed_signals()
def leave():
    if stopping.SIGNALLED:
        stopping.leave_as_signalled()
"""
LOST = """
try:
    os.kill(os.getpid(), {number})
    time.sleep(5)
except stopping.Stopped:
    pass  # as a callback of a library does
try:
    time.sleep(20)
finally:
    leave()
"""
DEAF = """
signal.pthread_sigmask(signal.SIG_BLOCK, [{number}])
import ctypes, subprocess
subprocess.Popen(["sh", "-c", "sleep 0.3; kill -{number} %d" % os.getpid()], stderr=-3)
ctypes.CDLL(None).sleep(20)
leave()
"""
BUSY = """
with stopping.unwinding_may_take(4):
    try:
        os.kill(os.getpid(), {number})
        time.sleep(5)
    finally:
        time.sleep(2.5)
        print("complete", flush=True)
        leave()
"""
ENDING = """
import threading
stopping.leave_at_signals()
atexit.register(lambda: (os.kill(os.getpid(), {number}), time.sleep(20)))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("script", [LOST, DEAF, ENDING], ids=["lost", "deaf", "ending"])
def test_a_program_that_does_not_notice_ends_all_the_same(
    script: str, number: signal.Signals, code: int
) -> None:
    began = time.monotonic()
    text = HEAD + script.format(number=int(number))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr in ("interrupted\n", "terminated\n")
    assert time.monotonic() - began < 10


def test_an_import_is_not_interrupted_but_what_follows_it_is(tmp_path: Path) -> None:
    # PyTorch aborts where an exception meets it in the middle of its import.
    module = (
        "import os, time\nos.kill(os.getpid(), 15)\ntime.sleep(.1)\nprint('whole', flush=True)\n"
    )
    (tmp_path / "imported.py").write_text(module)
    text = HEAD + "try:\n    import imported\n    time.sleep(20)\nfinally:\n    leave()\n"
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (143, "whole\n", "terminated\n")


def test_what_must_be_completed_gets_its_time() -> None:
    text = HEAD + BUSY.format(number=int(signal.SIGTERM))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (143, "complete\n", "terminated\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_program_is_imported_shows_no_traceback(number: signal.Signals) -> None:
    text = (
        "import builtins, os, signal, sys; real = builtins.__import__\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def slow(name, *more):\n"
        f"    if name == 'typer': os.kill(os.getpid(), {int(number)})\n"
        "    return real(name, *more)\n"
        "from actcli.__main__ import run\n"
        "builtins.__import__ = slow\n"
        "run()\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")
