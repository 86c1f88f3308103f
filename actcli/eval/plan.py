"""What an evaluation is made of: the request, and the plan that a protocol makes of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from actcli.config_train import EvalConfig
from actcli.data.datasets import DATASETS, Dataset, Listed, find_dataset, read_dataset
from actcli.data.few_shot_lists import COUNTS, find_few_shot, read_few_shot_split
from actcli.data.labels import LabelSet
from actcli.data.manifest import Manifest, read_manifest
from actcli.errors import InputError, UsageError, did_you_mean, shorten_list
from actcli.types import VideoRef

Combine = Literal["mean", "harmonic", "each"]


@dataclass(frozen=True, slots=True)
class Part:
    """One measured number: a split, a draw of classes, a number of examples."""

    name: str
    refs: tuple[VideoRef, ...]
    """The videos to classify, with their labels."""
    labels: LabelSet
    support: tuple[VideoRef, ...] = ()
    """Examples, where classes are told by these instead of by words."""

    def digest(self) -> str:
        """Digest of names, labels and trims, wherever the files lie."""
        rows = [
            f"{os.path.basename(ref.path)}\t{ref.label}\t{ref.start_s}\t{ref.end_s}"
            for refs in (self.refs, self.support)
            for ref in refs
        ]
        text = "\n".join([*self.labels, "", *rows])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class EpisodeRule:
    """Few-shot episodes: how large, how many, and from which seed."""

    way: int
    shot: int
    queries: int
    count: int
    seed: int
    repeats: int = 1
    """How often each is counted; 1 unless published practice is repeated."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An evaluation that is ready to run."""

    protocol: str
    version: int
    dataset: str
    parts: tuple[Part, ...]
    combine: Combine = "mean"
    practice: Literal["honest", "published"] = "honest"
    episodes: EpisodeRule | None = None
    sources: tuple[str, ...] = ()
    """The lists that were read."""
    notes: tuple[str, ...] = ()
    """What a reader of the number must know."""
    official: bool = True

    @property
    def examples(self) -> frozenset[VideoRef]:
        """The videos that classes are told by in some part, without their labels."""
        return frozenset(replace(r, label=None) for part in self.parts for r in part.support)

    @property
    def refs(self) -> tuple[VideoRef, ...]:
        """All videos, each once, examples first."""
        examples = [ref for part in self.parts for ref in part.support]
        refs = [*examples, *(ref for part in self.parts for ref in part.refs)]
        return tuple(dict.fromkeys(replace(ref, label=None) for ref in refs))


@dataclass(frozen=True, slots=True)
class Request:
    """What an evaluation was asked for.

    source: a dataset by name, or a labelled list or folder
    root:   where its videos are; for lists of one's own where relative paths begin
    lists:  where its official lists are
    """

    source: str
    config: EvalConfig
    root: str | None = None
    lists: str | None = None
    split: str | None = None
    names: LabelSet | None = None

    @property
    def dataset(self) -> Dataset | None:
        """The dataset by name; without a root a list or a folder of that name comes first."""
        if self.root is None and os.path.exists(self.source):
            return None
        return find_dataset(self.source)

    @property
    def few_shot_name(self) -> str | None:
        """The published few-shot split of that name."""
        if self.root is None and os.path.exists(self.source):
            return None
        dataset = self.dataset
        return find_few_shot(self.source if dataset is None else dataset.name)

    def read(self, split: str) -> Listed:
        """One official split of the dataset."""
        dataset = self.dataset
        assert dataset is not None, "protocols say which datasets they know"
        return read_dataset(
            dataset, self._needed_root(), split, lists=self.lists,
            exact=not self.config.unofficial,
        )  # fmt: skip

    def read_few_shot(self, name: str) -> Listed:
        """One part of a published few-shot split."""
        return read_few_shot_split(
            name, self._needed_root(), self.config.part, lists=self.lists,
            exact=not self.config.unofficial,
        )  # fmt: skip

    def manifest(self, split: str | None = None) -> Manifest:
        """The list or folder of one's own, or one of its splits."""
        names = None if self.names is None else self.names.names
        return read_manifest(self.source, root=self.root, split=split or self.split, names=names)

    def _needed_root(self) -> str:
        if self.root is None:
            raise UsageError(
                f"{self.source}: where are its videos?",
                hint=f"actcli eval {self.source} --root FOLDER",
            )
        return self.root


def examples_of(
    refs: Iterable[VideoRef], labels: LabelSet, shot: int, seed: int
) -> tuple[VideoRef, ...]:
    """`shot` videos of each class; those of a smaller K are among those of a larger one."""
    of_class: dict[str, list[VideoRef]] = {label: [] for label in labels}
    for ref in refs:
        of_class[ref.label or ""].append(ref)
    few = {label: len(own) for label, own in of_class.items() if len(own) < shot}
    if few:
        named = shorten_list(f"{label} ({n})" for label, n in few.items())
        raise InputError(f"--shots {shot}: too few training videos of {named}")
    chosen: list[VideoRef] = []
    for c, own in enumerate(of_class.values()):
        order = np.random.default_rng([seed, c]).permutation(len(own))
        chosen += [own[i] for i in order[:shot]]
    return tuple(chosen)


def refuse_unused(request: Request, name: str) -> None:
    """Raise UsageError for a choice that this protocol would pass over in silence."""
    is_own = request.dataset is None and request.few_shot_name is None
    unused = {
        "--split": request.split is not None and not is_own and name != "closed-set",
        "--labels-file": request.names is not None and not is_own,
        "--lists": request.lists is not None and is_own,
    }
    for flag, is_unused in unused.items():
        if is_unused:
            hint = "--part test" if (flag, name) == ("--split", "few-shot") else None
            raise UsageError(f"{flag}: says nothing to {name} of {request.source}", hint=hint)


def usual_protocol(request: Request) -> str:
    """The protocol that papers use for a dataset; `custom` for a list of one's own."""
    if (dataset := request.dataset) is not None:
        return "closed-set" if dataset.name in ("kinetics400", "ssv2") else "zero-shot"
    if request.few_shot_name is not None:
        return "few-shot"
    if not os.path.exists(request.source):
        known = [*DATASETS, *(name for name in COUNTS if name not in DATASETS)]
        raise InputError(
            f"{request.source}: neither a dataset nor a list or folder that is there "
            f"(datasets: {', '.join(known)})",
            hint=did_you_mean(request.source, known),
        )
    return "custom"
