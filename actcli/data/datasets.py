"""The datasets that papers report on: where their lists and videos lie below one root.

    ucf101        ApplyEyeMakeup/*.avi                          ucfTrainTestlist/testlist01.txt
    hmdb51        brush_hair/*.avi                              …/<label>_test_split1.txt
    kinetics400   val/<label>/*.mp4, or <label>/*.mp4           val.csv; else the folders
    kinetics600   the same
    ssv2          20bn-something-something-v2/*.webm            validation.json, labels.json

Lists are looked for below `--lists`, then below the root, two folders deep. What a dataset's own
lists say is checked against what is published of them; what is not there is never made up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from actcli.data.labels import LabelSet
from actcli.data.list_text import HMDB_NAME, UCF_NAME
from actcli.data.manifest import Manifest, read_manifest
from actcli.data.official_lists import numbered_split
from actcli.data.walk import natural_key
from actcli.errors import InputError, ManifestError, UsageError, close_names, shorten_list
from actcli.reading import parse_json, read_at_most
from actcli.types import VideoRef
from actcli.wording import match_key

_MOST_BYTES: Final = 1 << 26
_TRIED: Final = 50
"""Videos of a list that are looked for when the folder of the videos is."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is known of a dataset before it is seen."""

    name: str
    num_classes: int
    """0 where evaluations choose among them anyway."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Videos of its official lists, by split; of none where copies differ."""
    names: str = ""
    """The bundled list of its class names; empty where they stand in its own lists only."""
    homes: tuple[str, ...] = ("",)
    """Folders below the root where its videos may lie."""
    lists: Mapping[str, str] = field(default_factory=dict)
    """Patterns of the names of its lists, by split, where one file is a split."""


_KINETICS: Final = {
    "val": r"(kinetics[-_]?[0-9]*[-_])?(val|validate|validation)\.csv",
    "train": r"(kinetics[-_]?[0-9]*[-_])?train\.csv",
}
DATASETS: Final[Mapping[str, Dataset]] = {
    one.name: one
    for one in (
        Dataset("ucf101", 101, {"test1": 3783, "test2": 3734, "test3": 3696,
                                "train1": 9537, "train2": 9586, "train3": 9624},
                "ucf101", ("", "UCF-101", "UCF101", "videos")),
        Dataset("hmdb51", 51, {f"{use}{i}": n for use, n in (("test", 1530), ("train", 3570))
                               for i in (1, 2, 3)},
                "hmdb51", ("", "hmdb51", "hmdb51_org", "HMDB51", "videos")),
        Dataset("kinetics400", 400, {}, "kinetics400",
                ("", "videos", "val", "videos_val", "k400"), _KINETICS),
        Dataset("kinetics600", 0, {}, "", ("", "videos", "val", "videos_val", "k600"), _KINETICS),
        Dataset("ssv2", 174, {"val": 24777, "train": 168913}, "",
                ("", "20bn-something-something-v2", "videos"),
                {"val": r"(something-something-v2-)?validation\.json",
                 "train": r"(something-something-v2-)?train\.json"}),
    )
}  # fmt: skip
_ALIASES: Final = {"k400": "kinetics400", "k600": "kinetics600", "ucf": "ucf101",
                   "hmdb": "hmdb51", "somethingsomethingv2": "ssv2"}  # fmt: skip


def find_dataset(name: str) -> Dataset | None:
    """The dataset that a name means, spelled in any usual way."""
    key = match_key(name)
    known = {match_key(one): one for one in DATASETS}
    found = known.get(key) or _ALIASES.get(key)
    return None if found is None else DATASETS[found]


@dataclass(frozen=True, slots=True)
class Listed:
    """One split of a dataset: its videos with labels, and the names of all its classes."""

    refs: tuple[VideoRef, ...]
    labels: LabelSet
    source: str
    """The list that was read."""
    notes: tuple[str, ...] = ()
    """What a reader of numbers over these videos must know."""


def read_dataset(
    dataset: Dataset, root: str, split: str, *, lists: str | None = None, exact: bool = True
) -> Listed:
    """The videos of one split of a dataset.

    split:  train, val or test, with a number where there are several ("test2")
    exact:  refuse lists whose counts are not the published ones

    Raises InputError for a folder or a list that isn't there, ManifestError for a list that is
    not what it should be.
    """
    if dataset.lists and split not in dataset.lists:
        raise UsageError(
            f"--split {split}: {dataset.name} has {' and '.join(dataset.lists)} (got {split})"
        )
    for name, folder in (("--root", root), ("--lists", lists)):
        if folder is not None and not os.path.isdir(folder):
            raise InputError(f"{name} {folder}: no such folder")
    places = [place for top in (lists, root) if top is not None for place in _folders(top)]
    manifest = _read(dataset, root, split, places)
    labels = _labels(dataset, manifest, places, exact=exact)
    if exact:
        check_counts(manifest.source, split, dataset.counts.get(split), len(manifest))
    refs = tuple(replace(ref, label=labels[labels.index(ref.label or "")]) for ref in manifest.refs)
    return Listed(refs, labels, manifest.source)


def check_counts(source: str, split: str, expected: int | None, got: int) -> None:
    """Raise ManifestError for a list that is longer or shorter than the published one."""
    if expected is not None and got != expected:
        raise ManifestError(
            f"{source}: is not the published list of {split} (got {got:,} videos, "
            f"expected {expected:,})",
            hint="--unofficial takes it as it is, and the result says so",
        )


def _read(dataset: Dataset, root: str, split: str, places: Sequence[str]) -> Manifest:
    """The list of a split, of the first folder that has one; of Kinetics else its folders."""
    if dataset.lists:
        wanted = re.compile(dataset.lists[split], re.IGNORECASE)
        found = [path for folder in places for path in _files(folder, wanted)]
        if found:
            return _placed(dataset, root, found[0], None)
        if dataset.name.startswith("kinetics"):
            return _read_folders(dataset, root, split)
        raise _no_list(dataset, split, places[0], "validation.json, as it is published")
    for folder in places:
        if _has_split(dataset, folder, split):
            return _placed(dataset, root, folder, split)
    expected = {
        "ucf101": "testlist01.txt and its kin, as in UCF101TrainTestSplits-RecognitionTask.zip",
        "hmdb51": "<label>_test_split1.txt and its kin, as in test_train_splits.rar",
    }[dataset.name]
    raise _no_list(dataset, split, places[0], expected)


def _has_split(dataset: Dataset, folder: str, split: str) -> bool:
    """Whether a folder holds the list of a numbered split, or lists of it for each label."""
    use, number = numbered_split(split)
    pattern = UCF_NAME if dataset.name == "ucf101" else HMDB_NAME
    found = (pattern.fullmatch(os.path.basename(path)) for path in _files(folder, pattern))
    return any(
        match is not None
        and (number is None or int(match["number"]) == number)
        and match.groupdict().get("split", use) == use
        for match in found
    )


def _no_list(dataset: Dataset, split: str, folder: str, expected: str) -> InputError:
    return InputError(
        f"{dataset.name}: the official list of {split} is not in {folder} or two folders below it "
        f"(expected {expected})",
        hint="--lists FOLDER says where it is; lists are never made up",
    )


def _placed(dataset: Dataset, root: str, source: str, split: str | None) -> Manifest:
    """A list with the first of the usual folders in which some of its videos lie, else the last."""
    homes = [os.path.join(root, home) for home in dataset.homes]
    for home in dict.fromkeys(home for home in homes if os.path.isdir(home)):
        manifest = read_manifest(source, root=home, split=split)
        step = max(1, len(manifest) // _TRIED)
        if any(os.path.exists(ref.path) for ref in manifest.refs[::step]):
            break
    return manifest


def _read_folders(dataset: Dataset, root: str, split: str) -> Manifest:
    """A folder for each label, below one named as the split where there is one."""
    named = [name for name in (split, f"videos_{split}", f"{split}_256") if
             os.path.isdir(os.path.join(root, name))]  # fmt: skip
    folder = os.path.join(root, named[0]) if named else root
    try:
        return read_manifest(folder)
    except (InputError, ManifestError) as error:
        raise InputError(
            f"{dataset.name}: neither a list of {split} ({split}.csv) nor a folder for each label "
            f"in {folder} ({error.message})",
            hint=f"--root is the folder that holds {split}/<label>/*.mp4; --lists that of the list",
        ) from error


def _labels(
    dataset: Dataset, manifest: Manifest, places: Sequence[str], *, exact: bool
) -> LabelSet:
    """The names of all classes: the bundled list's, the dataset's own, or those of the list.

    Raises ManifestError for labels that are none of them, or too few.
    """
    known = LabelSet.bundled(dataset.names) if dataset.names else _own_names(dataset, places)
    if known is not None:
        strange = [label for label in manifest.labels if known.find(label) is None]
        if strange:
            close = close_names(strange[0], known.names)
            raise ManifestError(
                f"{manifest.source}: {len(strange)} labels are no classes of {dataset.name}: "
                f"{shorten_list(strange)}",
                hint=f"did you mean {close[0]}?" if close else None,
            )
        if not exact:  # of a part of the dataset, its own classes
            kept = {known.index(label) for label in manifest.labels}
            known = LabelSet(tuple(known[c] for c in sorted(kept)), source=known.source)
    labels = known or LabelSet(manifest.labels, source=manifest.source)
    seen = len(manifest.labels)
    if exact and dataset.num_classes and seen != dataset.num_classes:
        missing = [name for name in labels if LabelSet(manifest.labels).find(name) is None]
        raise ManifestError(
            f"{manifest.source}: has {seen} classes (expected the {dataset.num_classes} of "
            f"{dataset.name}" + (f"; without {shorten_list(missing)})" if missing else ")"),
            hint="--unofficial takes it as it is, and the result says so",
        )
    return labels


def _own_names(dataset: Dataset, places: Sequence[str]) -> LabelSet | None:
    """The names in SSv2's labels.json, if it is there."""
    if dataset.name != "ssv2":
        return None
    wanted = re.compile(r"(something-something-v2-)?labels\.json", re.IGNORECASE)
    paths = [path for folder in places for path in _files(folder, wanted)]
    if not paths:
        return None
    try:
        numbers = parse_json(read_at_most(paths[0], _MOST_BYTES) or b"")
        names = sorted(numbers, key=lambda name: int(numbers[name]))
    except (OSError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise ManifestError(f"{paths[0]}: not a map of names to numbers ({error})") from error
    plain = [name.replace("[", "").replace("]", "") for name in names]
    return LabelSet(tuple(plain), source=paths[0])


def _folders(top: str) -> Iterator[str]:
    """A folder and those up to two below it, that hold no class folders of videos."""
    yield top
    for folder in _subfolders(top):
        yield folder
        if match_key(os.path.basename(folder)) not in ("videos", "val", "train", "test"):
            yield from _subfolders(folder)


def _subfolders(top: str) -> list[str]:
    try:
        with os.scandir(top) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return [os.path.join(top, name) for name in sorted(names, key=natural_key)]


def _files(folder: str, pattern: re.Pattern[str]) -> Sequence[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if pattern.fullmatch(name)]
