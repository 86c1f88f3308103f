"""Lists of class names that go with a dataset: draws of classes, base and novel ones.

One name a line, or `id,name` as CSV with or without a header, or `id name`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from actcli.data.labels import LabelSet
from actcli.data.list_text import read_list_text
from actcli.data.walk import natural_key
from actcli.errors import InputError, ManifestError, close_names, shorten_list

_NUMBERED = re.compile(r"(?P<number>\d+)\s*[,;\t ]\s*(?P<name>\S.*)")
_HEADER = {"id,name", "id,label", "index,name", "label", "name", "class"}


def read_draws(folder: str, known: LabelSet) -> dict[str, LabelSet]:
    """Each list of a folder as a choice of the known classes, in natural order of its name.

    Raises InputError for a folder without lists, ManifestError for a name that is no class.
    """
    files = [name for name in _list_files(folder) if not name.lower().startswith("readme")]
    if not files:
        raise InputError(f"--lists {folder}: no lists (expected .txt or .csv files, a draw each)")
    return {name: read_classes(os.path.join(folder, name), known) for name in files}


def read_named_lists(folder: str, wanted: Sequence[str], known: LabelSet) -> Mapping[str, LabelSet]:
    """The lists whose file names hold certain words: {word: classes}.

    Raises InputError where one isn't there or several are, ManifestError as `read_draws`.
    """
    files = _list_files(folder)
    found = {}
    for word in wanted:
        own = [name for name in files if word in name.lower()]
        if len(own) != 1:
            got = shorten_list(own) if own else f"none among {shorten_list(files) or 'no files'}"
            raise InputError(
                f"--lists {folder}: one list of {word} classes is needed (got {got})",
                hint=f"a file such as {word}_labels.csv, one name a line or id,name",
            )
        found[word] = read_classes(os.path.join(folder, own[0]), known)
    return found


def read_classes(path: str, known: LabelSet) -> LabelSet:
    """The classes that a list names, spelled as they are known.

    Raises ManifestError for a name that is no class, or that stands there twice.
    """
    chosen: dict[str, int] = {}
    for number, line in read_list_text(path).lines():
        name = line.strip()
        if name.lower().replace(" ", "") in _HEADER or name.startswith("#"):
            continue
        place = known.find(name)
        if place is None and (match := _NUMBERED.fullmatch(name)):
            name = match["name"].strip('"')
            place = known.find(name)
        if place is None:
            close = close_names(name, known.names)
            raise ManifestError(
                f'{path}:{number}: "{name}" is no class of {known.source}',
                hint=f"did you mean {close[0]}?" if close else None,
            )
        if known[place] in chosen:
            raise ManifestError(
                f'{path}:{number}: "{name}" stands there twice (line {chosen[known[place]]})'
            )
        chosen[known[place]] = number
    if not chosen:
        raise ManifestError(f"{path}: names no class")
    return LabelSet(tuple(chosen), source=path)


def _list_files(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        raise InputError(f"--lists {folder}: no such folder")
    names = [name for name in os.listdir(folder) if name.lower().endswith((".txt", ".csv"))]
    return sorted(names, key=natural_key)
