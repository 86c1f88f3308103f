"""What a machine may do to the cache: every entry that is found is whole, and a run never ends."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actcli.cache import Cache, make_key, open_cache
from actcli.cache_file import FILE_NAME, MAX_VALUE_BYTES, identity_of, sealed, unsealed
from actcli.errors import ResourceError

KEY = make_key({"content": "a"})
DRIVER = """
import os, random, signal, sys, time
from pathlib import Path
from actcli.cache import Cache, make_key

folder, seed = Path(sys.argv[1]), int(sys.argv[2])
draw, told, stored = random.Random(seed), 0, set()
for turn in range(5):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        cache, n = Cache(folder), 0
        while True:
            key = f"{seed} {turn} {n}"
            cache.put(key.encode(), key.encode() * draw.randrange(1, 3000), {"n": n})
            os.write(write, key.encode() + b"\\n")
            n += 1
    time.sleep(draw.uniform(0.005, 0.15))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        stored |= {line[:-1] for line in pipe if line.endswith(b"\\n")}
    with Cache(folder) as cache:
        assert all(cache.get(key)[0].startswith(key) for key in stored), "lost"
        count, damaged = cache.verify()
        assert damaged == 0 and count >= len(stored)
print(len(stored))
"""


def test_twenty_kills_at_any_moment_of_a_write_cost_nothing_that_was_stored(
    tmp_path: Path,
) -> None:
    stored = []
    for seed in range(4):
        words = [sys.executable, "-c", DRIVER, str(tmp_path / str(seed)), str(seed)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "damaged" not in done.stderr
        stored.append(int(done.stdout))
    assert sum(stored) > 20


def fill(cache: Cache, count: int = 60, size: int = 20_000) -> list[bytes]:
    """Puts entries; the keys of those that were kept."""
    keys = [make_key({"n": n}) for n in range(count)]
    for key in keys:
        cache.put(key, key * (size // 32), {})
    return [key for key in keys if cache.get(key) is not None]


def is_sound(folder: Path, *keys: bytes) -> bool:
    with Cache(folder) as cache:
        return cache.verify()[1] == 0 and all(cache.get(key) for key in keys)


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for less than a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.call(words):
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_costs_entries_and_nothing_else(
    full_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Cache(full_disk) as cache:
        kept = fill(cache)
    assert 0 < len(kept) < 60
    assert caplog.text.count("can't be written") == 1
    assert is_sound(full_disk)


def test_a_file_that_may_not_grow_costs_entries_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        with Cache(tmp_path) as cache:
            kept = fill(cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 0 < len(kept) < 60
    assert caplog.text.count("can't be written") == 1
    assert is_sound(tmp_path)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that a user without rights can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


READER = """
import logging, os, sys
from pathlib import Path
from actcli.cache import Cache, make_key
logging.basicConfig(format="%(message)s")
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
with Cache(Path(sys.argv[1])) as cache:
    key = make_key({"n": 3})
    print(cache.get(key) is not None, end=" ")
    cache.put(make_key({"n": "new"}), b"v", {})
    print(cache.get(make_key({"n": "new"})) is not None)
"""


@pytest.mark.parametrize("what", ["home", "folder", "file"])
def test_a_place_that_can_only_be_read_ends_no_run(public: Path, what: str) -> None:
    folder = public / "below" if what == "home" else public
    if what != "home":
        with Cache(folder) as cache:
            fill(cache)
        (folder / FILE_NAME).chmod(0o444)
        folder.chmod(0o777 if what == "file" else 0o555)
    done = subprocess.run(
        [sys.executable, "-c", READER, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "False"
    assert len(done.stderr.splitlines()) == 1
    assert "cache" in done.stderr
    assert not list(public.glob("*.broken-*"))


def test_a_file_where_the_folder_should_be_ends_no_run_unless_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "actcli").write_text("in the way")
    with pytest.raises(ResourceError, match="is a file"):
        open_cache(str(tmp_path / "actcli"), enabled=True)
    with Cache(tmp_path / "actcli") as cache:
        assert not cache.keeps
    assert "computing everything" in caplog.text


@pytest.mark.parametrize("gone", ["folder", "file"])
def test_a_cache_that_is_removed_while_it_is_used_ends_no_run(tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "c"
    with Cache(folder) as cache:
        fill(cache, 5)
        shutil.rmtree(folder) if gone == "folder" else (folder / FILE_NAME).unlink()
        fill(cache, 60)
        cache.info()
        cache.verify()
    with Cache(folder) as cache:
        cache.put(KEY, b"v", {})
        assert cache.get(KEY) == (b"v", {})


def test_two_that_find_the_damage_set_the_file_aside_once(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        fill(cache, 100, 3000)
    one, other = Cache(tmp_path), Cache(tmp_path)
    content = bytearray((tmp_path / FILE_NAME).read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    with (tmp_path / FILE_NAME).open("r+b") as file:
        file.write(content)
    for cache in (one, other):
        assert not any(cache.get(make_key({"n": n})) for n in range(100))
    one.put(KEY, b"v", {})
    assert other.get(KEY) == (b"v", {})
    one.close()
    other.close()
    assert len(list(tmp_path.glob("*.broken-*"))) == 1


def test_damage_that_is_found_by_writing_is_set_aside_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Cache(tmp_path) as cache:
        fill(cache, 100, 3000)
    content = bytearray((tmp_path / FILE_NAME).read_bytes())
    for page in range(4 * 4096, len(content), 4096):
        content[page : page + 100] = b"\xa5" * 100
    (tmp_path / FILE_NAME).write_bytes(content)
    with Cache(tmp_path) as cache:
        for number in range(5):
            cache.put(make_key({"new": number}), bytes(3000), {})
        assert cache.get(make_key({"new": 4})) == (bytes(3000), {})
    assert caplog.text.count("set aside") == 1


@pytest.mark.parametrize("moment", [0, -86_400, 4_102_444_800, 16_725_225_600])
def test_a_clock_that_jumps_never_makes_a_stale_digest(tmp_path: Path, moment: int) -> None:
    path = tmp_path / "a"
    with Cache(tmp_path / "c") as cache:
        for content in (b"first", b"second!"):
            path.write_bytes(content)
            os.utime(path, (moment, moment))
            assert cache.file_digest(str(path)) == sha256(content).digest()
        os.utime(path, (moment - 10, moment - 10))
        path.write_bytes(b"another")
        assert cache.file_digest(str(path)) == sha256(b"another").digest()


def test_entries_of_the_future_are_found_and_make_room_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 1e9)
    with Cache(tmp_path) as cache:
        cache.put(KEY, b"v", {})
        monkeypatch.setattr(time, "time", lambda: real() - 1e9)
        cache.put(make_key({"n": "past"}), b"w", {})
    with Cache(tmp_path) as cache:
        assert cache.get(KEY) == (b"v", {})
        assert cache.clear(stored_before=real()) == 1
        info = cache.info()
    assert info is not None
    assert info.embeddings == 1


def test_inodes_beyond_what_the_database_holds_are_kept() -> None:
    stat: Any = SimpleNamespace(st_size=1, st_mtime_ns=-5, st_ino=2**64 - 1)
    db = sqlite3.connect(":memory:")
    found = db.execute("SELECT ?, ?, ?", identity_of(stat)).fetchone()
    db.close()
    assert found == identity_of(stat)


@pytest.mark.parametrize("where", ["key", "meta", "value"])
def test_an_entry_is_bound_to_its_key_its_meta_and_its_value(tmp_path: Path, where: str) -> None:
    change = {
        "key": "key = x'00'",
        "meta": "meta = replace(meta, 'last', 'lost')",
        "value": "value = x'00'",
    }[where]
    with Cache(tmp_path) as cache:
        cache.put(KEY, b"value", {"is_last": True})
        assert cache.note(KEY) is not None
        assert cache._db is not None
        cache._db.execute(f"UPDATE embeddings SET {change}")
        key = b"\0" if where == "key" else KEY
        assert cache.get(key) is None
        assert (cache.note(key) is None) == (where != "value")


def test_a_row_that_is_larger_than_is_sensible_is_not_read(tmp_path: Path) -> None:
    with Cache(tmp_path) as cache:
        cache.put(KEY, bytes(5000), {})
        assert cache._db is not None
        assert cache._db.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) == MAX_VALUE_BYTES
        cache._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000)
        assert cache.get(KEY) is None
    assert not list(tmp_path.glob("*.broken-*"))


def test_meta_comes_back_as_it_was_sealed() -> None:
    draw = random.Random(0)
    meta = {"times_s": ((draw.random(), 1e-320), (0.1,)), "text": "\udcff\u2028", "n": None}
    found = unsealed(b"k", sealed(b"k", b"v", meta))
    assert found is not None
    assert found["times_s"] == [list(view) for view in meta["times_s"]]
    assert found["text"] == meta["text"]
    assert unsealed(b"other", sealed(b"k", b"v", meta)) is None


def test_verifying_a_file_that_is_damaged_through_sets_it_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Cache(tmp_path) as cache:
        fill(cache, 300, 3000)
    content = bytearray((tmp_path / FILE_NAME).read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    (tmp_path / FILE_NAME).write_bytes(content)
    with Cache(tmp_path) as cache:
        with pytest.raises(ResourceError, match="can't be read"):
            cache.verify()
        assert cache.verify() == (0, 0)
    assert caplog.text.count("set aside") == 1
