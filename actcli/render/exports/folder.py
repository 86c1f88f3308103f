"""One export a video, in a folder."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from actcli.render.exports.cues import Turn
from actcli.render.sinks import storage_errors
from actcli.types import Failure, Prediction, VideoRef

if TYPE_CHECKING:
    from actcli.render.writer import ResultWriter

_MAX_NAME_BYTES: Final = 200
# What some file system refuses in a name; escapes of bytes that are not UTF-8 may stay.
_REFUSED: Final = re.compile('[\x00-\x1f\x7f<>:"|?*\ud800-\udc7f\udd00-\udfff]')


class FolderWriter:
    """Opens a writer for each video once its first result comes, in a file named after it.

    "films/a.mp4" becomes "a.srt"; where an earlier video has that name, "films/a.srt", else
    "a-2.srt". Every file lies inside the folder, and no video takes the file of another. A file of
    an earlier run is written over, as with `-o FILE`; a video that fails makes none.
    """

    def __init__(
        self, folder: str | Path, suffix: str, open_one: Callable[[Path], ResultWriter]
    ) -> None:
        self._folder = Path(folder)
        self._suffix = suffix
        self._open_one = open_one
        self._turn = Turn()
        self._current: ResultWriter | None = None
        self._taken: set[str] = set()
        self._seen: set[tuple[str, str]] = set()

    def write(self, result: Prediction | Failure) -> None:
        """Write one result to the file of its video; a failure is left out."""
        if isinstance(result, Failure):
            return
        if self._turn.is_new(result) or self._current is None:
            self._end_video()
            self._current = self._open_one(self._new_path(result.ref))
        self._current.write(result)

    def finish(self, run: Mapping[str, Any] | None = None) -> None:
        """Complete the last file; the folder is there also if there was no result."""
        self._end_video()
        with storage_errors(str(self._folder)):
            self._folder.mkdir(exist_ok=True)

    def close(self) -> None:
        """Complete what was begun and let go of the file."""
        current, self._current = self._current, None
        if current is not None:
            current.close()

    def _end_video(self) -> None:
        current = self._current
        if current is not None:
            current.finish()
            self.close()

    def _new_path(self, ref: VideoRef) -> Path:
        """Where the next video goes; makes the folders on the way."""
        with storage_errors(str(self._folder)):
            self._folder.mkdir(exist_ok=True)
            root = os.path.realpath(self._folder)
            for name in self._names(ref):
                path = self._folder / f"{name}{self._suffix}"
                if not self._is_free(f"{name}{self._suffix}"):
                    continue
                # A link could lead out of the folder.
                parent = os.path.realpath(path.parent)
                is_outside = os.path.commonpath([root, parent]) != root or path.is_symlink()
                if is_outside or path.is_dir():
                    continue
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                except (FileExistsError, NotADirectoryError):
                    continue
                self._taken.add(_folded(f"{name}{self._suffix}"))
                self._seen.add((ref.id, ref.path))
                return path
        raise AssertionError("numbers don't end")

    def _names(self, ref: VideoRef) -> Iterator[str]:
        """Names for a video inside the folder, without suffix, the best first."""
        *above, stem = safe_parts(ref.id)
        yield stem
        if above and (ref.id, ref.path) not in self._seen:
            yield "/".join([*above, stem])
        number = 2
        while True:
            yield f"{stem}-{number}"
            number += 1

    def _is_free(self, name: str) -> bool:
        """True if no file of this run has that name, nor is one where a folder would be."""
        parts = _folded(name).split("/")
        ways = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        return self._taken.isdisjoint(ways)


def _folded(name: str) -> str:
    """The name as file systems compare it that don't tell "É.srt" from "é.srt"."""
    return unicodedata.normalize("NFC", name).casefold()


def safe_parts(id: str) -> list[str]:
    """Folders and file of a path or address, without suffix, as names that stay in a folder."""
    if "://" in id:
        id = unquote(urlsplit(id).path)
    parts = [part for part in id.replace("\\", "/").split("/") if part.strip(". ")]
    if parts:
        parts[-1] = os.path.splitext(parts[-1])[0]
    return [_safe_name(part) for part in parts] or ["video"]


def _safe_name(part: str) -> str:
    name = _REFUSED.sub("_", part).strip(". ") or "_"
    cut = os.fsencode(name)[:_MAX_NAME_BYTES]
    return name if len(cut) == len(os.fsencode(name)) else cut.decode("utf-8", "ignore")
