"""Embeddings on disk: content key -> bytes, in one SQLite file that survives `kill -9`.

Keys are digests of all that decides a value, so nothing is ever invalidated by hand. Content
digests of files are memoised by (path, size, mtime, inode): a second run reads no video.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from types import TracebackType
from typing import Any

from actcli.cache_file import (
    FILE_NAME,
    identity_of,
    is_value_of,
    live_bytes,
    open_file,
    remake,
    sealed,
    unsealed,
)
from actcli.errors import ResourceError
from actcli.paths import TarMember
from actcli.remote.opening import remote_content
from actcli.tars import content_digest

log = logging.getLogger("actcli.cache")

MAX_BYTES = 10 << 30
_TRIM_EVERY = 2000


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What a cache holds."""

    path: str
    embeddings: int
    digests: int
    """Files whose content is known without reading them."""
    num_bytes: int
    max_bytes: int
    oldest: float | None
    """When the oldest embedding was stored, in seconds since 1970."""


def default_folder() -> Path:
    """Where caches belong for this user: ACTCLI_CACHE is the caller's to read."""
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "actcli"


def make_key(parts: Mapping[str, Any]) -> bytes:
    """sha256 of canonical JSON: equal parts, equal key, on any machine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


class Cache:
    """A mapping from key to (bytes, meta) on disk; closed, full or broken, it only forgets.

    folder: None keeps nothing on disk, yet digests files once per run.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._puts = 0
        self._writable = True
        self._memo: dict[bytes, tuple[tuple[int, int, int], bytes]] = {}
        self._db = None if folder is None else open_file(folder)
        if self._db is None:
            self.folder = None

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def keeps(self) -> bool:
        """Whether anything stored now could be found later."""
        return self._db is not None

    def close(self) -> None:
        """Trim to the size bound and close the file; later calls find nothing."""
        with self._lock:
            if self._db is not None:
                if self._puts:
                    self._trim()
                self._db.close()
                self._db = None

    def get(self, key: bytes) -> tuple[bytes, dict[str, Any]] | None:
        """The stored bytes and their meta, or None; an entry that was damaged is not there."""
        row = self._read("SELECT value, meta FROM embeddings WHERE key = ?", (key,))
        meta = None if row is None else unsealed(key, row[1])
        return (row[0], meta) if meta is not None and is_value_of(key, row[0], meta) else None

    def note(self, key: bytes) -> dict[str, Any] | None:
        """The meta of an entry alone, whose bytes may be damaged; or None."""
        row = self._read("SELECT meta FROM embeddings WHERE key = ?", (key,))
        return None if row is None else unsealed(key, row[0])

    def count(self) -> int:
        """How many embeddings are stored."""
        info = self.info()
        return 0 if info is None else info.embeddings

    def info(self) -> CacheInfo | None:
        """What is stored; None where nothing is kept."""
        row = self._read("SELECT count(*), min(stored) FROM embeddings", ())
        digests = self._read("SELECT count(*) FROM digests", ())
        if row is None or digests is None or self.folder is None:
            return None
        path = str(self.folder / FILE_NAME)
        oldest = row[1] if isinstance(row[1], float) else None
        try:
            return CacheInfo(path, row[0], digests[0], self._live_bytes(), MAX_BYTES, oldest)
        except sqlite3.Error:
            return None

    def clear(self, stored_before: float | None = None) -> int:
        """Forget embeddings, those stored before a moment or all; returns how many.

        Raises ResourceError if the file can't be written.
        """
        assert self._db is not None, "a cache that keeps something"
        with self._lock:
            try:
                moment = float("inf") if stored_before is None else stored_before
                gone = self._db.execute("DELETE FROM embeddings WHERE stored < ?", (moment,))
                if stored_before is None:
                    self._db.execute("DELETE FROM digests")
                self._db.execute("VACUUM")
            except sqlite3.Error as error:
                raise ResourceError(
                    f"{self.folder}: the cache can't be cleared ({error})"
                ) from error
            return gone.rowcount

    def verify(self) -> tuple[int, int]:
        """Read every embedding and drop those that were damaged: (read, dropped).

        Raises ResourceError if the file can't be read; where it is damaged, it is set aside.
        """
        assert self._db is not None, "a cache that keeps something"
        with self._lock:
            try:
                keys = [row[0] for row in self._db.execute("SELECT key FROM embeddings")]
            except sqlite3.Error as error:
                if type(error) is sqlite3.DatabaseError:
                    self._db = remake(self._db, error)
                raise ResourceError(f"{self.folder}: the cache can't be read ({error})") from error
        bad = [key for key in keys if self.get(key) is None]
        for key in bad:
            self._write("DELETE FROM embeddings WHERE key = ?", (key,))
        return len(keys), len(bad)

    def put(self, key: bytes, value: bytes, meta: Mapping[str, Any]) -> None:
        """Store; a full disk or a read-only file costs the entry, with one warning."""
        self._write(
            "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)",
            (key, value, sealed(key, value, meta), time.time()),
        )
        self._puts += 1
        if self._puts % _TRIM_EVERY == 0:
            self._trim()

    def file_digest(self, path: str) -> bytes:
        """sha256 of a file's content, read only if the file changed since the last time.

        Of a remote object, and of what lies in a remote archive, it is of its URI and version.
        Raises OSError.
        """
        if (remote := remote_content(path)) is not None:
            return remote
        stat = os.stat(path.archive if isinstance(path, TarMember) else path)
        if not S_ISREG(stat.st_mode):
            raise OSError(f"{path} is not a regular file")  # reading a pipe would wait, and eat it
        if (known := self._known_digest(path, stat)) is not None:
            return known
        name, identity = os.fsencode(os.path.abspath(path)), identity_of(stat)
        digest = content_digest(path)
        if self._db is None:
            self._memo[name] = (identity, digest)
        elif time.time_ns() - stat.st_mtime_ns > 2_000_000_000:
            # A file that changes within the clock's grain could keep its identity.
            self._write(
                "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?)", (name, *identity, digest)
            )
        return digest

    def knows(self, path: str) -> bool:
        """Whether a file was digested before and is as it was: then it likely is embedded too."""
        try:
            place = path.archive if isinstance(path, TarMember) else path
            return self._known_digest(path, os.stat(place)) is not None
        except (OSError, ValueError):
            return False

    def _known_digest(self, path: str, stat: os.stat_result) -> bytes | None:
        name, identity = os.fsencode(os.path.abspath(path)), identity_of(stat)
        if (known := self._memo.get(name)) and known[0] == identity:
            return known[1]
        query = "SELECT size, mtime_ns, inode, digest FROM digests WHERE path = ?"
        row = self._read(query, (name,))
        if row is None or tuple(row[:3]) != identity or not isinstance(row[3], bytes):
            return None
        return row[3] if len(row[3]) == hashlib.sha256().digest_size else None

    def _read(self, query: str, values: tuple[Any, ...]) -> Any:
        with self._lock:
            db = self._db
            try:
                return None if db is None else db.execute(query, values).fetchone()
            except sqlite3.DataError:  # a row that claims to be larger than is sensible
                return None
            except sqlite3.OperationalError as error:
                log.warning("the cache can't be read (%s): computing instead", error)
                self._forget(db)
            except sqlite3.DatabaseError as error:
                self._db = None if db is None else remake(db, error)
            return None

    def _forget(self, db: sqlite3.Connection | None) -> None:
        self._db = None
        if db is not None:
            db.close()

    def _write(self, query: str, values: tuple[Any, ...]) -> None:
        with self._lock:
            if self._db is None or not self._writable:
                return
            try:
                self._db.execute(query, values)
            except sqlite3.Error as error:
                if type(error) is sqlite3.DatabaseError:  # the file is damaged
                    self._db = remake(self._db, error)
                    return
                self._writable = False
                log.warning("the cache can't be written (%s): going on without", error)

    def _trim(self) -> None:
        """Drop the oldest entries until the file's live pages fit the bound."""
        with self._lock:
            try:
                while self._db is not None and self._live_bytes() > MAX_BYTES:
                    deleted = self._db.execute(
                        "DELETE FROM embeddings WHERE key IN "
                        "(SELECT key FROM embeddings ORDER BY stored LIMIT 1000)"
                    )
                    if deleted.rowcount == 0:
                        break
            except sqlite3.Error as error:
                log.warning("the cache can't be trimmed (%s)", error)

    def _live_bytes(self) -> int:
        assert self._db is not None
        return live_bytes(self._db)


def open_cache(folder: str | None, *, enabled: bool) -> Cache:
    """The user's cache, the one in `folder`, or one that keeps nothing.

    Raises ResourceError if `folder` was named and is a file.
    """
    if not enabled:
        return Cache(None)
    path = default_folder() if folder is None else Path(folder).expanduser()
    if os.path.exists(path) and not os.path.isdir(path):
        raise ResourceError(
            f"--cache-dir {path}: is a file (expected a directory)", hint="or use --no-cache"
        )
    return Cache(path)
