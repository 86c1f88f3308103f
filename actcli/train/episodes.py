"""Episodes as batches: episode number i is the same whenever and wherever it is asked for.

Shape letters: N clips, V views of each, S support clips, Q queries, C classes.
"""

from __future__ import annotations

import torch

from actcli.data.episodes import EpisodeSampler, EpisodeShape
from actcli.data.opposites import order_pairs
from actcli.episodes import take_episode
from actcli.labelled import TrainingEpisode
from actcli.train.source import TrainingSet


class EpisodeBatches:
    """One episode a batch and process, each drawn from all classes.

    pair_share:  of the episodes, those that hold two labels which only the order of time tells
        apart, where there are such labels
    num_ranks:   processes, which draw different episodes

    Raises UsageError where there are too few classes, or clips of a class.
    """

    def __init__(
        self,
        data: TrainingSet,
        shape: EpisodeShape,
        *,
        seed: int,
        pair_share: float = 0.0,
        num_ranks: int = 1,
    ) -> None:
        self.data = data
        self._num_ranks, self._seed = num_ranks, seed
        self._sampler = sampler_of(data, shape, seed=seed, pair_share=pair_share)
        self._clips = shape.way * (shape.shot + shape.queries_per_class)

    @property
    def batch_size(self) -> int:
        """Clips of a batch, over all processes."""
        return self._clips * self._num_ranks

    @property
    def batches_per_epoch(self) -> int:
        """How many batches show as many clips as there are."""
        return max(1, round(len(self.data.targets) / self.batch_size))

    def batch(self, number: int, *, rank: int = 0, num_ranks: int = 1) -> TrainingEpisode:
        """The episode of one process in batch `number`."""
        place = number * num_ranks + rank
        picked = self._sampler.sample(place)
        clips = torch.tensor([*picked.support, *picked.query])
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + place) % (1 << 63))
        views = torch.randint(self.data.values.shape[1], (len(clips),), generator=generator)
        episode = take_episode(picked, self.data.values[clips, views], self.data.text)
        classes = torch.tensor(picked.classes)
        assert episode.query_targets is not None
        return TrainingEpisode(
            episode,
            support_classes=classes[episode.support.targets],
            query_classes=classes[episode.query_targets],
            all_text=self.data.text,
            clips=clips,
        )


def sampler_of(
    data: TrainingSet, shape: EpisodeShape, *, seed: int, pair_share: float = 0.0
) -> EpisodeSampler:
    """What draws episodes of labelled clips."""
    labels = data.text.labels
    place = {label: c for c, label in enumerate(labels)}
    pairs = [(place[a], place[b]) for a, b in order_pairs(labels)] if shape.way > 1 else []
    return EpisodeSampler(
        data.targets.tolist(), shape, seed=seed, names=labels,
        must_hold=pairs if pair_share else (), share=pair_share,
    )  # fmt: skip
