"""The cache forgets rather than fails, and never reads a file twice."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest

from actcli import cache as cache_module
from actcli.cache import Cache, default_folder, make_key, open_cache
from actcli.cache_file import FILE_NAME
from actcli.errors import ResourceError

KEY = make_key({"content": "a"})


def old_file(path: Path, content: bytes) -> Path:
    """A file whose time stamp lies far enough back to be trusted."""
    path.write_bytes(content)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def test_what_was_put_is_found_by_a_later_process(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        cache.put(KEY, b"\x00value", {"shape": [1]})
    with Cache(tmp_path) as cache:
        assert cache.get(KEY) == (b"\x00value", {"shape": [1]})
        assert cache.get(make_key({"content": "b"})) is None


def test_equal_parts_make_equal_keys_whatever_their_order() -> None:
    assert make_key({"a": 1, "b": [2.5]}) == make_key({"b": [2.5], "a": 1})
    assert make_key({"a": 1}) != make_key({"a": 2})


def test_a_cache_without_a_folder_keeps_nothing() -> None:
    with Cache(None) as cache:
        cache.put(KEY, b"v", {})
        assert cache.get(KEY) is None
        assert not cache.keeps


def test_a_digest_is_that_of_the_content(tmp_path: Path) -> None:
    path = old_file(tmp_path / "a", b"content")
    with Cache(tmp_path / "c") as cache:
        assert cache.file_digest(str(path)) == sha256(b"content").digest()


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    path = old_file(tmp_path / "a", b"first")
    with Cache(tmp_path / "c") as cache:
        before = cache.file_digest(str(path))
        old_file(path, b"other")  # same size, same time, same inode: only reading would tell
        assert cache.file_digest(str(path)) == before


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_file_is_read_again(tmp_path: Path, change: str) -> None:
    path = old_file(tmp_path / "a", b"first")
    with Cache(tmp_path / "c") as cache:
        cache.file_digest(str(path))
        path.write_bytes(b"longer text" if change == "size" else b"other")
        assert cache.file_digest(str(path)) == sha256(path.read_bytes()).digest()


def test_a_file_that_is_still_fresh_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"first")
    stamp = time.time()
    os.utime(path, (stamp, stamp))
    with Cache(tmp_path / "c") as cache:
        cache.file_digest(str(path))
        path.write_bytes(b"other")
        os.utime(path, (stamp, stamp))
        assert cache.file_digest(str(path)) == sha256(b"other").digest()


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with Cache(tmp_path / "c") as cache, pytest.raises(OSError, match="not a regular file"):
        cache.file_digest(str(tmp_path / "pipe"))


def test_a_damaged_file_is_set_aside_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 100)
    with Cache(tmp_path) as cache:
        cache.put(KEY, b"v", {})
        assert cache.get(KEY) == (b"v", {})
    assert "set aside" in caplog.text
    assert len(list(tmp_path.glob("*.broken-*"))) == 1


def test_a_read_only_folder_costs_only_the_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with Cache(tmp_path / "file" / "below") as cache:
        cache.put(KEY, b"v", {})
        assert cache.get(KEY) is None
    assert "computing everything" in caplog.text


def test_a_full_disk_costs_the_entry_and_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Cache(tmp_path) as cache:
        assert cache._db is not None
        cache._db.execute("PRAGMA max_page_count = 20")
        for number in range(50):
            cache.put(make_key({"n": number}), bytes(8000), {})
    assert caplog.text.count("can't be written") == 1


def test_the_oldest_entries_go_first_when_the_bound_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "MAX_BYTES", 20_000_000)
    with Cache(tmp_path) as cache:
        for number in range(4000):
            cache.put(make_key({"n": number}), bytes(10_000), {})
    with Cache(tmp_path) as cache:
        assert cache.get(make_key({"n": 0})) is None
        assert cache.get(make_key({"n": 3999})) is not None
        assert cache._live_bytes() <= 20_000_000


def test_threads_share_one_cache(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:

        def write(thread: int) -> None:
            for number in range(100):
                cache.put(make_key({"t": thread, "n": number}), bytes([thread]), {})

        threads = [threading.Thread(target=write, args=(t,)) for t in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(cache.get(make_key({"t": t, "n": 99})) for t in range(4))


WRITER = """
import sys, os
from pathlib import Path
from actcli.cache import Cache, make_key
cache = Cache(Path(sys.argv[1]))
for n in range(50):
    cache.put(make_key({"p": sys.argv[2], "n": n}), b"v" * 1000, {})
os.kill(os.getpid(), 9)
"""


def test_processes_that_are_killed_lose_nothing_they_put(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(p)]) for p in range(3)
    ]
    assert [process.wait(60) for process in processes] == [-9, -9, -9]
    with Cache(tmp_path) as cache:
        keys = [make_key({"p": str(p), "n": n}) for p in range(3) for n in range(50)]
        assert all(cache.get(key) for key in keys)


def test_the_default_folder_follows_the_xdg_convention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/actcli")


def test_a_cache_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="is a file"):
        open_cache(str(tmp_path / "file"), enabled=True)


def test_a_locked_cache_is_waited_for(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        other = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.3, lambda: other.execute("COMMIT")).start()
        cache.put(KEY, b"v", {})
        assert cache.get(KEY) == (b"v", {})
        time.sleep(0.1)
        other.close()


def test_damage_that_shows_only_when_read_is_set_aside_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Cache(tmp_path) as cache:
        for number in range(300):
            cache.put(make_key({"n": number}), bytes(3000), {})
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    path.write_bytes(content)
    with Cache(tmp_path) as cache:
        assert [cache.get(make_key({"n": n})) for n in range(300)] == [None] * 300
        cache.put(KEY, b"v", {})
        assert cache.get(KEY) == (b"v", {})
    assert "set aside" in caplog.text


@pytest.mark.parametrize("damage", ["value = x'00'", "meta = '{'", "meta = '[]'"])
def test_a_damaged_entry_is_not_there(tmp_path: Path, damage: str) -> None:
    with Cache(tmp_path) as cache:
        cache.put(KEY, b"value", {})
        assert cache._db is not None
        cache._db.execute(f"UPDATE embeddings SET {damage}")
        assert cache.get(KEY) is None


def test_verify_drops_what_was_damaged_and_keeps_the_rest(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        for i in range(5):
            cache.put(bytes([i]), b"value" * 10, {"i": i})
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("UPDATE embeddings SET value = ? WHERE key = ?", (b"other", bytes([3])))
    db.close()
    with Cache(tmp_path) as cache:
        assert cache.verify() == (5, 1)
        assert cache.verify() == (4, 0)
        assert cache.get(bytes([2])) == (b"value" * 10, {"i": 2})


def test_clear_forgets_all_or_what_is_old_and_gives_the_room_back(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"x")
    os.utime(tmp_path / "a.mp4", (0, 0))
    with Cache(tmp_path) as cache:
        for i in range(50):
            cache.put(bytes([i]), bytes(100_000), {})
        cache.file_digest(str(tmp_path / "a.mp4"))
        before = cache.info()
        assert before is not None
        assert (before.embeddings, before.digests) == (50, 1)
        assert before.num_bytes > 5_000_000
        assert cache.clear(stored_before=1.0) == 0
        assert cache.clear() == 50
        after = cache.info()
        assert after is not None
        assert (after.embeddings, after.digests) == (0, 0)
        assert after.num_bytes < 100_000


def test_sixteen_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    """Processes of their own, each with its own keys, on one file."""
    script = (
        "import sys; from pathlib import Path; from actcli.cache import Cache\n"
        "with Cache(Path(sys.argv[1])) as cache:\n"
        "    for i in range(200):\n"
        "        cache.put(f'{sys.argv[2]} {i}'.encode(), bytes(2000), {'i': i})\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), str(n)]) for n in range(16)
    ]
    assert [process.wait() for process in running] == [0] * 16
    with Cache(tmp_path) as cache:
        assert cache.verify() == (3200, 0)
