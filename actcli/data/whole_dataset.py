"""All official videos of a dataset as one list, to see which of them are there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final

from actcli.data.datasets import DATASETS, Listed, find_dataset, read_dataset
from actcli.data.few_shot_lists import COUNTS, find_few_shot, read_few_shot_split
from actcli.data.manifest import Manifest
from actcli.data.splits import SplitPart, read_split
from actcli.errors import InputError, UsageError, did_you_mean

log = logging.getLogger("actcli.data.whole_dataset")

_PARTS: Final[tuple[SplitPart, ...]] = ("train", "val", "test")


def is_dataset(name: str) -> bool:
    """Whether a name is that of a dataset or of a few-shot split."""
    return find_dataset(name) is not None or find_few_shot(name) is not None


def read_whole(
    name: str, root: str, *, split: str | None = None, lists: str | None = None
) -> Manifest:
    """The official videos of a dataset, those of its first splits or of the one asked for.

    Lists of other lengths than the published ones are taken, with a warning that has both numbers.

    Raises UsageError for a name that is none, InputError and ManifestError as `read_dataset`.
    """
    found = list(_splits(name, root, split, lists))
    dataset, few_shot = find_dataset(name), find_few_shot(name)
    published = dataset.counts if dataset is not None else COUNTS[few_shot or ""]
    for part, listed in found:
        count = published.get(part)
        if count is not None and count != len(listed.refs):
            log.warning(
                "%s: lists %s videos of %s (published: %s)",
                listed.source, f"{len(listed.refs):,}", part, f"{count:,}",
            )  # fmt: skip
    rows = [(ref, part.rstrip("123")) for part, listed in found for ref in listed.refs]
    labels = dict.fromkeys(label for _, listed in found for label in listed.labels)
    return Manifest(
        source=name,
        dialect="dataset",
        refs=tuple(ref for ref, _ in rows),
        labels=tuple(labels),
        splits=tuple(dict.fromkeys(part for _, part in rows)),
        ref_splits=tuple(part for _, part in rows),
    )


def _splits(
    name: str, root: str, split: str | None, lists: str | None
) -> Iterator[tuple[str, Listed]]:
    dataset, few_shot = find_dataset(name), find_few_shot(name)
    if dataset is not None:
        usual = ("train1", "test1") if not dataset.lists else ("val",)
        for part in (split,) if split else usual:
            yield part, read_dataset(dataset, root, part, lists=lists, exact=False)
    elif few_shot is not None:
        own = read_split(few_shot)
        for part in _PARTS:
            if own.part(part) and split in (None, part):
                read = read_few_shot_split(few_shot, root, part, lists=lists, exact=False)
                yield part, read
    else:
        known = [*DATASETS, *COUNTS]
        raise UsageError(f"{name}: no such dataset (expected one of {', '.join(known)})",
                         hint=did_you_mean(name, known))  # fmt: skip
    if split and few_shot and not dataset and split not in _PARTS:
        raise InputError(f"--split {split}: {name} has train, val and test")
