"""The SQLite file behind the cache: opened, made, and set aside where it is damaged."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path

log = logging.getLogger("actcli.cache")

FILE_NAME = "embeddings.sqlite"
_BUSY_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS embeddings (
    key BLOB PRIMARY KEY, value BLOB NOT NULL, meta TEXT NOT NULL, stored REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS embeddings_stored ON embeddings (stored);
CREATE TABLE IF NOT EXISTS digests (
    path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, digest BLOB NOT NULL
) WITHOUT ROWID;
"""


def open_file(folder: Path) -> sqlite3.Connection | None:
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
    os.replace(path, aside)
    for companion in ("-wal", "-shm"):  # they belong to the damaged file
        path.with_name(path.name + companion).unlink(missing_ok=True)
    log.warning("the cache was damaged (%s): set aside as %s", error, aside)


def connect(path: Path) -> sqlite3.Connection:
    """The database of a file, with its tables; raises sqlite3.Error."""
    db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(_SCHEMA)
    except sqlite3.Error:
        db.close()
        raise
    return db
