"""Few-shot accuracy over many episodes of embedded clips.

Shape letters: V views, N clips, T' frame embeddings per clip, D embedding dimension, E episodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from actcli.data.episodes import EpisodeBlock, EpisodeSampler, EpisodeShape
from actcli.episodes import take_episodes
from actcli.eval.plan import EpisodeRule
from actcli.methods.base import Method
from actcli.types import Text

_BLOCK: Final = 500
"""Episodes after which progress is told."""


class Episodes:
    """The episodes of a rule on labelled clips, number i always the same.

    Raises UsageError where there are too few classes, or clips of a class.
    """

    def __init__(self, targets: Sequence[int], rule: EpisodeRule, names: Sequence[str]) -> None:
        shape = EpisodeShape(rule.way, rule.shot, rule.queries)
        self._sampler = EpisodeSampler(targets, shape, seed=rule.seed, names=names)
        self.rule = rule

    @torch.inference_mode()
    def shares(self, method: Method, values: Tensor, text: Text) -> Iterator[list[float]]:
        """The share of right queries of each episode, some hundreds at a time.

        Scores are averaged over the views of the clips.

        values:  [V, N, T', D], un-normalised, on the CPU
        text:    of all classes
        """
        values = values.float().to(method.backbone.device)
        for start in range(0, self.rule.count, _BLOCK):
            picked = list(self._block(start))
            found = []
            for views in zip(*(take_episodes(picked, view, text) for view in values), strict=True):
                scores = [method.episode_logits(one).float().softmax(-1) for one in views]
                guesses = torch.stack(scores).mean(0).argmax(-1).cpu()
                targets = views[0].query_targets
                assert targets is not None
                found.append((guesses == targets).float().mean().item())
            yield found

    def distinct(self) -> int:
        """How many different episodes there are, whatever the order of their clips."""
        rows = []
        for start in range(0, self.rule.count, _BLOCK):
            block = self._block(start)
            rows.append(np.hstack([np.sort(block.support), np.sort(block.query)]))
        return len(np.unique(np.vstack(rows), axis=0))

    def _block(self, start: int) -> EpisodeBlock:
        return self._sampler.sample_many(start, min(_BLOCK, self.rule.count - start))
