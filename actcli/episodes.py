"""From the places of clips in a list to episodes of their embeddings.

Shape letters: N clips, S support clips, Q queries, T' frame embeddings per clip, D embedding
dimension, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from actcli.data.episodes import EpisodeIndices
from actcli.labelled import Episode, Support
from actcli.types import Text


def take_episode(picked: EpisodeIndices, values: Tensor, text: Text) -> Episode:
    """The episode of some clips.

    values:  [S + Q, T', D], supports first
    text:    of all C classes
    """
    count = len(picked.support)
    own = Text(
        tuple(text.labels[c] for c in picked.classes),
        tuple(text.prompts[c] for c in picked.classes),
        text.values[list(picked.classes)],
    )
    support = Support(values[:count], torch.tensor(picked.support_targets))
    return Episode(support, values[count:], own, torch.tensor(picked.query_targets))


def take_episodes(
    picked: Sequence[EpisodeIndices], values: Tensor, text: Text
) -> Iterator[Episode]:
    """Episodes of embedded clips: values [N, T', D]."""
    for one in picked:
        yield take_episode(one, values[[*one.support, *one.query]], text)
