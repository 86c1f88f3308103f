"""A cache file that was changed: entries are as they were stored, or not there."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actcli.cache import Cache, make_key
from actcli.cache_file import FILE_NAME
from tests.fuzz.making import FACTOR, bounded, edited, examples, is_error, odd_value, outcome

KEYS = [make_key({"n": n}) for n in range(40)]
META = {"dtype": "float32", "shape": [1, 2, 2], "times_s": [[0.5, 1.5]], "is_last": False}


def value_of(number: int) -> bytes:
    return bytes([number]) * 300


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("valid")
    with Cache(folder) as cache:
        for number, key in enumerate(KEYS):
            cache.put(key, value_of(number), META)
        assert cache._db is not None
        cache._db.execute("INSERT INTO digests VALUES (x'2f61', 1, 2, 3, x'00')")
    return (folder / FILE_NAME).read_bytes()


def look(folder: Path) -> int:
    """Use a cache in every way; returns how many entries were there, all of them as stored."""
    with bounded(), Cache(folder) as cache:
        found = 0
        for number, key in enumerate(KEYS):
            hit = cache.get(key)
            assert hit in (None, (value_of(number), META))
            found += hit is not None
            note = cache.note(key)
            assert note is None or note["is_last"] is False
        if cache.keeps:
            cache.info()
            counts = outcome(cache.verify)
            assert is_error(counts) or counts[0] >= counts[1]
        again = []
        for _ in range(4):  # a file that is set aside meanwhile costs the entry
            cache.put(KEYS[0], b"new", {})
            again.append(cache.get(KEYS[0]))
        assert not cache.keeps or not cache._writable or again[-1] == (b"new", {})
    return found


def test_a_valid_one_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert look(tmp_path) == len(KEYS)


def test_a_flipped_bit_costs_what_it_hits(tmp_path: Path, content: bytes) -> None:
    step = 797 if FACTOR == 1 else 11
    for i in [*range(0, 100, 3), *range(100, len(content), step)]:
        changed = bytearray(content)
        changed[i] ^= 1 << i % 8
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(changed)
        look(folder)


@examples(60)
@given(st.data())
def test_bytes_changed(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("edited")
    (folder / FILE_NAME).write_bytes(data.draw(edited(content)))
    look(folder)


@examples(30)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, begins_well: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    start = b"SQLite format 3\0" if begins_well else b""
    (folder / FILE_NAME).write_bytes(start + content)
    (folder / f"{FILE_NAME}-wal").write_bytes(content)
    look(folder)


@examples(60)
@given(column=st.sampled_from(["key", "value", "meta", "stored"]),
       value=st.one_of(odd_value.filter(lambda v: isinstance(v, str | float | bytes | None)),
                       st.integers(-(2**63), 2**63 - 1), st.binary()))  # fmt: skip
def test_rows_of_other_types(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, column: str, value: Any
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    (folder / FILE_NAME).write_bytes(content)
    db = sqlite3.connect(folder / FILE_NAME, isolation_level=None)
    try:
        db.execute(f"UPDATE OR IGNORE embeddings SET {column} = ?", (value,))
    except (sqlite3.Error, UnicodeEncodeError):
        return
    finally:
        db.close()
    look(folder)


TRAPS = {
    "other columns": "DROP TABLE embeddings; CREATE TABLE embeddings (key, value)",
    "a view": "DROP TABLE embeddings; CREATE VIEW embeddings AS WITH RECURSIVE n(i) AS "
    "(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i key, i value, i meta, i stored FROM n",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON embeddings BEGIN DELETE FROM embeddings; END",
    "a digest that is a number": "UPDATE digests SET digest = 1000000000000",
    "a table that is gone": "DROP TABLE digests",
    "an index that is gone": "DROP INDEX embeddings_stored",
}


@pytest.mark.parametrize("name", TRAPS)
def test_known_traps(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    db = sqlite3.connect(tmp_path / FILE_NAME)
    db.executescript(TRAPS[name])
    db.close()
    look(tmp_path)
