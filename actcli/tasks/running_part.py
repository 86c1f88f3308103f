"""One part of an evaluation while its videos come in, examples first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from actcli.checkpoint_info import SupportClip
from actcli.errors import InputError, shorten_list
from actcli.eval.plan import Part
from actcli.tasks.pipeline import Started
from actcli.tasks.scoring import Scorer, by_examples, by_words, outcome_of
from actcli.types import FrameEmbeddings, Text

if TYPE_CHECKING:
    from actcli.eval.metrics import Outcome


class RunningPart:
    """A part of an evaluation while its videos come in; examples come before them."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.outcomes: list[Outcome] = []
        self._targets = {
            replace(ref, label=None): part.labels.index(ref.label or "") for ref in part.refs
        }
        self._examples = {replace(ref, label=None): ref for ref in part.support}
        self._support: list[FrameEmbeddings] = []
        self._scorer: Scorer | None = None

    def take_example(self, video: FrameEmbeddings | None) -> None:
        """One of the examples of some part, which come before all others; None if unreadable."""
        if video is not None and video.ref in self._examples:
            self._support.append(replace(video, ref=self._examples[video.ref]))

    def take(self, video: FrameEmbeddings | None, started: Started, text: Text) -> None:
        """One video that is to be classified, or of other parts; all examples were there."""
        if video is not None and video.ref in self._targets:
            self._scorer = self._scorer or self._make_scorer(started, text)
            self.outcomes.append(outcome_of(video, self._scorer, self._targets[video.ref]))

    def notes(self) -> Iterator[str]:
        """What makes its number another one than its name says."""
        if both := len(self._examples.keys() & self._targets.keys()):
            yield f"{self.part.name}: {both} of its clips are examples as well"
        wanted = Counter(ref.label for ref in self._examples.values())
        had = Counter(video.ref.label for video in self._support)
        if short := [f"{label} {had[label]}" for label, n in wanted.items() if had[label] < n]:
            yield f"{self.part.name}: fewer examples could be read of {shorten_list(short)}"

    def _make_scorer(self, started: Started, text: Text) -> Scorer:
        if not self._examples:
            return by_words(started.method, text)
        from actcli.tasks.supports import make_supports

        clips = [SupportClip(input=v.ref.id, label=v.ref.label or "") for v in self._support]
        lost = set(text.labels) - {clip.label for clip in clips}
        if lost:
            raise InputError(
                f"{self.part.name}: no example of {shorten_list(sorted(lost))} could be read"
            )
        supports = make_supports(clips, self._support, text)
        return by_examples(started.method, supports.prototypes(started.method))
