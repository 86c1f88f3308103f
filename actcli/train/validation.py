"""What a method is worth on videos that it is not trained on.

Shape letters: N clips, T' frame embeddings per clip, D embedding dimension, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from actcli.data.episodes import EpisodeIndices
from actcli.episodes import take_episodes
from actcli.methods.base import Method
from actcli.train.events import Validation
from actcli.types import Text

_CHUNK: Final = 256
"""Videos that are scored at once."""

Embedded = Callable[[Method], Tensor]
"""The videos as a method embeds them now: [N, T', D], un-normalised."""


class Judge(Protocol):
    """What a method is asked about embedded videos."""

    def __call__(self, method: Method, values: Tensor, text: Text) -> Validation:
        """How good it is, values [N, T', D] on the CPU, text as the method reads it."""


class Validator:
    """How good a method is on videos that it is not trained on, and zero-shot CLIP on the same.

    embedded:  gives the videos
    text:      of the classes, by hand-written prompts and the backbone as it was
    """

    def __init__(self, embedded: Embedded, text: Text, judge: Judge) -> None:
        self._embedded, self._text, self._judge = embedded, text, judge

    @torch.inference_mode()
    def __call__(self, method: Method) -> Validation:
        """Top-1 and cross entropy of the method as it is now."""
        known = self._text.values.to(method.backbone.device).flatten(0, 1)
        learns = "text" in method.learning_parts
        text = method.embed_text(
            self._text.labels, self._text.prompts, encode=None if learns else lambda _: known
        )
        return self._judge(method, self._embedded(method), text)

    @torch.inference_mode()
    def baseline(self, method: Method) -> Validation:
        """The same of zero-shot CLIP, or of its nearest prototypes, before the method learns."""
        plain = Method(method.backbone)
        text = replace(self._text, values=self._text.values.to(method.backbone.device))
        values = self._embedded(plain)
        return self._judge(plain, method.whole_frames(values), text)


class LabelJudge:
    """Whether the right label is the best: targets int64 [N]."""

    def __init__(self, targets: Tensor) -> None:
        self._targets = targets

    def __call__(self, method: Method, values: Tensor, text: Text) -> Validation:
        """Top-1 and cross entropy over all labels."""
        device = method.backbone.device
        parts = [method.logits(c.to(device), text) for c in torch.split(values, _CHUNK)]
        return _judged(torch.cat(parts), self._targets, len(values))


class EpisodeJudge:
    """Whether the right class of an episode is the best, over episodes that stay the same."""

    def __init__(self, episodes: Sequence[EpisodeIndices]) -> None:
        self._episodes = episodes

    def __call__(self, method: Method, values: Tensor, text: Text) -> Validation:
        """Top-1 and cross entropy over all queries."""
        values = values.to(method.backbone.device)
        logits, targets = [], []
        for episode in take_episodes(self._episodes, values, text):
            assert episode.query_targets is not None
            logits.append(method.episode_logits(episode))
            targets.append(episode.query_targets)
        return _judged(torch.cat(logits), torch.cat(targets), len(values))


def _judged(logits: Tensor, targets: Tensor, clips: int) -> Validation:
    exact, targets = logits.float().cpu(), targets.cpu()
    right = (exact.argmax(-1) == targets).float().mean()
    return Validation(float(right), float(F.cross_entropy(exact, targets)), clips)
