"""What a decode process can still do once it is locked in: read and answer, and nothing else."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actcli.config import LimitsConfig
from actcli.errors import ResourceError
from actcli.types import Clip, VideoRef
from actcli.video import sandbox
from actcli.video.bounds import Bounds
from actcli.video.loader import IDLE, Loader, start_loader

pytestmark = pytest.mark.skipif(
    sandbox.missing() is not None, reason=f"no sandbox here: {sandbox.missing()}"
)


def write(path: str) -> None:
    Path(path).write_text("x", encoding="utf-8")


def append(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_APPEND))


def truncate(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY | os.O_TRUNC))


def start_thread(_: str) -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()


def udp(_: str) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def type_into_terminal(_: str) -> None:
    fcntl.ioctl(2, 0x5412, b"x")


def fill_unnamed_file(path: str) -> None:
    descriptor = os.open(Path(path).parent, os.O_TMPFILE | os.O_RDWR)
    os.write(descriptor, bytes(1 << 20))
    os.close(descriptor)


def cleaners() -> list[int]:
    """Pipes to the processes that clean up after others, which would delete what they are told."""
    from multiprocessing import forkserver, resource_tracker

    ways = (forkserver._forkserver._forkserver_alive_fd, resource_tracker._resource_tracker._fd)  # type: ignore[attr-defined]
    return [way for way in ways if way is not None]


def talk_to_cleaners(_: str) -> None:
    for way in cleaners():
        if os.fstat(way).st_rdev != os.stat(os.devnull).st_rdev:
            return
    raise PermissionError


FORBIDDEN: dict[str, Callable[[str], object]] = {
    "write": write,
    "append": append,
    "truncate": truncate,
    "truncate by name": lambda path: os.truncate(path, 0),
    "remove": os.remove,
    "rename": lambda path: os.rename(path, path + "x"),
    "link": lambda path: os.link(path, path + "x"),
    "symlink": lambda path: os.symlink(path, path + "x"),
    "mkdir": lambda path: os.mkdir(path + "x"),
    "chmod": lambda path: os.chmod(path, 0o777),
    "utime": os.utime,
    "fifo": lambda path: os.mkfifo(path + "x"),
    "web": lambda _: socket.create_connection(("127.0.0.1", 9)),
    "udp": udp,
    "unix socket": lambda _: socket.socket(socket.AF_UNIX),
    "program": lambda _: subprocess.run(["true"], check=True),
    "fork": lambda _: os.fork() or os._exit(0),
    "signal": lambda _: os.kill(os.getppid(), 0),
    "own signal": lambda _: os.kill(os.getpid(), 0),
    "terminal": type_into_terminal,
    "shorten what is open": lambda path: os.ftruncate(os.open(path, os.O_RDONLY), 0),
    "have a signal sent": lambda _: fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid()),
    "ask for signals": lambda _: fcntl.fcntl(0, fcntl.F_SETFL, os.O_ASYNC),
    "make it immutable": lambda path: fcntl.ioctl(
        os.open(path, os.O_RDONLY), 0x40086602, bytes(8)
    ),
    "lock": lambda path: fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX),
    "talk to cleaners": talk_to_cleaners,
    "session": lambda _: os.setsid(),
    "unnamed": fill_unnamed_file,
}  # fmt: skip
NETWORK = {"web", "udp", "unnamed"}
ALLOWED: dict[str, Callable[[str], object]] = {
    "read": lambda path: Path(path).read_text(encoding="utf-8"),
    "list": lambda path: os.listdir(Path(path).parent),
    "thread": start_thread,
    "import": lambda _: __import__("colorsys"),
    "map": lambda _: np.zeros(1 << 24).sum(),
    "shout": lambda _: os.write(1, b"forged record\n"),
    "abort itself": lambda _: signal.pthread_kill(threading.get_ident(), 0),
}  # fmt: skip


def act(ref: VideoRef) -> Clip:
    """A reader that tries what the id says on the path, and answers how that went."""
    try:
        (FORBIDDEN | ALLOWED)[ref.id](ref.path.removeprefix("http://"))
        went = "done"
    except OSError as error:
        went = type(error).__name__
    frames = np.zeros((1, 1, 3, 8, 8), np.uint8)
    return Clip(ref, frames, np.zeros((1, 1)), 0.0, 1.0, (went,))


def tried(loader: Loader, refs: list[VideoRef]) -> dict[str, str]:
    with loader:
        items = [item for item in loader.load(refs) if item is not IDLE]
    told = {}
    for item in items:
        assert isinstance(item, Clip), item
        told[item.ref.id] = item.warnings[0]
    return told


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "precious.mp4"
    path.write_text("precious", encoding="utf-8")
    return path


def locked(mode: str, workers: int = 1) -> Loader:
    bounds = Bounds.of(LimitsConfig(sandbox=mode), 1 << 20)  # type: ignore[arg-type]
    return Loader(act, workers=workers, bounds=bounds, window=8)


@pytest.mark.parametrize("mode", ["auto", "require"])
def test_a_worker_can_read_and_answer_and_nothing_else(file: Path, mode: str) -> None:
    before = sorted(os.listdir(file.parent)), file.stat()
    told = tried(locked(mode), [VideoRef(str(file), id=name) for name in FORBIDDEN])
    assert told == dict.fromkeys(FORBIDDEN, "PermissionError")
    assert (sorted(os.listdir(file.parent)), file.stat()) == before
    assert file.read_text(encoding="utf-8") == "precious"
    told = tried(locked(mode), [VideoRef(str(file), id=name) for name in ALLOWED])
    assert told == dict.fromkeys(ALLOWED, "done")


def test_only_workers_of_remote_videos_have_a_network(file: Path) -> None:
    refs = [VideoRef(f"http://{file}" if i % 2 else str(file), id="udp") for i in range(6)]
    for workers in (1, 2):
        with locked("require", workers) as loader:
            clips = [item for item in loader.load(refs) if isinstance(item, Clip)]
        assert [clip.warnings[0] for clip in clips] == ["PermissionError", "done"] * 3
    others = [VideoRef(f"http://{file}", id=n) for n in FORBIDDEN if n not in NETWORK]
    told = tried(locked("require"), others)
    assert told == dict.fromkeys(set(FORBIDDEN) - NETWORK, "PermissionError")


def test_only_workers_of_remote_videos_keep_what_they_fetched(file: Path) -> None:
    for path, went in ((str(file), "PermissionError"), (f"http://{file}", "done")):
        assert tried(locked("require"), [VideoRef(path, id="unnamed")]) == {"unnamed": went}
    assert os.listdir(file.parent) == [file.name]


def test_without_a_sandbox_files_still_can_not_be_filled(file: Path) -> None:
    told = tried(locked("off"), [VideoRef(str(file), id=name) for name in ("udp", "mkdir")])
    assert told == {"udp": "done", "mkdir": "done"}
    told = tried(locked("off"), [VideoRef(str(file), id="write")])
    assert told == {"write": "OSError"}  # larger than a file may be


def test_standard_output_is_not_for_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import os, test_sandbox as t\n"
        "with t.locked('require') as loader:\n"
        "    items = list(loader.load([t.VideoRef('x', id='shout')]))\n"
        "print(sum(item is not t.IDLE for item in items))\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_a_run_that_requires_a_sandbox_does_not_go_on_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ResourceError, match="this process can't be locked in"):
        start_loader(act, 0, LimitsConfig(sandbox="require"), batch_size=1, clip_bytes=1 << 20)
    monkeypatch.setattr(sandbox, "LIBRARY", "no_such_library")
    for workers in (None, 2):
        with pytest.raises(ResourceError, match=r"the extra actcli\[sandbox\] is not installed"):
            start_loader(
                act, workers, LimitsConfig(sandbox="require"), batch_size=1, clip_bytes=1 << 20
            )
