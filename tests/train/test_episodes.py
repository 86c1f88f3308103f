"""Episodes as batches: the same whenever asked for, different for each process."""

from __future__ import annotations

import pytest
import torch

from actcli.data.episodes import EpisodeShape
from actcli.errors import UsageError
from actcli.train.episodes import EpisodeBatches
from actcli.train.source import TrainingSet
from actcli.types import Text
from tests.train.conftest import training_set

SHAPE = EpisodeShape(2, 1, 3)


def make(data: TrainingSet | None = None, **options: float) -> EpisodeBatches:
    given = {"seed": 0} | options
    return EpisodeBatches(data or training_set(clips=30, views=2), SHAPE, **given)  # type: ignore[arg-type]


def test_an_episode_is_the_same_whenever_it_is_asked_for() -> None:
    one, other = make(), make()
    one.batch(3)
    first, second = one.batch(7), other.batch(7)
    assert torch.equal(first.clips, second.clips)
    assert torch.equal(first.episode.query, second.episode.query)
    assert not torch.equal(first.clips, one.batch(8).clips)


def test_values_targets_and_words_belong_together() -> None:
    source = make()
    batch = source.batch(0)
    episode = batch.episode
    assert episode.query_targets is not None
    values = torch.cat(batch.parts)
    classes = torch.cat([batch.support_classes, batch.query_classes])
    targets = torch.cat([episode.support.targets, episode.query_targets])
    for clip, value, c, target in zip(batch.clips, values, classes, targets, strict=True):
        assert any(torch.equal(value, view) for view in source.data.values[clip])
        assert source.data.targets[clip] == c
        assert episode.text.labels[int(target)] == batch.all_text.labels[int(c)]


def test_processes_draw_different_episodes_which_one_process_draws_in_turn() -> None:
    source = make(num_ranks=2)
    pairs = [source.batch(i, rank=r, num_ranks=2).clips for i in (0, 1) for r in (0, 1)]
    alone = [make().batch(i).clips for i in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(pairs, alone, strict=True))
    assert source.batch_size == 2 * make().batch_size == 16


def test_other_embeddings_take_the_place_of_those_of_all_clips() -> None:
    batch = make().batch(0)
    values = torch.arange(8.0)[:, None, None].expand(8, 4, 3)
    changed = batch.embedded(values)
    assert torch.equal(torch.cat(changed.parts), values)
    assert torch.equal(changed.episode.support.targets, batch.episode.support.targets)


def test_pairs_of_time_order_come_as_often_as_asked() -> None:
    names = ("sit down", "stand up", "run", "jump", "wave", "clap")
    targets = torch.arange(60) % 6
    text = Text(names, tuple((n,) for n in names), torch.eye(8)[:6, None])
    data = TrainingSet(torch.randn(60, 1, 4, 8), targets, text)

    def share(pair_share: float) -> float:
        drawn = [set(make(data, pair_share=pair_share).batch(i).episode.text.labels)
                 for i in range(200)]  # fmt: skip
        return sum(labels == {"sit down", "stand up"} for labels in drawn) / 200

    assert share(0.0) < 0.2
    assert 0.4 < share(0.5) < 0.7


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(UsageError, match="too few clips"):
        make(training_set(clips=6))
