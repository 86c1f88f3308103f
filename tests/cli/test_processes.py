"""The program as a process: signals, closed pipes, full disks, terminals, no network."""

from __future__ import annotations

import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")

LABELS = "run,jump,wave"


def command(*args: object, cache: Path) -> list[str]:
    words = ["classify", *args, "--labels", LABELS, "--model", "demo", "--cache-dir", cache]
    return [sys.executable, "-m", "actcli", *map(str, words)]


@pytest.fixture(autouse=True)
def heed_ctrl_c() -> Iterator[None]:
    """Shells start what runs in their background with SIGINT ignored, and children inherit it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def streaming(videos: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has printed one record and waits for more paths on stdin."""
    process = subprocess.Popen(
        command("-", cache=cache), text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{videos}/run.mp4\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["label"] == "run"
    yield process
    process.kill()
    process.communicate()


def group_is_gone(group: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_orderly(
    streaming: subprocess.Popen[str], number: signal.Signals, code: int
) -> None:
    start = time.monotonic()
    os.killpg(streaming.pid, number)
    _, err = streaming.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert streaming.returncode == code
    assert "Traceback" not in err
    assert group_is_gone(streaming.pid)


@pytest.mark.parametrize("delay_s", [0.4, 0.8, 1.6])
def test_ctrl_c_while_everything_starts_is_as_orderly(tmp_path: Path, delay_s: float) -> None:
    process = subprocess.Popen(
        command("-", cache=tmp_path), text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    time.sleep(delay_s)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert all(json.loads(line) for line in out.splitlines())
    assert group_is_gone(process.pid)


def test_a_killed_run_leaves_no_worker_behind(streaming: subprocess.Popen[str]) -> None:
    streaming.kill()
    streaming.wait()
    assert group_is_gone(streaming.pid)


def test_a_closed_pipe_ends_quietly(videos: Path, cache: Path) -> None:
    paths = [videos / "run.mp4"] * 500
    process = subprocess.Popen(
        command(*paths, "--workers", "1", cache=cache), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(30) == 0, err
    assert "Traceback" not in err
    assert "Broken pipe" not in err
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("where", ["stdout", "file"])
def test_a_full_disk_is_exit_4_and_one_sentence(videos: Path, cache: Path, where: str) -> None:
    words = command(
        videos / "run.mp4", *(["-o", "/dev/full"] if where == "file" else []), cache=cache
    )
    with open("/dev/full", "w") as full:
        stdout = full if where == "stdout" else subprocess.DEVNULL
        done = subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 4
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dash_on_a_terminal_prints_help_instead_of_waiting(cache: Path) -> None:
    master, terminal = pty.openpty()
    done = subprocess.run(
        command("-", cache=cache), stdin=terminal, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    os.close(master)
    os.close(terminal)
    assert done.returncode == 2
    assert "Usage: actcli classify" in done.stderr
    assert done.stdout == ""


def test_a_run_killed_in_the_middle_is_continued_without_loss_or_repeat(
    videos: Path, cache: Path, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{n}.mp4" for n in range(30)]
    for n, path in enumerate(paths):
        shutil.copy(videos / ("run.mp4", "jump.mp4", "wave.mp4")[n % 3], path)
    out = tmp_path / "preds.jsonl"
    words = command(*paths, "-o", out, "--workers", "1", cache=cache)
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not out.exists() or out.read_bytes().count(b"\n") < 3:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.wait()
    done = subprocess.run([*words, "--skip-done"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    inputs = [json.loads(line)["input"] for line in out.read_text().splitlines()]
    assert inputs == [str(path) for path in paths]


NO_NETWORK = """
import sys
def refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo") and not isinstance(args[-1], (str, bytes)):
        raise SystemExit(f"network: {event} {args}")
sys.addaudithook(refuse)
sys.argv = ["actcli", *sys.argv[1:]]
from actcli.cli import main
main()
"""


def test_a_run_never_uses_the_network(videos: Path, tmp_path: Path) -> None:
    words = command(videos / "run.mp4", "--workers", "0", cache=tmp_path)[3:]
    done = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] == "run"


def test_python_without_a_main_guard_can_classify_with_workers(
    videos: Path, cache: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import actcli\n"
        f"for r in actcli.classify([{str(videos / 'wave.mp4')!r}], {LABELS!r}, model='demo',\n"
        f"                         workers=2, use_cache=False):\n"
        "    print(r.label)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "wave\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- 2>&-"])
def test_a_closed_stream_of_the_shell_is_no_crash(
    videos: Path, cache: Path, tmp_path: Path, closed: str
) -> None:
    out = tmp_path / "preds.jsonl"
    line = shlex.join(command(videos / "run.mp4", "-o", out, "--workers", "0", cache=cache))
    done = subprocess.run(["sh", "-c", f"exec {line} {closed}"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())["label"] == "run"


def test_a_closed_stderr_does_not_end_the_run(videos: Path, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "preds.jsonl"
    words = command(videos, videos / "notes.txt", "-o", out, "--workers", "0", cache=cache)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(words, stderr=write, check=False)
    os.close(write)
    assert done.returncode == 3
    assert len(out.read_text().splitlines()) == 4


DAEMONIC = """
import sys, multiprocessing, actcli
def go():
    for result in actcli.classify(sys.argv[1], "run,wave", model="demo", use_cache=False):
        print(result.label, flush=True)
if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=go, daemon=True)
    process.start()
    process.join()
"""


def test_a_process_that_may_have_no_children_decodes_itself(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(DAEMONIC)
    words = [sys.executable, str(tmp_path / "script.py"), str(videos / "run.mp4")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "run\n"
    assert "decoding in this process instead" in done.stderr


THREADS = """
import sys, threading, actcli
def go(): actcli.classify(sys.argv[1], "run,wave", model="demo", use_cache=False, workers=2)
main = sys.modules["__main__"]
threads = [threading.Thread(target=go) for _ in range(3)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sys.modules["__main__"] is main)
"""


def test_threads_that_classify_leave_the_main_module_alone(videos: Path) -> None:
    words = [sys.executable, "-c", THREADS, str(videos / "run.mp4")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "True\n"
