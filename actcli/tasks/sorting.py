"""Sort: clips into a folder for each label, by what `classify` says of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from actcli.data.folder_names import folder_names, safe_name
from actcli.data.labels import LabelSet
from actcli.data.placing import Placer, SortedClip, leads_outside
from actcli.data.sort_journal import JOURNAL_NAME
from actcli.errors import UsageError
from actcli.paths import TarMember, is_remote
from actcli.types import Failure, Prediction, VideoRef


class Classifier(Protocol):
    """What says which label a clip has, such as `Classification`."""

    @property
    def labels(self) -> LabelSet:
        """What clips are scored against."""

    def stream(self, refs: Iterable[VideoRef]) -> Iterator[Prediction | Failure]:
        """One result for each ref, in order."""


@dataclass(frozen=True, slots=True)
class SortRules:
    """Which clips go where.

    min_score:  a clip whose best label scores less stays, or goes to `unsure`
    unsure:     the folder of those, None is where they are
    sources:    folders that the user named, which a move must not leave through a link
    """

    min_score: float = 0.5
    unsure: str | None = None
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.min_score <= 1:
            raise UsageError(f"--min-score: not a share (got {self.min_score:g}, expected 0-1)")
        if self.unsure is not None and safe_name(self.unsure) != self.unsure:
            raise UsageError(
                f"--unsure {self.unsure}: not the name of a folder below --into",
                hint=f'--unsure "{safe_name(self.unsure)}"',
            )


@dataclass(slots=True)
class Sorting:
    """One run of `sort`: classifies clips and puts them into the folders of their labels."""

    classifier: Classifier
    placer: Placer
    rules: SortRules
    folders: dict[str, str] = field(init=False)
    """The folder of each label."""

    def __post_init__(self) -> None:
        reserved = [JOURNAL_NAME, *([self.rules.unsure] if self.rules.unsure else [])]
        self.folders = folder_names(self.classifier.labels, taken=reserved)

    @property
    def all_folders(self) -> tuple[str, ...]:
        """Every folder that clips may go to."""
        unsure = (self.rules.unsure,) if self.rules.unsure else ()
        return *self.folders.values(), *unsure

    def stream(self, refs: Iterable[VideoRef]) -> Iterator[SortedClip]:
        """Yield what became of each clip, as soon as it is where it belongs.

        Raises ResourceError if the disk is full; what was sorted stays so.
        """
        for result in self.classifier.stream(refs):
            yield self._sort(result)

    def _sort(self, result: Prediction | Failure) -> SortedClip:
        if isinstance(result, Failure):
            return SortedClip(result, None, "failed", result.error.message)
        folder = self.folders[result.label]
        if result.abstained or result.score < self.rules.min_score:
            if self.rules.unsure is None:
                return SortedClip(result, None, "unsure")
            folder = self.rules.unsure
        if problem := self._refusal(result.ref):
            return SortedClip(result, None, "failed", problem)
        about = {"label": result.label, "score": round(result.score, 6), "input": result.ref.id}
        try:
            place = self.placer.place(result.ref.path, folder, about)
        except OSError as error:
            return SortedClip(result, None, "failed", error.strerror or str(error))
        return SortedClip(result, place.path, "already" if place.is_there else "placed")

    def _refusal(self, ref: VideoRef) -> str | None:
        """Why a clip that could be classified can't be sorted."""
        if isinstance(ref.path, TarMember) or is_remote(ref.path):
            return "is not a file of its own on this machine"
        if ref.start_s is not None or ref.end_s is not None:
            return "is a part of a file, and only whole files are sorted"
        if self.placer.action == "move":
            return leads_outside(ref.path, self.rules.sources)
        return None


def sortable(
    refs: Iterable[VideoRef], into: str, sources: Iterable[str], subfolders: Iterable[str]
) -> Iterator[VideoRef]:
    """The videos that are to be sorted: each file once, and none that is sorted already.

    into: the folder that they go to; what is below it is left out
    sources: folders that the user named. Where one of them is `into`, or below it, only the
        folders of labels are left out
    """
    home = os.path.realpath(into)
    inside = any(_is_below(os.path.realpath(folder), home) for folder in sources)
    left_out = [os.path.join(home, name) for name in subfolders] if inside else [home]
    seen: set[str] = set()
    for ref in refs:
        real = os.path.realpath(ref.path)
        if any(_is_below(real, folder) for folder in left_out):
            continue
        key = f"{real}\0{ref.start_s}\0{ref.end_s}"
        if key not in seen:
            seen.add(key)
            yield ref


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
