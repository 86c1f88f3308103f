"""Episodes of embedded clips: scores of several views are averaged, not their embeddings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from actcli.data.episodes import EpisodeSampler, EpisodeShape
from actcli.eval.few_shot import Episodes
from actcli.eval.plan import EpisodeRule
from actcli.labelled import Episode
from actcli.types import Text

LABELS = ("a", "b", "c")
TARGETS = [c for c in range(3) for _ in range(6)]


def logits(episode: Episode) -> torch.Tensor:
    """Minus the squared distance to the one support of each class."""
    order = episode.support.targets.argsort()
    supports = episode.support.values[order].flatten(1)  # [C, D]
    return -(torch.cdist(episode.query.flatten(1), supports) ** 2)


def share_by_hand(values: Any, picked: Any, *, averages_scores: bool) -> float:
    supports = [picked.support[picked.support_targets.index(c)] for c in range(3)]
    right = 0
    for query, target in zip(picked.query, picked.query_targets, strict=True):
        views = values if averages_scores else values.mean(0, keepdims=True)
        scores = np.zeros(3)
        for view in views:
            odds = np.exp([-((view[query] - view[s]) ** 2).sum() for s in supports])
            scores += odds / odds.sum()
        right += int(scores.argmax()) == target
    return right / len(picked.query)


def test_scores_are_averaged_over_views() -> None:
    values = np.random.default_rng(3).normal(size=(2, len(TARGETS), 1, 4)).astype(np.float32)
    method: Any = SimpleNamespace(
        backbone=SimpleNamespace(device=torch.device("cpu")), episode_logits=logits
    )
    text = Text(LABELS, (("x",),) * 3, torch.ones(3, 1, 4))
    episodes = Episodes(TARGETS, EpisodeRule(3, 1, 2, 200, 0), LABELS)
    blocks = episodes.shares(method, torch.from_numpy(values), text)
    found = [share for block in blocks for share in block]
    drawn = EpisodeSampler(TARGETS, EpisodeShape(3, 1, 2), seed=0).first(200)
    by_scores, by_embeddings = (
        [share_by_hand(values, one, averages_scores=how) for one in drawn] for how in (True, False)
    )
    np.testing.assert_allclose(found, by_scores, atol=1e-6)
    assert by_scores != by_embeddings  # so that the two can be told apart here
