"""Counts of a checked list: what was found, is missing or can't be read, label by label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from actcli.errors import VideoErrorKind


@dataclass(slots=True)
class Count:
    """The videos of one label, or of all."""

    label: str | None = None
    found: int = 0
    """There, and readable as far as it was tried."""
    missing: int = 0
    unreadable: int = 0

    @property
    def num_videos(self) -> int:
        """All that the list names."""
        return self.found + self.missing + self.unreadable


class Tally:
    """Counts videos by their labels.

    labels: in the order of the result; each has a count even if no video of it is added
    """

    def __init__(self, labels: Iterable[str]) -> None:
        self._counts = {label: Count(label) for label in labels}

    def add(self, label: str, failure: VideoErrorKind | None = None) -> None:
        """Count one video: found, or in which way it failed."""
        count = self._counts[label]
        if failure is None:
            count.found += 1
        elif failure == "not_found":
            count.missing += 1
        else:
            count.unreadable += 1

    @property
    def counts(self) -> tuple[Count, ...]:
        """Those of each label."""
        return tuple(self._counts.values())

    @property
    def total(self) -> Count:
        """Those of all labels together."""
        return Count(
            None,
            sum(count.found for count in self.counts),
            sum(count.missing for count in self.counts),
            sum(count.unreadable for count in self.counts),
        )

    @property
    def largest(self) -> Count:
        """The label with most videos found; the first of several."""
        return max(self.counts, key=lambda count: count.found)

    @property
    def smallest(self) -> Count:
        """The label with fewest videos found; the first of several."""
        return min(self.counts, key=lambda count: count.found)

    @property
    def imbalance(self) -> float | None:
        """Largest over smallest label in videos found; None if a label has none."""
        if not self.smallest.found:
            return None
        return self.largest.found / self.smallest.found

    def labels_with(self, num_found: int) -> tuple[str, ...]:
        """The labels of which just so many videos were found."""
        return tuple(count.label or "" for count in self.counts if count.found == num_found)
