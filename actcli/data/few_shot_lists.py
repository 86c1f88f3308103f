"""The videos of published few-shot splits, found below one root by the bundled lists.

    hmdb51, ucf101           all videos of each class's folder
    kinetics100              <any folder>/<class>/<file>, files of Kinetics-400
    ssv2_full, ssv2_small    <id>.webm or <id>.mp4

Instead of the bundled lists, `--lists` may hold the published ones (`test_few_shot.txt`, …).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from actcli.data.datasets import Listed, check_counts
from actcli.data.kinetics_lists import FileFinder
from actcli.data.labels import LabelSet
from actcli.data.manifest import read_manifest
from actcli.data.splits import SplitClass, SplitPart, find_class, read_split, split_videos
from actcli.data.walk import find_videos
from actcli.errors import InputError, UsageError, shorten_list
from actcli.types import VideoRef
from actcli.wording import match_key

COUNTS: Final[Mapping[str, Mapping[str, int]]] = {
    "hmdb51": {"train": 4280, "val": 1194, "test": 1292},
    "ucf101": {"train": 9154, "val": 1421, "test": 2745},
    "kinetics100": {"train": 6400, "val": 1200, "test": 2400},
    "ssv2_full": {"train": 67013, "val": 1926, "test": 2857},
    "ssv2_small": {"train": 6400, "val": 1200, "test": 2400},
}
"""Videos of each part, as published (CLIP-FSAR's lists)."""
_HOMES: Final = ("", "videos", "UCF-101", "hmdb51", "hmdb51_org", "20bn-something-something-v2",
                 "train_256", "val_256", "train", "val")  # fmt: skip


def find_few_shot(name: str) -> str | None:
    """The published split that a name means, spelled in any usual way."""
    return {match_key(known): known for known in COUNTS}.get(match_key(name))


def read_few_shot_split(
    name: str, root: str, part: SplitPart, *, lists: str | None = None, exact: bool = True
) -> Listed:
    """The videos of one part of a published split, missing ones where they would be.

    exact:  refuse folders and lists whose counts are not the published ones

    Raises InputError for a folder that isn't there, UsageError for a part without names.
    """
    split = read_split(name)
    classes = split.part(part)
    if not classes:
        raise UsageError(
            f"{split.name}: the names of its {part} classes were never published",
            hint="--part test, or --part train",
        )
    if not os.path.isdir(root):
        raise InputError(f"--root {root}: no such folder")
    labels = LabelSet(tuple(one.name for one in classes), source=f"{split.name} {part}")
    notes: tuple[str, ...] = ()
    if lists is not None:
        source, refs = _published(lists, root, part, classes)
    elif (videos := split_videos(name, part)) is not None:
        source, refs = f"the bundled list of {split.name}", _listed(root, classes, videos)
    else:
        source, refs = root, _whole_folders(split.name, root, classes, exact=exact)
    if exact:
        check_counts(source, f"{split.name} {part}", COUNTS[split.name][part], len(refs))
    else:
        seen = {ref.label for ref in refs}
        if lost := [name for name in labels if name not in seen]:
            notes = (f"without {len(lost)} classes that have no folder: {shorten_list(lost)}",)
        labels = LabelSet(tuple(name for name in labels if name in seen), source=labels.source)
    return Listed(tuple(refs), labels, source, notes)


def _published(
    lists: str, root: str, part: SplitPart, classes: Sequence[SplitClass]
) -> tuple[str, list[VideoRef]]:
    """The videos of a list in its published form, `test3//videos/…` or `test3/78687` a line."""
    path = lists
    if os.path.isdir(lists):
        wanted = re.compile(rf"{part}.*\.txt", re.IGNORECASE)
        found = sorted(filter(wanted.fullmatch, os.listdir(lists)))
        if not found:
            raise InputError(f"--lists {lists}: no list of {part} (expected {part}_few_shot.txt)")
        path = os.path.join(lists, found[0])
    elif not os.path.isfile(lists):
        raise InputError(f"--lists {lists}: no such file or folder")
    names = [one.name for one in classes]
    manifest = read_manifest(path, root=root, split=part, names=names, dialect="few-shot")
    return path, list(manifest.refs)


def _listed(
    root: str, classes: Sequence[SplitClass], videos: Sequence[Sequence[str]]
) -> list[VideoRef]:
    finder, refs = FileFinder(), []
    homes = [os.path.join(root, home) for home in _HOMES]
    homes = [home for home in homes if os.path.isdir(home)]
    for one, names in zip(classes, videos, strict=True):
        own = [os.path.join(home, one.folder or "") for home in homes]
        for name in names:
            paths = (finder.find(folder.rstrip("/"), name) for folder in own)
            path = next(filter(None, paths), None)
            path = path or os.path.join(root, one.folder or "", f"{name}.mp4")
            refs.append(VideoRef(path, label=one.name))
    return refs


def _whole_folders(
    name: str, root: str, classes: Sequence[SplitClass], *, exact: bool
) -> list[VideoRef]:
    """All videos of the classes' folders, however these are spelled."""
    for home in (os.path.join(root, home) for home in _HOMES):
        folders = _class_folders(name, home) if os.path.isdir(home) else {}
        if folders:
            break
    else:
        raise InputError(
            f"--root {root}: no folder of a class of {name} "
            f"(expected {shorten_list([str(one.folder) for one in classes], limit=3)}, …)"
        )
    refs: list[VideoRef] = []
    for one in classes:
        paths = find_videos(folders[one.name]) if one.name in folders else iter(())
        refs += [VideoRef(path, label=one.name) for path in paths]
    missing = [one.folder for one in classes if one.name not in folders]
    if missing and (exact or len(missing) == len(classes)):
        raise InputError(
            f"{home}: {len(missing)} of {len(classes)} classes have no folder: "
            f"{shorten_list(map(str, missing))}",
            hint="extract the whole archive",
        )
    return [replace(ref, id=ref.path) for ref in refs]


def _class_folders(name: str, home: str) -> dict[str, str]:
    split, found = read_split(name), {}
    for entry in sorted(os.listdir(home)):
        one = find_class(split, entry)
        if one is not None and os.path.isdir(os.path.join(home, entry)):
            found[one.name] = os.path.join(home, entry)
    return found
