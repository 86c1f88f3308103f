"""Nearest prototype: what a method does with example clips, beside words or instead of them.

Shape letters: S support clips, Q queries, M sequences, T' frame embeddings per clip, D embedding
dimension, C classes, P prompts per class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from actcli.config import Config
from actcli.labelled import Episode, Prototypes, Support
from actcli.models.align import MATCHERS, class_means, match_mean, means_without_each
from actcli.types import Text

DISTANCE_SCALE: Final = 0.05
"""What distances to prototypes are divided by before their softmax: measured on the demo's clips,
where it is near the best log-likelihood for one shot as for five, whatever the matcher."""
LARGEST_AUTO_WEIGHT: Final = 0.5


class MethodConfig(Config):
    """What a method lets users choose: for CLIP, how examples are used where there are some."""

    matcher: Literal["mean", "otam", "bimhm", "diag"] = "otam"
    """How a query's frames are compared with a prototype's."""
    text_weight: float | None = Field(None, ge=0.0, le=1.0)
    """Share of the words in few-shot scores; None lets the support clips tell, see `text_trust`."""


class NearestPrototype(nn.Module):
    """Scores by distances to the prototypes of classes, and by their words with some weight."""

    config: MethodConfig

    if TYPE_CHECKING:

        def logits(self, video: Tensor, text: Text) -> Tensor:
            """By words alone: [N, T', D] -> [N, C]."""

    @property
    def merges_before(self) -> bool:
        """Whether the clips of a class are averaged before `modulate`, instead of after."""
        return False

    def modulate(self, frames: Tensor, words: Tensor) -> Tensor:
        """Support frames as they enter prototypes: here of length 1, so that no clip outweighs.

        frames:   [M, T', D], of clips, or of means of a class's clips
        words:    [M, D], un-normalised, the text of each one's class
        returns:  [M, T', D]
        """
        return F.normalize(frames.float(), dim=-1)

    def prototypes(self, support: Support, text: Text) -> Prototypes:
        """One sequence of frames a class: the frame-wise mean of its support clips."""
        num_classes, words = len(text.labels), _mean_prompt(text)
        values, targets = support.values.float(), support.targets
        if self.merges_before:
            means = self.modulate(class_means(values, targets, num_classes), words)
        else:
            means = class_means(self.modulate(values, words[targets]), targets, num_classes)
        return Prototypes(means, text, self.text_weight(support, text))

    def prototypes_without_each(
        self, support: Support, text: Text, groups: Tensor | None = None
    ) -> Tensor:
        """For each support clip its class's prototype made of the others: [S, T', D].

        groups:   int64 [S]; clips of one group are left out together
        returns:  NaN for a clip beside which its class has no other
        """
        num_classes, words = len(text.labels), _mean_prompt(text)[support.targets]
        values, targets = support.values.float(), support.targets
        if self.merges_before:
            return self.modulate(means_without_each(values, targets, num_classes, groups), words)
        return means_without_each(self.modulate(values, words), targets, num_classes, groups)

    def text_weight(self, support: Support, text: Text) -> float:
        """The share of the words: as configured, else half of how far they can be trusted."""
        chosen = self.config.text_weight
        return LARGEST_AUTO_WEIGHT * self.text_trust(support, text) if chosen is None else chosen

    def text_trust(self, support: Support, text: Text) -> float:
        """How well the words alone name the support clips: 1 always and surely, 0 as chance does.

            t = (exp(mean_s log p(y_s | words)) - 1/C) / (1 - 1/C), not below 0

        The geometric mean punishes words that are surely wrong: labels that are no words to the
        text tower, or that only time order tells apart, are left out of the scores by themselves.
        """
        log_scores = self.logits(support.values, text).float().log_softmax(-1)  # [S, C]
        truth = log_scores.gather(-1, support.targets[:, None]).mean().exp().item()
        chance = 1 / len(text.labels)
        return max(0.0, (truth - chance) / (1 - chance)) if chance < 1 else 0.0

    def prototype_logits(self, query: Tensor, prototypes: Prototypes) -> Tensor:
        """Logits of queries against prototypes: [Q, T', D] -> [Q, C]."""
        distance = self.distance(self.query_frames(query), prototypes.values)
        return self.distance_logits(distance, query, prototypes.text, prototypes.text_weight)

    def distance(self, frames: Tensor, prototypes: Tensor) -> Tensor:
        """How far query frames, as `query_frames` gives them, are from prototypes.

        frames [..., Q, T', D], prototypes [..., C, T', D] -> [..., Q, C]
        """
        return MATCHERS[self.config.matcher](frames, prototypes)

    def distance_logits(self, distance: Tensor, query: Tensor, text: Text, weight: float) -> Tensor:
        """Log-probabilities by distances and by words, the words with their weight.

            w log p(c | words) + (1 - w) log p(c | examples)

        where p(c | examples) is the softmax of -distance / DISTANCE_SCALE.

        distance [Q, C], query [Q, T', D] -> [Q, C]
        """
        seen = (-distance / DISTANCE_SCALE).log_softmax(-1)
        return mix_in_text(seen, self.logits(query, text), weight) if weight else seen

    def query_frames(self, query: Tensor) -> Tensor:
        """Query frames as they meet prototypes: [Q, T', D] -> [Q, T', D]."""
        return query.float()

    def prototype_similarity(self, query: Tensor, prototypes: Prototypes) -> Tensor:
        """Cosine of pooled query and pooled prototype, whatever the matcher: [Q, C] in [-1, 1]."""
        return 1 - match_mean(self.query_frames(query), prototypes.values)

    def episode_logits(self, episode: Episode) -> Tensor:
        """A whole few-shot task: [Q, C]."""
        return self.prototype_logits(episode.query, self.prototypes(episode.support, episode.text))


def mix_in_text(seen: Tensor, text_logits: Tensor, weight: float) -> Tensor:
    """Logarithm of the weighted geometric mean of two scores, not normalised again: [Q, C].

    seen:         log-probabilities by examples
    text_logits:  by words
    weight:       of the words; 1 leaves the examples out
    """
    told = text_logits.to(seen.dtype).log_softmax(-1)
    return told if weight == 1.0 else weight * told + (1 - weight) * seen


def _mean_prompt(text: Text) -> Tensor:
    """The un-normalised mean over prompts: [C, P, D] -> [C, D]."""
    return text.values.float().mean(1)
