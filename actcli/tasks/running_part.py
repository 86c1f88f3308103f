"""One part of an evaluation while its videos come in, examples first."""

from __future__ import annotations

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

    def take(self, video: FrameEmbeddings, started: Started, text: Text) -> None:
        """One video, which may be an example, or to be classified, or of other parts."""
        if video.ref in self._examples:
            self._support.append(replace(video, ref=self._examples[video.ref]))
        if video.ref in self._targets:
            scorer = self._scorer or self._make_scorer(started, text)
            self.outcomes.append(outcome_of(video, scorer, self._targets[video.ref]))

    def _make_scorer(self, started: Started, text: Text) -> Scorer:
        if not self._examples:
            self._scorer = by_words(started.method, text)
            return self._scorer
        from actcli.tasks.supports import make_supports

        clips = [SupportClip(input=v.ref.id, label=v.ref.label or "") for v in self._support]
        lost = set(text.labels) - {clip.label for clip in clips}
        if lost:
            raise InputError(f"{self.part.name}: no example of {shorten_list(sorted(lost))} "
                             "could be read")  # fmt: skip
        supports = make_supports(clips, self._support, text)
        self._scorer = by_examples(started.method, supports.prototypes(started.method))
        self._support = []
        return self._scorer
