"""The SQLite file behind the cache: opened, made, and set aside where it is damaged.

An entry holds its value and, as JSON, what is known of it, with a digest of each and the key: what
was changed, or stands under another key, is not there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actcli.reading import parse_json

log = logging.getLogger("actcli.cache")

FILE_NAME = "embeddings.sqlite"
MAX_VALUE_BYTES = 512 << 20
"""Of one row: a file that claims more is not believed."""
_OF_VALUE, _OF_META = "value_sha256", "meta_sha256"
_BUSY_S = 30.0
_COLUMNS = {
    "embeddings": ["key", "value", "meta", "stored"],
    "digests": ["path", "size", "mtime_ns", "inode", "digest"],
}
_FOREIGN = "SELECT 1 FROM sqlite_master WHERE type NOT IN ('table', 'index')"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS embeddings (
    key BLOB PRIMARY KEY, value BLOB NOT NULL, meta TEXT NOT NULL, stored REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS embeddings_stored ON embeddings (stored);
CREATE TABLE IF NOT EXISTS digests (
    path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, digest BLOB NOT NULL
) WITHOUT ROWID;
"""


class Database(sqlite3.Connection):
    """An open file, and which one it is."""

    path: Path
    inode: int


def open_file(folder: Path) -> Database | None:
    """The database in `folder`, made if absent; a broken file is set aside, said, and remade."""
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return connect(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            set_aside(path, error)
            return connect(path)
    except (OSError, sqlite3.Error) as error:
        log.warning("no cache at %s (%s): computing everything", folder, error)
        return None


def set_aside(path: Path, error: sqlite3.Error) -> None:
    """Give a damaged file another name, so that a new one takes its place."""
    aside = path.with_suffix(f".broken-{time.time_ns()}")
    # They belong to the damaged file; beside a new one, a killed run's would be played into that.
    for companion in ("-wal", "-shm"):
        path.with_name(path.name + companion).unlink(missing_ok=True)
    os.replace(path, aside)
    log.warning("the cache was damaged (%s): set aside as %s", error, aside)


def remake(db: Database, error: sqlite3.Error) -> Database | None:
    """Close a damaged file, set it aside and begin a new one.

    One that another process began meanwhile is taken as it is.
    """
    path, inode = db.path, db.inode
    db.close()
    try:
        if path.exists() and path.stat().st_ino == inode:
            set_aside(path, error)
        return connect(path)
    except (OSError, sqlite3.Error) as another:
        log.warning("no cache at %s (%s): computing everything", path.parent, another)
        return None


def connect(path: Path) -> Database:
    """The database of a file, with its tables; raises sqlite3.Error.

    Nothing in the file runs: no function in a view or trigger of someone else's.
    """
    db = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, factory=Database
    )
    db.text_factory = lambda text: text.decode("utf-8", "replace")  # damage is for digests to find
    try:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA cell_size_check = ON")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(_SCHEMA)
        for table, columns in _COLUMNS.items():
            found = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            if found != columns:
                raise sqlite3.DatabaseError(f"its table {table} is another one")
        if db.execute(_FOREIGN).fetchone() is not None:
            raise sqlite3.DatabaseError("it holds more than tables")
        db.path, db.inode = path, path.stat().st_ino
    except (OSError, sqlite3.Error):
        db.close()
        raise
    return db


def live_bytes(db: sqlite3.Connection) -> int:
    """Of the pages that hold something; raises sqlite3.Error."""
    count, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((count - free) * size)


def sealed(key: bytes, value: bytes, meta: Mapping[str, Any]) -> str:
    """What is stored beside a value: `meta` as JSON, with its own digest and that of the value."""
    about = {**meta, _OF_VALUE: _digest_of(key, value)}
    return json.dumps({**about, _OF_META: _digest_of(key, _canonical(about))})


def unsealed(key: bytes, text: object) -> dict[str, Any] | None:
    """The meta of an entry and the digest of its value; None if it isn't what was stored."""
    try:
        meta: dict[str, Any] = dict(parse_json(text)) if isinstance(text, str) else {}
        return meta if meta.pop(_OF_META) == _digest_of(key, _canonical(meta)) else None
    except (ValueError, KeyError, TypeError):
        return None


def is_value_of(key: bytes, value: object, meta: dict[str, Any]) -> bool:
    """Whether a value is the one that was stored; takes its digest out of the meta."""
    digest = meta.pop(_OF_VALUE, None)
    return isinstance(value, bytes) and digest == _digest_of(key, value)


def _digest_of(key: bytes, content: bytes) -> str:
    digest = hashlib.sha256(key)
    digest.update(content)
    return digest.hexdigest()


def _canonical(about: Mapping[str, Any]) -> bytes:
    return json.dumps(about, sort_keys=True).encode()


def identity_of(stat: os.stat_result) -> tuple[int, int, int]:
    """What changes when a file does, in numbers that SQLite can hold."""
    most = (1 << 63) - 1  # file systems of other machines have larger ones
    return stat.st_size & most, stat.st_mtime_ns & most, stat.st_ino & most
