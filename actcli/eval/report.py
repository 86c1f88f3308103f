"""What there is to say of the examples of few-shot classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actcli.checkpoint_info import SupportClip
from actcli.types import Failure

if TYPE_CHECKING:
    from actcli.eval.support import Estimate


@dataclass(frozen=True, slots=True)
class Twins:
    """Two support clips that show the same thing."""

    one: SupportClip
    other: SupportClip
    same_file: bool
    """Whether the bytes are the same, or only what is seen."""


@dataclass(frozen=True, slots=True)
class SupportReport:
    """What the examples are, and how good the classes that they make."""

    model: str
    method: str
    labels: tuple[str, ...]
    clips: tuple[SupportClip, ...]
    failures: tuple[Failure, ...]
    matcher: str
    text_weight: float
    estimate: Estimate | None
    """None of a compact file, whose clips are gone."""
    twins: tuple[Twins, ...] = ()
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What an update did to which classes: added, replaced, appended to, dropped."""
    saved: str | None = None

    ok = True

    @property
    def counts(self) -> dict[str, int]:
        """Clips of each class."""
        counts = dict.fromkeys(self.labels, 0)
        for clip in self.clips:
            counts[clip.label] += 1
        return counts
