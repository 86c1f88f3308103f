"""Labels as names of folders that every file system takes, and that no two labels share."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

_MAX_BYTES: Final = 120
# What Windows refuses in names, path separators among it; control characters; broken bytes.
_REFUSED = re.compile('[<>:"/\\\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.I)


def folder_names(labels: Iterable[str], *, taken: Iterable[str] = ()) -> dict[str, str]:
    """A folder for each label, the label itself wherever it can be a folder's name.

    Two labels that would share a folder, also where case doesn't count, get a digest behind their
    names; so does one whose folder would be among `taken`. The order of the labels changes nothing.
    """
    safe = {label: safe_name(label) for label in labels}
    shared = Counter(map(_key, safe.values()))
    unchanged = Counter(_key(name) for label, name in safe.items() if name == label)
    refused = set(map(_key, taken))
    return {
        label: name
        if _keeps(label, name, shared, unchanged, refused)
        else f"{name} ~{_digest(label)}"
        for label, name in safe.items()
    }


def _keeps(
    label: str,
    name: str,
    shared: Mapping[str, int],
    unchanged: Mapping[str, int],
    refused: set[str],
) -> bool:
    key = _key(name)
    if key in refused:
        return False
    return shared[key] == 1 or (name == label and unchanged[key] == 1)


def safe_name(text: str) -> str:
    """The text as one part of a path: "pick up/drop" becomes "pick up-drop"."""
    name = _REFUSED.sub("-", unicodedata.normalize("NFC", text))
    name = " ".join(name.split()).rstrip(". ")
    if name.startswith("."):
        name = "_" + name.lstrip(".")
    if not name:
        return f"_{_digest(text)}"
    if _DEVICES.fullmatch(name):
        name = f"{name}_"
    if len(name.encode()) <= _MAX_BYTES:
        return name
    return f"{cut_bytes(name, _MAX_BYTES - 8)} ~{_digest(text)}"


def cut_bytes(text: str, limit: int) -> str:
    """The beginning of a text that fits into `limit` bytes, whole characters only."""
    data = text.encode("utf-8", "surrogateescape")[:limit]
    while data:
        try:
            return data.decode("utf-8").rstrip(". ")
        except UnicodeDecodeError as error:
            if error.end < len(data):  # a name that isn't UTF-8 to begin with
                return data.decode("utf-8", "surrogateescape")
            data = data[: error.start]
    return ""


def _key(name: str) -> str:
    """Equal for two names that a file system may hold to be one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _digest(label: str) -> str:
    return hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:6]
