"""The folder that huggingface_hub keeps its downloads in, read without importing that package.

Its layout is public and stable, and other programs share it:

    models--ORGANISATION--NAME/refs/main             the commit that main was at
                               /snapshots/COMMIT/FILE  a link to
                               /blobs/DIGEST           the content, named by what it hashes to
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

DEFAULT_ENDPOINT: Final = "https://huggingface.co"
_LEFT_S: Final = 3600
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubSettings:
    """Where models come from and are kept; whoever makes it has read the environment."""

    cache_dir: Path
    endpoint: str = DEFAULT_ENDPOINT
    token: str | None = field(default=None, repr=False)
    """Sent to the endpoint, and to nobody that it points to."""
    offline: bool = False
    answer_timeout_s: float = 4.0
    """How long the hub may take to say what it has; name look-up and connection included."""
    stall_timeout_s: float = 10.0
    """How long a transfer may stand still before it is taken up again."""

    @property
    def is_verified(self) -> bool:
        """Whether nobody but the hub can answer: it has a certificate, or is this machine."""
        parts = urlsplit(self.endpoint)
        if parts.scheme == "https" or parts.hostname == "localhost":
            return True
        with suppress(ValueError):  # a name
            return ipaddress.ip_address(parts.hostname or "").is_loopback
        return False


def repository_folder(cache_dir: Path, repository: str) -> Path:
    """Where everything of one repository is kept."""
    return cache_dir / ("models--" + repository.replace("/", "--"))


def cached_repositories(cache_dir: Path) -> Iterator[str]:
    """The repositories that have a folder here, by name."""
    for folder in sorted(cache_dir.glob("models--*")):
        yield folder.name.removeprefix("models--").replace("--", "/")


def snapshots(cache_dir: Path, repository: str) -> list[Path]:
    """The folders of the commits that are here, that of `main` first, then the newest."""
    folder = repository_folder(cache_dir, repository)
    try:
        main = (folder / "refs/main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        main = ""
    try:
        found = [path for path in (folder / "snapshots").iterdir() if path.is_dir()]
        return sorted(found, key=lambda path: (path.name == main, path.stat().st_mtime))[::-1]
    except OSError:
        return []


def promised_digest(path: Path) -> str | None:
    """What the hub said that a kept file hashes to; None where the layout doesn't tell."""
    name = path.resolve().name if path.is_symlink() else ""
    return name if is_digest(name) else None


def is_digest(etag: str) -> bool:
    """Whether an entity tag of the hub says what the content hashes to."""
    return bool(_SHA256.fullmatch(etag) or _GIT_SHA1.fullmatch(etag))


def content_digest(path: Path, like: str) -> str:
    """The digest of a file's content, of the kind that `like` is.

    Large files have their sha256; small ones what git calls them: sha1("blob SIZE\\0" + content).
    """
    with path.open("rb") as file:
        if _SHA256.fullmatch(like):
            return hashlib.file_digest(file, "sha256").hexdigest()
        content = file.read()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def remove_file(path: Path) -> None:
    """Remove a kept file, its content included; the client would go on using either."""
    content = path.resolve()
    path.unlink(missing_ok=True)
    content.unlink(missing_ok=True)


def remove_leftovers(cache_dir: Path, repository: str) -> None:
    """Remove what downloads that were killed have left: the client never takes them up again.

    One that is still going on has written within the hour.
    """
    for path in (repository_folder(cache_dir, repository) / "blobs").glob("*.incomplete"):
        try:
            if time.time() - path.stat().st_mtime > _LEFT_S:
                path.unlink()
        except OSError:
            continue  # somebody else was faster, or has the right to
